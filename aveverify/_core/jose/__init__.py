"""The JOSE standards: encodings, JWS, JWK, JWA and the registered claims of JWT."""
