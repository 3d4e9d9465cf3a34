"""The recommender service: the catalogue, and what to play from it here and now."""
