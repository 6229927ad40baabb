"""Step 0: tokens that were accepted before, by the SHA-256 of the whole token.

Only successes enter, no token is kept, and a hit is as strict as a fresh look: the entry lives between two seconds of
the wall clock and dies with the content of the keys that vouched for it. Bounded in entries and in bytes.
"""

from __future__ import annotations

from hashlib import sha256
from threading import Lock
from typing import Final, Generic

from aveverify._core.judge import Sources, SourceT, Verdict
from aveverify.identity import Identity

# An entry of 13 claims takes about a kibibyte beside its payload.
_ENTRY_BYTES: Final = 1_024
# TOK-014: at 16 KiB a token, ten thousand entries would be 160 MiB.
MAX_CACHE_BYTES: Final = 32 * 1024 * 1024


class TokenCache(Generic[SourceT]):
    """Verdicts by the digest of their token. Reads take no lock; the oldest entry goes first.

    Args:
        max_entries: How many tokens; 0 keeps none.
    """

    __slots__ = ("_bytes", "_entries", "_lock", "_max_entries")

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: dict[bytes, tuple[Verdict[SourceT], int]] = {}
        self._bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many tokens are known."""
        return len(self._entries)

    @staticmethod
    def digest(token: bytes) -> bytes:
        """Return the key of a token: the full SHA-256 of all its bytes (TOK-004)."""
        return sha256(token).digest()

    def find(self, digest: bytes, sources: Sources[SourceT], now: float) -> Identity | None:
        """Return the identity of a token that would be accepted again at this instant.

        Args:
            digest: The key of the token.
            sources: The keys as they are now.
            now: The instant of this verification, in seconds since the epoch.

        Returns:
            The identity, or None where the token has to be looked at.

        Source: TOK-006 to TOK-008; TOK-016.
        """
        entry = self._entries.get(digest)
        if entry is None:
            return None
        verdict = entry[0]
        if verdict.valid_from <= now < verdict.valid_until:
            snapshot = sources.keys_of(verdict.source)
            # TOK-008: an entry dies with the content of its key source.
            if snapshot is not None and snapshot.generation == verdict.generation:
                return verdict.identity
        return None

    def put(self, digest: bytes, verdict: Verdict[SourceT], token_bytes: int) -> None:
        """Remember an accepted token.

        Args:
            digest: The key of the token.
            verdict: The verdict on it.
            token_bytes: The length of the token.
        """
        cost = _ENTRY_BYTES + token_bytes
        if self._max_entries == 0 or cost > MAX_CACHE_BYTES:
            return
        with self._lock:
            self._remove(digest)
            while len(self._entries) >= self._max_entries or self._bytes + cost > MAX_CACHE_BYTES:
                self._remove(next(iter(self._entries)))
            self._entries[digest] = (verdict, cost)
            self._bytes += cost

    def clear(self) -> None:
        """Forget all tokens."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _remove(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is not None:
            self._bytes -= entry[1]
