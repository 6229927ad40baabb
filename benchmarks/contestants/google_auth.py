"""google-auth: `google.auth.jwt.decode`, which loads the PEM at every call."""

from __future__ import annotations

from google.auth import jwt

from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus


def make(corpus: Corpus, name: str) -> Verify:
    """`decode` with the certificates by key id; the issuer is compared around it, as `google.oauth2.id_token` does."""
    published = corpus.keys[name]
    certificates = {published.kid: published.pem}
    audience, issuer = corpus.audience, corpus.issuer

    def verify(token: str) -> object:
        claims = jwt.decode(token, certs=certificates, audience=audience)
        if claims["iss"] != issuer:
            message = "wrong issuer"
            raise ValueError(message)
        return claims

    return verify


CONTESTANTS = [
    Contestant(
        "google-auth",
        make,
        ("RS256-2048", "RS256-4096", "ES256"),
        "has no EdDSA and no setting for iss: one line around it compares",
    )
]
