"""Step 0: tokens that were accepted before, told apart by the SHA-256 of the whole token.

Only successes enter, no token is kept, and a hit is as strict as a fresh look: the entry lives between two seconds of
the wall clock and dies with the content of the keys that vouched for it. Bounded in entries and in bytes.
"""

from __future__ import annotations

from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from aveverify._fork import renew_after_fork

if TYPE_CHECKING:
    from aveverify._core.identity import Identity
    from aveverify._core.verification import Accepted
    from aveverify._jwks.key_lookup import KeyLookup
    from aveverify._jwks.remote_key_set import RemoteKeySet
    from aveverify.clock import Clock

# An entry whose identity has all standard attributes, less their texts.
_ENTRY_BYTES: Final = 1_600
# TOK-014: at 16 KiB a token, ten thousand entries would be 160 MiB.
MAX_CACHE_BYTES: Final = 32 * 1024 * 1024
# What shows a character that takes four bytes of a str, or two: how its UTF-8 begins, and how JSON escapes begin.
_FOUR_BYTES: Final = bytes(range(0xF0, 0xF5))
_TWO_BYTES: Final = bytes(range(0xC4, 0xF0))
_ESCAPE, _LATIN_ESCAPE, _SURROGATES = b"\\u", b"\\u00", (b"\\ud", b"\\uD")
# As a number, which `in` finds fastest.
_BACKSLASH: Final = 0x5C

# Where to look an entry up: the end of its signature. No two tokens of an issuer share it, and a stranger's token is
# told apart before anything is hashed. It opens nothing: the digest of the whole token decides.
_TAIL_CHARACTERS: Final = 24


class Entry(NamedTuple):
    """What is remembered of one token."""

    digest: bytes
    identity: Identity
    source: RemoteKeySet
    generation: int
    valid_from: int
    valid_until: int
    cost_bytes: int


class TokenCache:
    """Verdicts on tokens. Reads take no lock; the oldest entry goes first.

    Args:
        max_entries: How many tokens; 0 keeps none.
        clock: Where time comes from.
    """

    __slots__ = ("__weakref__", "_bytes", "_entries", "_lock", "_max_entries", "_monotonic", "_now")

    def __init__(self, max_entries: int, clock: Clock) -> None:
        self._max_entries = max_entries
        self._now = clock.now
        self._monotonic = clock.monotonic
        self._entries: dict[bytes, Entry] = {}
        self._bytes = 0
        self._lock = Lock()
        renew_after_fork(self)

    def renew_after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held; what is remembered stays."""
        self._lock = Lock()
        # That thread may have added an entry and not yet its bytes.
        self._bytes = sum(entry.cost_bytes for entry in self._entries.values())

    def __len__(self) -> int:
        """Return how many tokens are known."""
        return len(self._entries)

    def get_if_fresh(self, token: bytes) -> Identity | None:
        """Return the identity of a token that would surely be accepted again, with nothing else to think about.

        The hot path: one look-up, one digest and comparisons. Whatever is not plain, a clock that gives no time
        included, is left to the full look.

        Args:
            token: The whole token.

        Returns:
            The identity; None where the token is unknown, or what is remembered of it needs a second thought.

        Source: TOK-004; TOK-006 to TOK-008; TOK-016.
        """
        entry = self._entries.get(token[-_TAIL_CHARACTERS:])
        # TOK-004
        if entry is None or entry[0] != sha256(token).digest():
            return None
        _, identity, source, generation, valid_from, valid_until, _ = entry
        snapshot = source.state.snapshot
        try:
            now, at = self._now(), self._monotonic()
            # The first comparison of `RemoteKeySet.lookup`, inlined: a call costs 20 ns of 1.1 µs (CPython 3.11).
            if (
                valid_from <= now < valid_until
                and snapshot is not None
                and snapshot.generation == generation
                and 0 <= at < snapshot.refresh_at_monotonic
                and now < snapshot.refresh_at_wall
            ):
                return identity
        except Exception:  # noqa: BLE001 - whatever a clock raises or is, the full look meets it again and refuses
            return None
        return None

    def get_if_still_valid(self, token: bytes, desk: KeyLookup) -> Identity | None:
        """Return the identity of a known token if it would be accepted again, while its keys are renewed or stale.

        Args:
            token: The whole token.
            desk: The clocks and the keys as they are now.

        Returns:
            The identity, or None where the token has to be looked at.

        Source: TOK-004; TOK-006 to TOK-008; TOK-016.
        """
        entry = self._entries.get(token[-_TAIL_CHARACTERS:])
        if entry is None or entry.digest != sha256(token).digest():
            return None
        desk.read_clocks()
        if entry.valid_from <= desk.now < entry.valid_until:
            snapshot = desk.usable_keys(entry.source)
            # TOK-008: an entry dies with the content of its key source.
            if snapshot is not None and snapshot.generation == entry.generation:
                return entry.identity
        return None

    def put(self, token: bytes, verdict: Accepted[RemoteKeySet]) -> None:
        """Remember an accepted token.

        Args:
            token: The whole token.
            verdict: The verdict on it.
        """
        if self._max_entries == 0:
            return
        payload = verdict.identity._payload  # noqa: SLF001 - what an entry holds
        # TOK-020. Nearly every payload is plain ASCII: held twice, as bytes and as the texts that are read from it.
        is_plain = payload.isascii() and _BACKSLASH not in payload
        cost_bytes = _ENTRY_BYTES + (2 * len(payload) if is_plain else _held_bytes(payload))
        if cost_bytes > MAX_CACHE_BYTES:
            return
        tail, entry = token[-_TAIL_CHARACTERS:], Entry(sha256(token).digest(), *verdict, cost_bytes)
        with self._lock:
            # CON-014: closed meanwhile.
            if self._max_entries == 0:
                return
            self._remove(tail)
            while len(self._entries) >= self._max_entries or self._bytes + cost_bytes > MAX_CACHE_BYTES:
                self._remove(next(iter(self._entries)))
            self._entries[tail] = entry
            self._bytes += cost_bytes

    def close(self) -> None:
        """Forget all tokens, and remember none from now on.

        Source: CON-014.
        """
        with self._lock:
            self._max_entries = 0
            self._entries.clear()
            self._bytes = 0

    def _remove(self, tail: bytes) -> None:
        entry = self._entries.pop(tail, None)
        if entry is not None:
            self._bytes -= entry.cost_bytes


def _held_bytes(payload: bytes) -> int:
    """Return how many bytes a payload takes, and at most the texts that an identity reads from it.

    Args:
        payload: The verified payload, which an identity keeps. Its subject and its attributes are parts of it.

    Source: TOK-020; PEP 393: one wide character makes every character of a text as wide.
    """
    length = len(payload)
    if len(payload.translate(None, _FOUR_BYTES)) < length or any(half in payload for half in _SURROGATES):
        width = 4
    elif len(payload.translate(None, _TWO_BYTES)) < length or payload.count(_ESCAPE) > payload.count(_LATIN_ESCAPE):
        width = 2
    else:
        width = 1
    # A text that is not ASCII may keep its UTF-8 beside itself.
    return (2 + width) * length
