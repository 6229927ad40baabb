"""The drill's accounting: a broken promise is found, whatever else happens at the same time."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from aveverify import FetchError, FetchRequest, HttpxFetcher
from drill.accounting import BROKEN, Ledger, Verdict, bound_attempts, bound_fetches
from drill.certificates import make_certificates
from drill.issuer import Answer, Issuer, Key
from drill.load import Card, Kind, Sample
from drill.plan import Stretch, make_plan

POLICY = make_plan(60).policy
FRESH = POLICY.fresh_seconds
CAP = FRESH + POLICY.stale_if_error_seconds
PAUSE = POLICY.flight_deadline_seconds + POLICY.max_backoff_seconds * (1 + POLICY.refresh_jitter)
WORKER, PARENT, OTHER = 11, 10, 12
CARD = Card(WORKER, PARENT, frozenset(), 0.0)


def answer(at: float, *, worker: int = WORKER, status: int = 200, forced: bool = False, kid: str = "a") -> Answer:
    kids = frozenset([kid] if status == 200 else [])
    return Answer(worker, at, at, status, forced, kids)


def sample(  # noqa: PLR0913 - all by keyword
    status: int,
    at: float = 100.0,
    *,
    kind: Kind = "session",
    card: Card | None = CARD,
    is_late: bool = False,
    kid: str = "a",
) -> Sample:
    return Sample("a server", kind, kid, at, at, status, card, is_late)


def judge(
    one: Sample, *answers: Answer, withdrawn_at: float | None = None, stalls: tuple[Stretch, ...] = ()
) -> Verdict:
    return Ledger(POLICY, answers, {} if withdrawn_at is None else {"a": withdrawn_at}, stalls).judge(one)


@pytest.mark.parametrize("kind", ["forged", "expired", "random kid"])
def test_a_bad_token_may_be_refused_or_put_off_and_never_accepted(kind: Kind) -> None:
    assert judge(sample(200, kind=kind), answer(99)) is Verdict.ACCEPTED_WRONGLY
    assert judge(sample(401, kind=kind), answer(99)) is Verdict.REFUSED
    assert judge(sample(503, kind=kind)) is Verdict.REFUSED


@pytest.mark.parametrize("status", [401, 503])
@pytest.mark.parametrize(
    ("age_seconds", "holds"), [(CAP - 1, True), (CAP, False), (-1, False)], ids=["usable", "at the cap", "later"]
)
def test_a_worker_with_the_key_at_hand_must_accept(status: int, age_seconds: float, *, holds: bool) -> None:
    verdict = judge(sample(status), answer(100 - age_seconds), answer(99.5, status=503))
    assert (verdict is Verdict.REFUSED_WRONGLY) == (holds or status == 401)


def test_a_key_that_another_worker_fetched_is_not_at_hand() -> None:
    assert judge(sample(503), answer(90, worker=OTHER), answer(99, status=503)) is Verdict.UNAVAILABLE


def test_a_key_that_was_there_at_the_fork_is_at_hand() -> None:
    child = Card(WORKER, PARENT, frozenset("a"), 95.0)
    assert judge(sample(503, card=child), answer(99, status=503)) is Verdict.REFUSED_WRONGLY


def test_a_new_key_may_be_refused_once_the_budget_is_spent() -> None:
    spent = [answer(100 - place, forced=True, kid="b") for place in range(POLICY.unknown_key_refetches)]
    assert judge(sample(401), *spent) is Verdict.BUDGET_SPENT
    assert judge(sample(401), *spent[1:]) is Verdict.REFUSED_WRONGLY
    # The discovery document of the same fetch is not a fetch of its own.
    discovery = answer(100, forced=True)._replace(kids=frozenset())
    assert judge(sample(401), discovery, *spent[1:]) is Verdict.REFUSED_WRONGLY


@pytest.mark.parametrize("pid", [WORKER, PARENT], ids=["its own", "its parent's"])
@pytest.mark.parametrize(
    ("ago", "verdict"),
    [(PAUSE, Verdict.UNAVAILABLE), (PAUSE + 0.1, Verdict.UNAVAILABLE_WRONGLY)],
    ids=["cooling", "too long ago"],
)
def test_503_needs_a_fetch_that_has_failed(pid: int, ago: float, verdict: Verdict) -> None:
    assert judge(sample(503), answer(100 - ago, worker=pid, status=503)) is verdict
    assert judge(sample(503), answer(100 - ago, worker=OTHER, status=503)) is Verdict.UNAVAILABLE_WRONGLY


def test_503_for_a_withdrawn_key_needs_a_failed_fetch_too() -> None:
    assert judge(sample(503), withdrawn_at=50.0) is Verdict.UNAVAILABLE_WRONGLY


def test_only_a_machine_that_stands_still_excuses_silence_and_503() -> None:
    stalls = (Stretch(95.0, 99.0),)
    assert judge(sample(503), stalls=stalls) is Verdict.SLOW
    assert judge(sample(0, card=None, is_late=True), stalls=stalls) is Verdict.LATE
    assert judge(sample(0, card=None, is_late=True)) is Verdict.HUNG
    assert judge(sample(0, card=None)) is Verdict.GONE


@pytest.mark.parametrize(
    ("trusted_seconds", "outage", "verdict"),
    [
        (FRESH - 0.1, False, Verdict.ACCEPTED),
        (FRESH, False, Verdict.OUTLIVED),
        (CAP - 0.1, True, Verdict.ACCEPTED),
        (CAP, True, Verdict.OUTLIVED),
    ],
    ids=["healthy", "healthy, too long", "outage", "outage, too long"],
)
def test_a_withdrawn_key_is_trusted_for_as_long_as_the_policy_says(
    trusted_seconds: float, verdict: Verdict, *, outage: bool
) -> None:
    answers = [answer(99, status=503)] if outage else []
    assert judge(sample(200), *answers, withdrawn_at=100 - trusted_seconds) is verdict


def test_a_withdrawn_key_may_be_refused() -> None:
    assert judge(sample(401), answer(90), withdrawn_at=100.0) is Verdict.REFUSED


@pytest.mark.parametrize("status", [400, 500, 502])
def test_any_other_answer_breaks_a_promise(status: int) -> None:
    assert judge(sample(status)) is Verdict.OTHER
    assert Verdict.OTHER in BROKEN


def test_an_answer_that_no_worker_signed_breaks_a_promise() -> None:
    assert judge(sample(200, card=None)) is Verdict.OTHER


def test_the_bound_is_what_the_policy_allows() -> None:
    # The first keys, and the budgets of one window each; two documents each time.
    assert bound_fetches(POLICY, 0.0, []) == 2 * (1 + 8 + 1)
    # Keys are due at 7.2 s at the earliest.
    assert bound_fetches(POLICY, 7.1, []) == 20
    assert bound_fetches(POLICY, 7.2, []) == 22
    # Pauses of 0.45, 0.9, 1.8 and 1.8 s.
    assert [bound_attempts(POLICY, seconds) for seconds in (0, 0.44, 0.46, 1.36, 3.16, 4.96)] == [1, 1, 2, 3, 4, 5]
    assert bound_fetches(POLICY, 0.0, [Stretch(0.0, 0.46)]) == 20 + 2 * (2 * 2 + 1)


def test_the_issuer_is_found_by_those_who_trust_its_authority_only(tmp_path: Path) -> None:
    context, authority = make_certificates(tmp_path)
    issuer = Issuer([Key("a"), Key("b")])
    issuer.rotate(0)
    trusting, stranger = HttpxFetcher(ssl_context=ssl.create_default_context(cafile=authority)), HttpxFetcher()
    with issuer.serve(context):
        request = FetchRequest(url=f"{issuer.url}/keys", headers={}, deadline_seconds=30, max_body_bytes=10_000)
        assert trusting.fetch(request).status == 200
        with pytest.raises(FetchError):
            stranger.fetch(request)
        issuer.rotate(1)
        issuer.fail("answers 503")
        assert trusting.fetch(request).status == 503
        issuer.recover()
        assert trusting.fetch(request).status == 200
    trusting.close()
    assert [(entry.status, sorted(entry.kids)) for entry in issuer.answers] == [
        (200, ["a"]),
        (503, []),
        (200, ["a", "b"]),
    ]
