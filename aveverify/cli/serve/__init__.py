"""`aveverify serve`: answers a reverse proxy whether a request may pass."""
