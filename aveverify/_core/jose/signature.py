"""Step 5: the cryptographic proof. Nothing else in the package makes a `VerifiedToken`.

The key brings its algorithm; the token's `alg` was compared with it before and chooses nothing (RFC 8725 §3.1).
"""

from __future__ import annotations

from typing import Final

from aveverify._core.jose.jwk import PublicKey
from aveverify._core.jose.jws import UnverifiedToken, VerifiedToken
from aveverify.errors import InvalidTokenError, ProviderKind, Reason

# What a NamedTuple's own constructor does, less a call of Python for each token.
_new: Final = tuple.__new__


def verify_signature(token: UnverifiedToken, key: PublicKey, kind: ProviderKind) -> VerifiedToken:
    """Prove that a key of the issuer has signed exactly these bytes.

    Args:
        token: A well-formed token.
        key: The key that step 4 chose.
        kind: The kind of the chosen provider, for the error's code.

    Returns:
        The token, verified.

    Raises:
        InvalidTokenError: `BAD_SIGNATURE`.

    Source: RFC 7515 §5.2 step 8; OIDC-17, OIDC-18; CJ-10, CJ-11.
    """
    unverified, claims, header, signing_input, signature = token
    if not key.verify(signature, signing_input):
        raise InvalidTokenError(
            Reason.BAD_SIGNATURE,
            rule="RFC7515-5.2",
            kind=kind,
            issuer=unverified.issuer,
            kid=header.kid,
            alg=header.alg,
        )
    return _new(VerifiedToken, (claims, unverified.issuer, unverified.payload))
