"""What a listener never wants to hear again: items and artists that no answer has."""
