"""Cache: header segment -> parsed header and key; filled only by verified signatures.

One cache for each provider. An issuer signs many tokens under few headers, so nearly every token finds its own here.
It is bounded, and a key in it counts for the key set alone in which it was chosen.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aveverify._core.jose.jwk_set import KeySet
from aveverify._core.jose.jws import Header
from aveverify._core.jose.public_key import PublicKey

# One for each key and spelling of the header; an issuer has a handful. The holder of a signing key of the issuer could
# make more, and would only empty the cache, which costs time.
MAX_HEADERS: Final = 64


class KnownHeader(NamedTuple):
    """What is known of one header segment.

    Attributes:
        header: Its members; the rules of this provider allow them.
        key_set: The key set in which its key was chosen.
        key: The key.
    """

    header: Header
    key_set: KeySet
    key: PublicKey


class HeaderCache:
    """The known headers of one provider."""

    __slots__ = ("_known", "find")

    def __init__(self) -> None:
        self._known: dict[bytes, KnownHeader] = {}
        # The method of C itself, called for every token: a method of Python around it costs 35 ns more.
        self.find = self._known.get

    def remember(self, segment: bytes, header: Header, key_set: KeySet, key: PublicKey) -> None:
        """Keep what a verified token has shown.

        Args:
            segment: The text of its header.
            header: The members.
            key_set: The present key set.
            key: The key under which the signature verified.
        """
        known = self._known
        # All at once: what was chosen in an older key set dies with it.
        if len(known) >= MAX_HEADERS or any(one.key_set is not key_set for one in list(known.values())):
            known.clear()
        known[segment] = KnownHeader(header, key_set, key)
