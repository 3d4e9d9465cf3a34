"""Catalogue files: reading, mapping, converting, sending, and what became of each row."""
