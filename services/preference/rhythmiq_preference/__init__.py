"""What a listener leans towards, and away from."""
