"""The `rhythmiq` command."""
