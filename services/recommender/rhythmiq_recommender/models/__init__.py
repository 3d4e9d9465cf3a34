"""Trained models: where they are kept, which of them answers, and how they come into a running service."""
