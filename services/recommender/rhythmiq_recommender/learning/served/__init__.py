"""Signals that can be served: their fitted state is a set of named arrays, and they look at one query at a time.

Training and serving run the same lines: training replays past queries one by one through what serving will load.
"""
