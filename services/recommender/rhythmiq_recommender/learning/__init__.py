"""Learning from what listeners did: signals, features, the ranker, its model file, and proof of quality. Offline and pure."""
