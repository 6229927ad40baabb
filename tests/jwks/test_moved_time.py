"""Libraries that move `time.time` in users' tests move the verifier's time, too: decades into the past and the future.

The fetches are real, because a library may show their threads another time than it shows the test.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
import trio
from freezegun import freeze_time

from aveverify import CachePolicy, InvalidTokenError, KeysUnavailableError, Reason, SystemClock, Verifier
from aveverify.testing import FakeClock, FakeIssuer

Move = Callable[[float], None]
# Moves the time to a number of seconds since the epoch, for the length of a `with` block that gives a further move.
MoveTo = Callable[[float], AbstractContextManager[Move]]
PAST, FUTURE = 1_326_511_294.0, 2_222_222_222.0


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def freezegun(*, tick: bool) -> MoveTo:
    @contextmanager
    def move_to(seconds: float) -> Iterator[Move]:
        with freeze_time(at(seconds), tick=tick) as frozen:
            yield lambda later: frozen.move_to(at(later))

    return move_to


def machine(*, tick: bool) -> MoveTo:
    @contextmanager
    def move_to(seconds: float) -> Iterator[Move]:
        with time_machine.travel(seconds, tick=tick) as traveller:
            yield traveller.move_to

    return move_to


@contextmanager
def patched(seconds: float) -> Iterator[Move]:
    with pytest.MonkeyPatch.context() as patch:

        def move(later: float) -> None:
            patch.setattr(time, "time", lambda: later)

        move(seconds)
        yield move


MOVES: dict[str, MoveTo] = {
    "freezegun": freezegun(tick=False),
    "freezegun-tick": freezegun(tick=True),
    "time-machine": machine(tick=False),
    "time-machine-tick": machine(tick=True),
    "monkeypatch": patched,
}


@pytest.fixture(params=MOVES)
def move_to(request: pytest.FixtureRequest) -> MoveTo:
    return MOVES[request.param]


@pytest.fixture(params=[PAST, FUTURE], ids=["past", "future"])
def moved(request: pytest.FixtureRequest) -> float:
    seconds: float = request.param
    return seconds


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    """An issuer that is reached over HTTP."""
    issuer = FakeIssuer(clock=SystemClock())
    with issuer.serve():
        yield issuer


@pytest.fixture
def verifier(issuer: FakeIssuer) -> Iterator[Verifier]:
    """A verifier as in production: nothing of it is given."""
    with Verifier(issuer.provider) as verifier:
        yield verifier


def reason_of(verifier: Verifier, token: str) -> Reason | None:
    try:
        verifier.verify(token)
    except InvalidTokenError as error:
        return error.reason
    return None


def test_a_token_expires_when_the_moved_time_says_so(
    issuer: FakeIssuer, verifier: Verifier, move_to: MoveTo, moved: float
) -> None:
    """Whether the verifier has seen the token before or not."""
    with move_to(moved) as move:
        token = issuer.token(exp=int(moved) + 3600)
        unseen = issuer.token(exp=int(moved) + 3600, sub="grace")
        assert reason_of(verifier, token) is None
        move(moved + 3599)
        assert reason_of(verifier, token) is None
        move(moved + 3600)
        assert [reason_of(verifier, each) for each in (token, unseen)] == [Reason.EXPIRED] * 2
        move(moved - 10)
        assert reason_of(verifier, token) is None
    assert reason_of(verifier, issuer.token()) is None


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm before"])
def test_keys_are_loaded_rotated_and_renewed_under_a_moved_time(
    issuer: FakeIssuer, verifier: Verifier, move_to: MoveTo, moved: float, *, is_warm: bool
) -> None:
    if is_warm:
        verifier.warm_up(fail_closed=True)
    with move_to(moved) as move:
        assert verifier.verify(issuer.token()).subject == "user_ada"
        issuer.rotate()
        assert verifier.verify(issuer.token()).subject == "user_ada"
        asked = issuer.jwks_requests
        assert verifier.verify(issuer.token(sub="grace")).subject == "grace"
        assert issuer.jwks_requests == asked
        move(moved + CachePolicy().fresh_seconds + 1)
        assert verifier.verify(issuer.token()).subject == "user_ada"
        assert issuer.jwks_requests == asked + 1
    assert verifier.verify(issuer.token()).subject == "user_ada"


def test_an_outage_ends_when_the_moved_time_passes_its_cool_down(
    issuer: FakeIssuer, verifier: Verifier, move_to: MoveTo, moved: float
) -> None:
    """And no cool-down lasts until the moved time comes true."""
    issuer.go_down()
    with move_to(moved) as move:
        for _ in range(2):
            with pytest.raises(KeysUnavailableError) as caught:
                verifier.verify(issuer.token())
            assert 1 <= caught.value.retry_after_seconds <= 2
        asked = issuer.discovery_requests
        issuer.come_up()
        with pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        assert issuer.discovery_requests == asked
        move(moved + 10)
        assert verifier.verify(issuer.token()).subject == "user_ada"


def test_a_budget_is_full_again_when_the_moved_time_passes_its_window(
    issuer: FakeIssuer, verifier: Verifier, move_to: MoveTo, moved: float
) -> None:
    def ask_for_unknown_keys() -> int:
        before = issuer.jwks_requests
        for number in range(5):
            assert reason_of(verifier, issuer.token(header={"kid": f"unknown{number}"})) is Reason.UNKNOWN_KEY
        return issuer.jwks_requests - before

    with move_to(moved) as move:
        verifier.warm_up(fail_closed=True)
        # A refresh under way may be waited for without a charge.
        assert ask_for_unknown_keys() == 2
        assert ask_for_unknown_keys() == 0
        move(moved + CachePolicy().unknown_key_window_seconds + 1)
        assert ask_for_unknown_keys() == 2


def test_a_verifier_goes_on_when_the_time_comes_back(
    issuer: FakeIssuer, verifier: Verifier, move_to: MoveTo, moved: float
) -> None:
    """What failed under the moved time does not fail for decades."""
    issuer.go_down()
    with move_to(moved) as move:
        with pytest.raises(KeysUnavailableError):
            verifier.verify(issuer.token())
        issuer.come_up()
        move(moved + 60)
        verifier.warm_up(fail_closed=True)
        assert verifier.status().is_ready
    issuer.rotate(keep_old=False)
    assert verifier.verify(issuer.token()).subject == "user_ada"


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(lambda verifier, token: asyncio.run(verifier.verify_async(token)), id="asyncio"),
        pytest.param(lambda verifier, token: trio.run(verifier.verify_async, token), id="trio"),
    ],
)
def test_no_event_loop_hangs_although_its_time_stands_still(
    issuer: FakeIssuer, verifier: Verifier, run: Callable[[Verifier, str], Any], moved: float
) -> None:
    """Freezegun stops the clocks of event loops, too."""
    with freeze_time(at(moved)):
        assert run(verifier, issuer.token()).subject == "user_ada"
        issuer.rotate()
        assert run(verifier, issuer.token()).subject == "user_ada"
        issuer.go_down()
        issuer.rotate()
        with pytest.raises(KeysUnavailableError):
            run(verifier, issuer.token())


def test_threads_of_the_test_judge_by_the_moved_time(
    issuer: FakeIssuer, verifier: Verifier, move_to: MoveTo, moved: float
) -> None:
    """Although freezegun shows the real time to the outermost functions of a thread, as those of a refresh."""
    with ThreadPoolExecutor(3) as pool, move_to(moved) as move:
        for _ in range(2):
            token = issuer.token()
            assert list(pool.map(reason_of, [verifier] * 3, [token] * 3)) == [None] * 3
            issuer.rotate()
        move(moved + 7200)
        assert pool.submit(reason_of, verifier, token).result() is Reason.EXPIRED


def test_the_fake_clock_shows_the_moved_time_until_the_test_moves_the_clock(move_to: MoveTo, moved: float) -> None:
    clock = FakeClock()
    issuer = FakeIssuer(clock=clock)
    with issuer.verifier() as verifier:
        before = issuer.token()
        assert reason_of(verifier, before) is None
        with move_to(moved) as move:
            assert int(clock.now()) == int(moved)
            token = issuer.token(exp=int(moved) + 60)
            assert reason_of(verifier, token) is None
            assert reason_of(verifier, before) is (Reason.EXPIRED if moved == FUTURE else None)
            move(moved + 60)
            assert reason_of(verifier, token) is Reason.EXPIRED
            move(moved)
            clock.tick(seconds=30)
            move(moved + 60)
            assert reason_of(verifier, token) is None


SCRIPT = """
from datetime import UTC, datetime
import freezegun

