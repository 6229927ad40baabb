"""Step 0: tokens that were accepted before, found by the SHA-256 of the whole token.

Only accepted tokens enter, no token is kept, and a hit is as strict as a verification: a result is reused only between
two seconds of the wall clock and under the same content of its keys. Bounded in entries and in bytes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, Protocol

from aveverify._core.identity_size import count_held_bytes
from aveverify._fork import renew_after_fork
from aveverify.clock import read_wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from aveverify._core.identity import Identity
    from aveverify._core.verification import Accepted
    from aveverify._jwks.key_lookup import KeyLookup
    from aveverify._jwks.remote_key_set import RemoteKeySet
    from aveverify.clock import Clock

# TOK-014: at 16 KiB a token, ten thousand entries would be 160 MiB.
MAX_CACHE_BYTES: Final = 32 * 1024 * 1024
# How a token is looked up: by the end of its signature. No two tokens of an issuer share it, and an attacker's token is
# told apart before anything is hashed. It decides nothing: the digest of the whole token does.
_TAIL_CHARACTERS: Final = 24


@dataclass(slots=True, eq=False)
class CachedToken:
    """What is kept of one accepted token; never changed. Slots: a hit takes 6 % less than with a tuple.

    Attributes:
        digest: SHA-256 of the whole token.
        identity: The user.
        remote_keys: Where the key came from that verified the token.
        generation: Which content of `remote_keys` that was.
        valid_from: Earliest second, by the wall clock, at which the result may be reused.
        valid_until: First second at which it must not be reused any more.
        cost_bytes: How much it counts towards `MAX_CACHE_BYTES`.
    """

    digest: bytes
    identity: Identity
    remote_keys: RemoteKeySet
    generation: int
    valid_from: int
    valid_until: int
    cost_bytes: int


class _WallClock(Protocol):
    """The module `time`, or what has another clock in the place of `time.time`."""

    @property
    def time(self) -> Callable[[], float]:
        """Returns the wall clock, in seconds since the epoch."""


class TokenCache:
    """Results of accepted tokens. Reads take no lock; the oldest entry is evicted first.

    Args:
        max_entries: How many tokens; 0 keeps none.
        clock: Where time comes from.

    Source: TOK-001 to TOK-020.
    """

    __slots__ = ("__weakref__", "_bytes", "_entries", "_lock", "_max_entries", "_monotonic", "_wall")

    def __init__(self, max_entries: int, clock: Clock) -> None:
        self._max_entries = max_entries
        # A hit looks `time.time` up by itself: `SystemClock.now` around it would cost a call.
        self._wall: _WallClock = time if clock.now is read_wall_clock else SimpleNamespace(time=clock.now)
        self._monotonic = clock.monotonic
        self._entries: dict[bytes, CachedToken] = {}
        self._bytes = 0
        self._lock = Lock()
        renew_after_fork(self)

    def renew_after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held; the entries stay."""
        self._lock = Lock()
        # That thread may have added an entry and not yet its bytes.
        self._bytes = sum(cached.cost_bytes for cached in self._entries.values())

    def __len__(self) -> int:
        """Return how many tokens are kept."""
        return len(self._entries)

    def get_if_fresh(self, token: bytes) -> Identity | None:
        """Return the identity of a known token while its keys are before their refresh time.

        The hot path: one look-up, one digest and comparisons, so calls are spared here that `get_if_still_valid` makes.
        Whatever is not certain, an unusable clock included, is left to the verification.

        Args:
            token: The whole token.

        Returns:
            The identity; None where the token is unknown, or where its result is not certain to hold.

        Source: TOK-004; TOK-006 to TOK-008; TOK-016; CLK-003.
        """
        cached = self._entries.get(token[-_TAIL_CHARACTERS:])
        # TOK-002, TOK-004: the end of a token finds an entry; the digest of the whole token decides.
        if cached is None or cached.digest != sha256(token).digest():
            return None
        snapshot = cached.remote_keys.state.snapshot
        try:
            now, at = self._wall.time(), self._monotonic()
            # The first comparison of `RemoteKeySet.lookup`, inlined: a call costs 20 ns of 1.1 µs (CPython 3.11).
            if (
                cached.valid_from <= now < cached.valid_until
                and snapshot is not None
                and snapshot.generation == cached.generation
                and 0 <= at < snapshot.refresh_at_monotonic
                and now < snapshot.refresh_at_wall
            ):
                return cached.identity
        except Exception:  # noqa: BLE001 - whatever a clock raises or is, the verification meets it again and refuses
            return None
        return None

    def get_if_still_valid(self, token: bytes, keys: KeyLookup) -> Identity | None:
        """Return the identity of a known token if it would be accepted again, also while its keys are renewed or stale.

        Args:
            token: The whole token.
            keys: The clocks and the keys, as this verification sees them.

        Returns:
            The identity; None where the token has to be verified.

        Raises:
            InvalidTokenError: `CLOCK_UNUSABLE`.

        Source: TOK-004; TOK-006 to TOK-008; TOK-016.
        """
        cached = self._entries.get(token[-_TAIL_CHARACTERS:])
        if cached is None or cached.digest != sha256(token).digest():
            return None
        keys.read_clocks()
        if cached.valid_from <= keys.now < cached.valid_until:
            snapshot = keys.usable_keys(cached.remote_keys)
            # TOK-008: under other keys the token might be refused.
            if snapshot is not None and snapshot.generation == cached.generation:
                return cached.identity
        return None

    def put(self, token: bytes, accepted: Accepted[RemoteKeySet]) -> None:
        """Keep the result of an accepted token.

        Args:
            token: The whole token.
            accepted: The result.
        """
        if self._max_entries == 0:
            return
        cost_bytes = count_held_bytes(accepted.identity)
        if cost_bytes > MAX_CACHE_BYTES:
            return
        tail, cached = token[-_TAIL_CHARACTERS:], CachedToken(sha256(token).digest(), *accepted, cost_bytes)
        with self._lock:
            # CON-014: closed meanwhile.
            if self._max_entries == 0:
                return
            self._remove(tail)
            while len(self._entries) >= self._max_entries or self._bytes + cost_bytes > MAX_CACHE_BYTES:
                self._remove(next(iter(self._entries)))
            self._entries[tail] = cached
            self._bytes += cost_bytes

    def close(self) -> None:
        """Forget all tokens, and keep none from now on.

        Source: CON-014.
        """
        with self._lock:
            self._max_entries = 0
            self._entries.clear()
            self._bytes = 0

    def _remove(self, tail: bytes) -> None:
        cached = self._entries.pop(tail, None)
        if cached is not None:
            self._bytes -= cached.cost_bytes
