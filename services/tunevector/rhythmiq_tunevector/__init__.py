"""What a listener asks to hear: lists that can be tuned again for every moment."""
