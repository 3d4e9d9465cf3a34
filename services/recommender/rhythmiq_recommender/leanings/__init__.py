"""What listeners lean towards or away from, learned from what they did, and written as LEARNED preferences."""
