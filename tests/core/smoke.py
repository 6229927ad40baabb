"""Prints the results of a few tokens: run by itself, under interpreter options that must not change them."""

from __future__ import annotations

import sys

from aveverify import InvalidTokenError, Verifier
from tests.core.jose_factory import NOW, custom_jwt_verifier, good_claims, rs256


def result_of(verifier: Verifier, token: str) -> str:
    """One word for one token."""
    try:
        verifier.verify(token)
    except InvalidTokenError as error:
        return error.reason.value
    return "accepted"


def main() -> None:
    """Print one word for each token."""
    verifier = custom_jwt_verifier(rs256().jwk)
    good = rs256().token()
    tokens = (
        good,
        f"{good[:-8]}AAAAAAAA",
        rs256().token(good_claims(exp=NOW - 6)),
        rs256().token(kid="another"),
        "no token",
    )
    sys.stdout.write(" ".join(result_of(verifier, token) for token in tokens))


if __name__ == "__main__":
    main()
