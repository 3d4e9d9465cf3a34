"""Who listens: one profile per user of a token issuer."""
