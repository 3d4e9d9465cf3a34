"""Benchmarks of speed. `make bench` runs them all; `make bench ARGS="--only recommend --seconds 5"` some."""
