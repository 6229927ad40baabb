"""The algorithm names that Convex's parsers know, by path: another name makes a header or a key unreadable.

A known name is not an allowed one: what may sign a token is decided by the rules of each path and by the key. The names
are those of RFC 7518 and RFC 8037.
"""

from __future__ import annotations

from typing import Final

_SIGNATURES: Final = frozenset(f"{family}{bits}" for family in ("HS", "RS", "ES", "PS") for bits in (256, 384, 512))
_CONTENT_ENCRYPTION: Final = frozenset(
    {"A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"}
)
_KEY_MANAGEMENT: Final = frozenset(
    {
        "RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "A128KW", "A192KW", "A256KW", "dir", "ECDH-ES", "ECDH-ES+A128KW",
        "ECDH-ES+A192KW", "ECDH-ES+A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW", "PBES2-HS256+A128KW",
        "PBES2-HS384+A192KW", "PBES2-HS512+A256KW",
    }
)  # fmt: skip

# OIDC-02, DISC-10: in headers and in keys.
OIDC_ALGORITHM_NAMES: Final = _SIGNATURES | _CONTENT_ENCRYPTION | {"none", "EdDSA"}
# CJ-03: EdDSA is not even a known name in headers of this path.
CUSTOM_JWT_HEADER_ALGORITHM_NAMES: Final = _SIGNATURES | {"none"}
# JWKS-04
CUSTOM_JWT_KEY_ALGORITHM_NAMES: Final = CUSTOM_JWT_HEADER_ALGORITHM_NAMES | _CONTENT_ENCRYPTION | _KEY_MANAGEMENT
