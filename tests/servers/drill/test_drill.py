"""The drill's accounting: it finds every broken promise, whatever else happens at the same time."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from aveverify import FetchError, FetchRequest, HttpxFetcher
from drill.accounting import BROKEN, Outcome, RunRecord, bound_attempts, bound_fetches
from drill.certificates import make_certificates
from drill.issuer import Issuer, IssuerResponse, Key
from drill.load import Kind, Sample, WorkerInfo
from drill.plan import Interval, make_plan

POLICY = make_plan(60).policy
FRESH = POLICY.fresh_seconds
CAP = FRESH + POLICY.stale_if_error_seconds
PAUSE = POLICY.flight_deadline_seconds + POLICY.max_backoff_seconds * (1 + POLICY.refresh_jitter)
WORKER, PARENT, OTHER = 11, 10, 12
INFO = WorkerInfo(WORKER, PARENT, frozenset(), 0.0)


def response(
    at: float, *, worker: int = WORKER, status: int = 200, forced: bool = False, kid: str = "a"
) -> IssuerResponse:
    kids = frozenset([kid] if status == 200 else [])
    return IssuerResponse(worker, at, at, status, forced, kids)


def sample(  # noqa: PLR0913 - all by keyword
    status: int,
    at: float = 100.0,
    *,
    kind: Kind = "session",
    info: WorkerInfo | None = INFO,
    is_late: bool = False,
    kid: str = "a",
) -> Sample:
    return Sample("a server", kind, kid, at, at, status, info, is_late)


def classify(
    one: Sample, *answers: IssuerResponse, withdrawn_at: float | None = None, stalls: tuple[Interval, ...] = ()
) -> Outcome:
    return RunRecord(POLICY, answers, {} if withdrawn_at is None else {"a": withdrawn_at}, stalls).classify(one)


@pytest.mark.parametrize("kind", ["forged", "expired", "random kid"])
def test_a_bad_token_may_be_refused_or_answered_with_503_and_never_accepted(kind: Kind) -> None:
    assert classify(sample(200, kind=kind), response(99)) is Outcome.ACCEPTED_WRONGLY
    assert classify(sample(401, kind=kind), response(99)) is Outcome.REFUSED
    assert classify(sample(503, kind=kind)) is Outcome.REFUSED


@pytest.mark.parametrize("status", [401, 503])
@pytest.mark.parametrize(
    ("age_seconds", "holds"), [(CAP - 1, True), (CAP, False), (-1, False)], ids=["usable", "at the cap", "later"]
)
def test_a_worker_that_has_the_key_must_accept(status: int, age_seconds: float, *, holds: bool) -> None:
    outcome = classify(sample(status), response(100 - age_seconds), response(99.5, status=503))
    assert (outcome is Outcome.REFUSED_WRONGLY) == (holds or status == 401)


def test_a_key_that_another_worker_fetched_is_not_known_to_this_one() -> None:
    assert classify(sample(503), response(90, worker=OTHER), response(99, status=503)) is Outcome.UNAVAILABLE


def test_a_key_that_the_parent_had_at_the_fork_is_known() -> None:
    child = WorkerInfo(WORKER, PARENT, frozenset("a"), 95.0)
    assert classify(sample(503, info=child), response(99, status=503)) is Outcome.REFUSED_WRONGLY


def test_a_new_key_may_be_refused_once_the_budget_is_spent() -> None:
    spent = [response(100 - place, forced=True, kid="b") for place in range(POLICY.unknown_key_refetches)]
    assert classify(sample(401), *spent) is Outcome.BUDGET_SPENT
    assert classify(sample(401), *spent[1:]) is Outcome.REFUSED_WRONGLY
    # The discovery document of the same fetch is not a fetch of its own.
    discovery = response(100, forced=True)._replace(kids=frozenset())
    assert classify(sample(401), discovery, *spent[1:]) is Outcome.REFUSED_WRONGLY


@pytest.mark.parametrize("pid", [WORKER, PARENT], ids=["its own", "its parent's"])
@pytest.mark.parametrize(
    ("ago", "outcome"),
    [(PAUSE, Outcome.UNAVAILABLE), (PAUSE + 0.1, Outcome.UNAVAILABLE_WRONGLY)],
    ids=["cooling", "too long ago"],
)
def test_503_needs_a_fetch_that_has_failed(pid: int, ago: float, outcome: Outcome) -> None:
    assert classify(sample(503), response(100 - ago, worker=pid, status=503)) is outcome
    assert classify(sample(503), response(100 - ago, worker=OTHER, status=503)) is Outcome.UNAVAILABLE_WRONGLY


def test_503_for_a_withdrawn_key_needs_a_failed_fetch_too() -> None:
    assert classify(sample(503), withdrawn_at=50.0) is Outcome.UNAVAILABLE_WRONGLY


def test_only_a_machine_that_stands_still_excuses_no_answer_and_503() -> None:
    stalls = (Interval(95.0, 99.0),)
    assert classify(sample(503), stalls=stalls) is Outcome.SLOW
    assert classify(sample(0, info=None, is_late=True), stalls=stalls) is Outcome.LATE
    assert classify(sample(0, info=None, is_late=True)) is Outcome.HUNG
    assert classify(sample(0, info=None)) is Outcome.GONE


@pytest.mark.parametrize(
    ("trusted_seconds", "outage", "outcome"),
    [
        (FRESH - 0.1, False, Outcome.ACCEPTED),
        (FRESH, False, Outcome.OUTLIVED),
        (CAP - 0.1, True, Outcome.ACCEPTED),
        (CAP, True, Outcome.OUTLIVED),
    ],
    ids=["healthy", "healthy, too long", "outage", "outage, too long"],
)
def test_a_withdrawn_key_is_trusted_for_as_long_as_the_policy_says(
    trusted_seconds: float, outcome: Outcome, *, outage: bool
) -> None:
    answers = [response(99, status=503)] if outage else []
    assert classify(sample(200), *answers, withdrawn_at=100 - trusted_seconds) is outcome


def test_a_withdrawn_key_may_be_refused() -> None:
    assert classify(sample(401), response(90), withdrawn_at=100.0) is Outcome.REFUSED


@pytest.mark.parametrize("status", [400, 500, 502])
def test_any_other_answer_breaks_a_promise(status: int) -> None:
    assert classify(sample(status)) is Outcome.OTHER
    assert Outcome.OTHER in BROKEN


def test_an_answer_without_the_header_of_a_worker_breaks_a_promise() -> None:
    assert classify(sample(200, info=None)) is Outcome.OTHER


def test_the_bound_is_what_the_policy_allows() -> None:
    # The first keys, and the budgets of one window each; two documents each time.
    assert bound_fetches(POLICY, 0.0, []) == 2 * (1 + 8 + 1)
    # Keys are due at 7.2 s at the earliest.
    assert bound_fetches(POLICY, 7.1, []) == 20
    assert bound_fetches(POLICY, 7.2, []) == 22
    # Pauses of 0.45, 0.9, 1.8 and 1.8 s.
    assert [bound_attempts(POLICY, seconds) for seconds in (0, 0.44, 0.46, 1.36, 3.16, 4.96)] == [1, 1, 2, 3, 4, 5]
    assert bound_fetches(POLICY, 0.0, [Interval(0.0, 0.46)]) == 20 + 2 * (2 * 2 + 1)


def test_only_clients_that_trust_its_authority_reach_the_issuer(tmp_path: Path) -> None:
    context, authority = make_certificates(tmp_path)
    issuer = Issuer([Key("a"), Key("b")])
    issuer.rotate(0)
    trusting, other = HttpxFetcher(ssl_context=ssl.create_default_context(cafile=authority)), HttpxFetcher()
    with issuer.serve(context):
        request = FetchRequest(url=f"{issuer.url}/keys", headers={}, deadline_seconds=30, max_body_bytes=10_000)
        assert trusting.fetch(request).status == 200
        with pytest.raises(FetchError):
            other.fetch(request)
        issuer.rotate(1)
        issuer.fail("answers 503")
        assert trusting.fetch(request).status == 503
        issuer.recover()
        assert trusting.fetch(request).status == 200
    trusting.close()
    assert [(entry.status, sorted(entry.kids)) for entry in issuer.responses] == [
        (200, ["a"]),
        (503, []),
        (200, ["a", "b"]),
    ]
