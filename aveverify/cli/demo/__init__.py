"""`aveverify demo`: a tour over real HTTP, with a local issuer."""
