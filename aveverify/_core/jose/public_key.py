"""What a key that can verify is: bound to one algorithm, with the check of a signature.

The rows of the algorithms are in `aveverify._core.jose.jwa`, which loads the signature library. RFC 7517, RFC 7638.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from aveverify._core.jose.encoding import JsonObject

# Takes signature and signing input; tells whether the key made the one over the other.
VerifySignature = Callable[[bytes, bytes], bool]
PublicMembers = dict[str, str]


class UnsuitableKeyError(ValueError):
    """The public members of a JWK do not make a key that could verify a signature."""


class ParseKey(Protocol):
    """Reads the public members of a JWK."""

    def __call__(
        self, jwk: JsonObject, /, *, allow_nonzero_trailing_bits: bool
    ) -> tuple[VerifySignature, PublicMembers]:
        """Return the check of a signature, and the public members, canonically written; or `UnsuitableKeyError`."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What one signature algorithm asks of keys and signatures.

    Attributes:
        name: The `alg` of a JOSE header.
        key_type: The `kty` of its keys.
        key_algs: The `alg` that its keys may carry.
        key_members: The public members that are read.
        parse_key: Reads a key; `allow_nonzero_trailing_bits` as in `decode_base64url`.
    """

    name: str
    key_type: str
    key_algs: frozenset[str]
    key_members: frozenset[str]
    parse_key: ParseKey


class PublicKey(NamedTuple):
    """A key that can verify. Bound to one algorithm, which the token cannot change (RFC 8725 §3.1).

    Attributes:
        algorithm: The one algorithm.
        verify: Takes signature and signing input; tells whether the key made the one over the other.
        thumbprint: Its JWK thumbprint with SHA-256 (RFC 7638), in hexadecimal digits.
    """

    algorithm: Algorithm
    verify: VerifySignature
    thumbprint: str

    def __repr__(self) -> str:
        """Show the algorithm only."""
        return f"<PublicKey {self.algorithm.name}>"
