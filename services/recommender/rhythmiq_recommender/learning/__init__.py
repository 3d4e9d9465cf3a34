"""Learning from what listeners did: signals, features, ranker, model file, proof of quality. Offline and pure."""