# Loaded before: freezegun cannot look into a module that is being imported.
import cryptography.hazmat.primitives.asymmetric.rsa

with freezegun.freeze_time(datetime.fromtimestamp({moved}, UTC)) as frozen:
    from aveverify import InvalidTokenError, KeysUnavailableError, SystemClock, Verifier
    from aveverify.testing import FakeIssuer

    issuer = FakeIssuer(clock=SystemClock())
    with issuer.serve(), Verifier(issuer.provider) as verifier:
        token = issuer.token()
        assert verifier.verify(token).issued_at == int({moved})
        issuer.rotate()
        assert verifier.verify(issuer.token()).issued_at == int({moved})
        frozen.tick(7200)
        try:
            verifier.verify(token)
        except InvalidTokenError as error:
            assert error.reason == "EXPIRED"
        else:
            raise AssertionError
        issuer.go_down()
        issuer.rotate()
        for _ in range(2):
            try:
                verifier.verify(issuer.token())
            except KeysUnavailableError:
                # One refresh has failed, and no other one starts within its cool-down.
                assert verifier.status().providers[0].failures == 1
            else:
                raise AssertionError
        issuer.come_up()
with issuer.serve(), Verifier(issuer.provider) as verifier:
    assert verifier.verify(issuer.token()).issued_at != int({moved})
"""


def test_the_package_may_be_imported_while_the_time_stands_still(moved: float) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT.format(moved=moved)], check=True, timeout=50)
