"""From ranked candidates to a list: variety, rest from what was heard lately, and exploration that is logged."""
