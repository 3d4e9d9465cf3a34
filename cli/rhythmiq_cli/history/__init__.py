"""Listening histories of elsewhere: reading them, finding their tracks in the catalogue, and recording them."""
