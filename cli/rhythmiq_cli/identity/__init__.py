"""The local issuer: a signing key in the state folder, its public half for the edge, and the tokens it signs."""
