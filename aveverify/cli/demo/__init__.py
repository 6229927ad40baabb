"""`aveverify demo`: a tour over real HTTP, on a local issuer."""
