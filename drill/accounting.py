"""Judges each answer by what the issuer has written down, and counts fetches against what the policy allows.

Pure: it is handed samples, the issuer's record and the policy. No verdict depends on how fast this machine is; what a
slow one does to requests has verdicts of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from aveverify import CachePolicy
from drill.issuer import Answer
from drill.load import Sample
from drill.plan import Stretch

_BAD: Final = ("forged", "expired", "random kid")
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_UNAVAILABLE: Final = 503


class Verdict(Enum):
    """What one answer means."""

    ACCEPTED = "accepted"
    REFUSED = "refused, as it should be"
    BUDGET_SPENT = "401 as designed: a key that the worker has not fetched, and its budget is spent"
    UNAVAILABLE = "503 as designed: a key that the worker has not fetched, and its last fetch failed"
    SLOW = "503 after a wait as long as the waiter limit: the machine was too slow"
    GONE = "no answer: the worker was recycled"
    LATE = "no answer in time: the machine was too slow"
    REFUSED_WRONGLY = "valid, its key at hand, and refused"
    UNAVAILABLE_WRONGLY = "503 without a failed fetch"
    ACCEPTED_WRONGLY = "forged, expired or of no key, and accepted"
    OUTLIVED = "accepted longer after its key was withdrawn than the policy says"
    OTHER = "another answer"


BROKEN: Final = (
    Verdict.REFUSED_WRONGLY,
    Verdict.UNAVAILABLE_WRONGLY,
    Verdict.ACCEPTED_WRONGLY,
    Verdict.OUTLIVED,
    Verdict.OTHER,
)


@dataclass(slots=True)
class Ledger:
    """What is known of a run.

    Attributes:
        policy: What the workers lived by.
        answers: The issuer's record.
        withdrawn_at: When each key id was gone.
        slow: When a worker kept somebody waiting for as long as a verification may wait.
    """

    policy: CachePolicy
    answers: Sequence[Answer]
    withdrawn_at: Mapping[str, float]
    slow: dict[int, list[Stretch]] = field(default_factory=dict)
    _of: dict[int, list[Answer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the record by worker."""
        for answer in self.answers:
            self._of.setdefault(answer.worker, []).append(answer)

    def judge_all(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Judge all answers of a run."""
        for sample in samples:
            if sample.card is not None and self._waited_to_the_end(sample):
                self.slow.setdefault(sample.card.worker, []).append(Stretch(sample.sent_at, sample.back_at))
        return [self.judge(sample) for sample in samples]

    def judge(self, sample: Sample) -> Verdict:
        """Judge one answer."""
        if sample.status == 0:
            return Verdict.LATE if sample.is_late else Verdict.GONE
        if sample.card is None or sample.status not in (_OK, _UNAUTHORIZED, _UNAVAILABLE):
            return Verdict.OTHER
        if sample.kind in _BAD:
            return Verdict.ACCEPTED_WRONGLY if sample.status == _OK else Verdict.REFUSED
        withdrawn_at = self.withdrawn_at.get(sample.kid)
        if sample.status == _OK:
            return Verdict.OUTLIVED if self._outlives(sample, withdrawn_at) else Verdict.ACCEPTED
        if withdrawn_at is not None and withdrawn_at <= sample.back_at:
            # Whoever fetched meanwhile has not got its key any more.
            return Verdict.REFUSED
        if self.holds(sample):
            return Verdict.REFUSED_WRONGLY
        if sample.status == _UNAUTHORIZED:
            return Verdict.BUDGET_SPENT if self._budget_is_spent(sample) else Verdict.REFUSED_WRONGLY
        if self._fetch_has_failed(sample):
            return Verdict.UNAVAILABLE
        return Verdict.SLOW if self._was_slow(sample) else Verdict.UNAVAILABLE_WRONGLY

    def holds(self, sample: Sample) -> bool:
        """Tell whether a worker had the key before it was asked, and could use it until it answered."""
        cap_seconds = self.policy.fresh_seconds + self.policy.stale_if_error_seconds
        card = sample.card
        if card is None:
            return False
        if sample.kid in card.kids and sample.back_at - card.at < cap_seconds:
            return True
        return any(
            sample.kid in answer.kids
            and answer.done_at <= sample.sent_at
            and sample.back_at - answer.began_at < cap_seconds
            for answer in self._of.get(card.worker, ())
        )

    def _outlives(self, sample: Sample, withdrawn_at: float | None) -> bool:
        if withdrawn_at is None:
            return False
        fresh_seconds = self.policy.fresh_seconds
        outage = self._was_slow(sample) or any(
            answer.status != _OK and answer.done_at >= withdrawn_at - fresh_seconds and answer.began_at <= sample.back_at
            for answer in self._answers_for(sample)
        )
        return sample.sent_at - withdrawn_at >= self.policy.worst_case_trust_seconds(outage=outage)

    def _budget_is_spent(self, sample: Sample) -> bool:
        window_seconds = self.policy.unknown_key_window_seconds
        forced = [
            answer
            for answer in self._answers_for(sample)
            if answer.forced and sample.sent_at - window_seconds <= answer.began_at <= sample.back_at
        ]
        return len(forced) >= self.policy.unknown_key_refetches

    def _fetch_has_failed(self, sample: Sample) -> bool:
        """Tell whether the last fetch may have failed: then the worker leaves the issuer alone for a while."""
        policy = self.policy
        # The pause counts from the end of an attempt, which is within the deadline of its flight.
        rest_seconds = policy.max_backoff_seconds * (1 + policy.refresh_jitter) + policy.flight_deadline_seconds
        return any(
            answer.status != _OK and answer.began_at <= sample.back_at and sample.sent_at <= answer.done_at + rest_seconds
            for answer in self._answers_for(sample)
        )

    def _was_slow(self, sample: Sample) -> bool:
        policy = self.policy
        rest_seconds = policy.max_backoff_seconds * (1 + policy.refresh_jitter)
        return sample.card is not None and any(
            stretch.begins <= sample.back_at and sample.sent_at <= stretch.ends + rest_seconds
            for stretch in self.slow.get(sample.card.worker, ())
        )

    def _waited_to_the_end(self, sample: Sample) -> bool:
        return sample.back_at - sample.sent_at >= self.policy.waiter_seconds

    def _answers_for(self, sample: Sample) -> Iterable[Answer]:
        """List what a worker was answered, and its parent, whose schedule it inherited."""
        if sample.card is not None:
            yield from self._of.get(sample.card.worker, ())
            yield from self._of.get(sample.card.parent, ())


def bound_fetches(policy: CachePolicy, lifetime_seconds: float, outages: Sequence[Stretch]) -> int:
    """Compute how many requests one process may make in any part of its life.

    Args:
        policy: Its policy.
        lifetime_seconds: How long that part is.
        outages: The outages in it.

    Returns:
        One for the discovery document; one for each time that keys come of age; the two budgets; and for each outage
        two for each attempt that fits into it, and one more for an attempt that outlasts it.
    """
    due_seconds = policy.fresh_seconds * policy.refresh_ahead * (1 - policy.refresh_jitter)
    requests = 1 + 1 + int(lifetime_seconds / due_seconds)
    for refetches, window_seconds in (
        (policy.unknown_key_refetches, policy.unknown_key_window_seconds),
        (policy.bad_signature_refetches, policy.bad_signature_window_seconds),
    ):
        requests += refetches * (1 + int(lifetime_seconds / window_seconds))
    return requests + sum(2 * bound_attempts(policy, outage.ends - outage.begins) + 1 for outage in outages)


def bound_attempts(policy: CachePolicy, seconds: float) -> int:
    """Compute how many attempts may fail within an outage: after each there is a pause twice as long as the last."""
    attempts, begins_at, pause = 0, 0.0, policy.min_backoff_seconds
    while begins_at <= seconds:
        attempts += 1
        begins_at += pause * (1 - policy.refresh_jitter)
        pause = min(pause * 2, policy.max_backoff_seconds)
    return attempts
