"""Step 0: tokens that were accepted before, by the SHA-256 of the whole token.

Only successes enter, no token is kept, and a hit is as strict as a fresh look: the entry lives between two seconds of
the wall clock and dies with the content of the keys that vouched for it. Bounded in entries and in bytes.
"""

from __future__ import annotations

from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Final

from aveverify._fork import renew_after_fork

if TYPE_CHECKING:
    from aveverify._core.judge import Verdict
    from aveverify._desk import Desk
    from aveverify._keys import KeySource
    from aveverify.clock import Clock
    from aveverify.identity import Identity

# An entry of 13 claims takes about a kibibyte beside its payload.
_ENTRY_BYTES: Final = 1_024
# TOK-014: at 16 KiB a token, ten thousand entries would be 160 MiB.
MAX_CACHE_BYTES: Final = 32 * 1024 * 1024


class TokenCache:
    """Verdicts by the digest of their token. Reads take no lock; the oldest entry goes first.

    Args:
        max_entries: How many tokens; 0 keeps none.
    """

    __slots__ = ("__weakref__", "_bytes", "_entries", "_lock", "_max_entries")

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: dict[bytes, tuple[Verdict[KeySource], int]] = {}
        self._bytes = 0
        self._lock = Lock()
        renew_after_fork(self)

    def renew_after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held; what is remembered stays."""
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many tokens are known."""
        return len(self._entries)

    @staticmethod
    def digest(token: bytes) -> bytes:
        """Return the key of a token: the full SHA-256 of all its bytes (TOK-004)."""
        return sha256(token).digest()

    def recall(self, digest: bytes, clock: Clock) -> Identity | None:
        """Return the identity of a token that would surely be accepted again, with nothing else to think about.

        The hot path: one look-up and comparisons. Whatever is not plain, a clock that gives no time included, is left
        to the full look.

        Args:
            digest: The key of the token.
            clock: Where time comes from.

        Returns:
            The identity, or None where the token has to be looked at.

        Source: TOK-006 to TOK-008; TOK-016.
        """
        entry = self._entries.get(digest)
        if entry is None:
            return None
        verdict = entry[0]
        try:
            now, at = clock.now(), clock.monotonic()
        except Exception:  # noqa: BLE001 - whatever a clock raises, the full look meets it again and refuses
            return None
        snapshot = verdict.source.state.snapshot
        if (
            verdict.valid_from <= now < verdict.valid_until
            and snapshot is not None
            and snapshot.generation == verdict.generation
            and at >= 0
            and snapshot.is_quiet(now, at)
        ):
            return verdict.identity
        return None

    def find(self, digest: bytes, desk: Desk) -> Identity | None:
        """Return the identity of a token that would be accepted again, also while its keys are being renewed or stale.

        Args:
            digest: The key of the token.
            desk: The clocks and the keys as they are now.

        Returns:
            The identity, or None where the token has to be looked at.

        Source: TOK-006 to TOK-008; TOK-016.
        """
        entry = self._entries.get(digest)
        if entry is None:
            return None
        verdict = entry[0]
        if verdict.valid_from <= desk.now < verdict.valid_until:
            snapshot = desk.keys_of(verdict.source)
            # TOK-008: an entry dies with the content of its key source.
            if snapshot is not None and snapshot.generation == verdict.generation:
                return verdict.identity
        return None

    def put(self, digest: bytes, verdict: Verdict[KeySource], token_bytes: int) -> None:
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
