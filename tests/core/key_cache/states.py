"""States of the key cache, and decisions at one moment, for the tests of its table and of its transitions."""

from __future__ import annotations

from typing import NamedTuple

from aveverify import CachePolicy
from aveverify._core.key_cache.decisions import Decision, Question, decide_action
from aveverify._core.key_cache.state import (
    LONG_AGO,
    CacheState,
    FailedLoad,
    FetchFailure,
    Instant,
    LoadedKeys,
    Refresh,
    RefreshReason,
    Snapshot,
)
from aveverify._core.key_cache.transitions import with_refresh_started
from tests.core.jose_factory import NOW, key_set, rsa_jwk

POLICY = CachePolicy()
# The monotonic clock and the wall clock at the moment of each decision.
AT = 50_000.0
PRESENT = Instant(NOW, AT)
KEYS = key_set(rsa_jwk(kid="a"))
OTHER_KEYS = key_set(rsa_jwk(kid="b"))
# Ages: from which the keys are refreshed, from which they are stale, and from which they are not used any more.
REFRESH, FRESH, CAP = 480.0, 600.0, 4200.0
FAILURE = FailedLoad(FetchFailure("x"))
LOADED = LoadedKeys(KEYS, "https://idp.example", b"a", 600.0)


def snapshot(age: float, *, number: int = 1, usable_seconds: float = CAP) -> Snapshot:
    """Keys of this age, to be refreshed at 480 s and fresh until 600 s."""
    return Snapshot(
        key_set=KEYS,
        document_issuer=None,
        content=b"a",
        refresh_number=number,
        started=PRESENT.plus(-age),
        refresh_seconds=REFRESH,
        fresh_seconds=FRESH,
        usable_seconds=usable_seconds,
        generation=0,
    )


def running(number: int = 2, *, age: float = 1.0, is_forced: bool = False) -> Refresh:
    """A refresh that runs."""
    return Refresh(number, PRESENT.plus(-age), is_forced)


class Columns(NamedTuple):
    """The columns of the table: the failures in a row, the rest of the cool-down, and whether a refresh is running."""

    failures: int = 0
    cooling: float = 0.0
    is_running: bool = False


# No failure, and no refresh is running.
HEALTHY = Columns()


def cached(
    age: float | None, columns: Columns = HEALTHY, *, unknown: tuple[float, ...] = (), forged: tuple[float, ...] = ()
) -> CacheState:
    """A state: the age of its keys, the columns, and how long ago forced refreshes started."""
    failures, cooling, is_running = columns
    return CacheState(
        snapshot=None if age is None else snapshot(age),
        refresh=running() if is_running else None,
        refreshes_started=2 if is_running else 1,
        failures=failures,
        cool_until=PRESENT.plus(cooling) if failures else LONG_AGO,
        unknown_key_attempts=tuple(PRESENT.plus(-ago) for ago in unknown),
        bad_signature_attempts=tuple(PRESENT.plus(-ago) for ago in forged),
        last_cause="the issuer answered with status 500" if failures else None,
    )


def question(reason: RefreshReason, *, refreshes_seen: int = 1, may_wait: bool = True) -> Question:
    """The question of a verification that found keys of the first refresh."""
    return Question(reason, may_wait, refreshes_seen)


def decide(
    state: CacheState,
    asked: RefreshReason | Question = RefreshReason.KEYS,
    *,
    policy: CachePolicy = POLICY,
    instant: Instant = PRESENT,
) -> Decision:
    """Decide at `PRESENT`."""
    return decide_action(state, policy, asked if isinstance(asked, Question) else question(asked), instant)


def start(state: CacheState, reason: RefreshReason = RefreshReason.KEYS, jitter: float = 0.0) -> CacheState:
    """The state in which a refresh has started at `PRESENT`."""
    return with_refresh_started(state, POLICY, reason, PRESENT, jitter)


def refreshing(state: CacheState, jitter: float = 0.0) -> tuple[CacheState, Refresh]:
    """The state in which a refresh has started at `PRESENT`, and the refresh."""
    state = start(state, jitter=jitter)
    assert state.refresh is not None
    return state, state.refresh
