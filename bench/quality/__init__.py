"""Proof of quality: real data sets through the product's own learning code. `make quality DATA=DIR`."""
