"""The surroundings that a listener has agreed to share: opt-ins, and readings that expire."""
