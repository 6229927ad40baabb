"""A second verifier, PyJWT, looks at every token of the vectors: what is accepted here has a signature there."""

from __future__ import annotations

import base64
import json
import urllib.parse
from typing import Any

import jwt
import pytest

from aveverify import Verifier, parse_auth_config
from tests.conformance.collection import TokenVector, token_vectors
from tests.conformance.vector_environment import StandingClock, VectorEnvironment

FAMILIES = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
# Only these are ever read here; the other verifier takes a key with private members for a private one.
PUBLIC = ("kty", "crv", "n", "e", "x", "y")


def usable_keys(vector: TokenVector) -> list[dict[str, Any]]:
    """Every JWK that the vector's endpoints or configuration hold."""
    bodies = [
        base64.b64decode(answer["body_base64"]) if "body_base64" in answer else answer.get("body", "").encode()
        for answer in vector.http.values()
    ]
    for entry in vector.providers:
        written, _, data = entry.get("jwks", "").partition(",")
        head = written.lower()
        if head.startswith("data:"):
            plain = urllib.parse.unquote_to_bytes(data)
            bodies.append(base64.b64decode(plain + b"===") if head.endswith(";base64") else plain)
    found: list[dict[str, Any]] = []
    for body in bodies:
        try:
            document = json.loads(body)
        except ValueError:
            continue
        keys = document.get("keys") if isinstance(document, dict) else None
        found += [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    return found


def is_signed(token: str, keys: list[dict[str, Any]]) -> bool:
    """Whether PyJWT verifies the token with one of the keys."""
    header = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
    signing_input, _, signature = token.rpartition(".")
    data = base64.urlsafe_b64decode(signature + "==")
    algorithm = jwt.get_algorithm_by_name(header["alg"])
    for jwk in keys:
        if jwk.get("kty") != FAMILIES[header["alg"]]:
            continue
        try:
            key = algorithm.from_jwk({name: jwk[name] for name in PUBLIC if name in jwk})
        except (jwt.InvalidKeyError, TypeError, ValueError):
            continue
        if algorithm.verify(signing_input.encode(), key, data):
            return True
    return False


ACCEPTED = [
    vector
    for folder in ("convex", "attacks")
    for vector in token_vectors(folder)
    if vector.expect["verdict"] == "accept"
]


def test_whatever_is_accepted_here_is_signed_there_too() -> None:
    """POS-014: no disagreement, and none that would have to be explained."""
    disputed = [vector.name for vector in ACCEPTED if not is_signed(str(vector.presentations[0]), usable_keys(vector))]
    assert len(ACCEPTED) > 500
    assert disputed == []


@pytest.mark.parametrize("vector", ACCEPTED[:1], ids=lambda vector: vector.name)
def test_the_second_verifier_can_say_no(vector: TokenVector) -> None:
    """POS-014: a second verifier that always agrees would prove nothing."""
    token = str(vector.presentations[0])
    head, body, signature = token.split(".")
    forged = f"{head}.{body[:-4]}AAAA.{signature}"
    assert is_signed(token, usable_keys(vector))
    assert not is_signed(forged, usable_keys(vector))
    environment = VectorEnvironment(vector)
    verifier = Verifier(
        *parse_auth_config({"providers": vector.providers}),
        clock=StandingClock(vector.now),
        fetcher=environment.endpoints,
    )
    with verifier:
        assert verifier.verify(token).subject
