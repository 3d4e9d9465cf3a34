"""Signals: what interactions, order, groups, links, attributes and surroundings say about a listener and an item."""
