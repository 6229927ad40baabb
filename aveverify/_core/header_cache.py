"""Headers under which a signature has verified: their text leads to what was read from them, and to the key.

One memo for each provider. An issuer signs many tokens under few headers, so nearly every token finds its own here.
Only steps 5 and 6 fill it; it is bounded, and what it says of a key holds for the one key set alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from aveverify._core.jose.jwk import KeySet, PublicKey
from aveverify._core.jose.jws import Header

# One for each key and spelling of the header; an issuer has a handful. Whoever holds a key of the issuer could make
# more, and only crowds out what is looked up again anyway.
MAX_HEADERS: Final = 64


class KnownHeader(NamedTuple):
    """What is known of one header segment.

    Attributes:
        header: Its members; this provider allows them.
        key_set: The key set in which its key was chosen.
        key: The key.
    """

    header: Header
    key_set: KeySet
    key: PublicKey


class HeaderCache:
    """The known headers of one provider."""

    __slots__ = ("find", "known")

    def __init__(self) -> None:
        self.known: dict[bytes, KnownHeader] = {}
        # The C function itself: this is asked for every token.
        self.find = self.known.get

    def remember(self, segment: bytes, header: Header, key_set: KeySet, key: PublicKey) -> None:
        """Keep what a verified token has shown.

        Args:
            segment: The text of its header.
            header: The members.
            key_set: The key set of the present.
            key: The key under which the signature verified.
        """
        known = self.known
        # All at once: what was chosen in an older key set dies with it.
        if len(known) >= MAX_HEADERS or any(entry.key_set is not key_set for entry in list(known.values())):
            known.clear()
        known[segment] = KnownHeader(header, key_set, key)
