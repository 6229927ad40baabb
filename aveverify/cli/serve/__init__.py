"""`aveverify serve`: a forward-auth service that tells a reverse proxy whether a request may pass."""
