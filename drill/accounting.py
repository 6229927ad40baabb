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
# A fetch asks for the discovery document and for the key set.
_DOCUMENTS: Final = 2


class Verdict(Enum):
    """What one answer means."""

    ACCEPTED = "accepted"
    REFUSED = "refused, as it should be"
    BUDGET_SPENT = "401 as designed: a key that the worker has not fetched, and its budget is spent"
    UNAVAILABLE = "503 as designed: a key that the worker has not fetched, and its last fetch failed"
    SLOW = "503 while the whole machine stood still"
    GONE = "no answer: the connection ended with a recycled worker"
    LATE = "no answer within 20 s, while the whole machine stood still"
    REFUSED_WRONGLY = "valid, its key at hand, and refused"
    UNAVAILABLE_WRONGLY = "503 without a failed fetch"
    HUNG = "no answer within 20 s"
    ACCEPTED_WRONGLY = "forged, expired or of no key, and accepted"
    OUTLIVED = "accepted longer after its key was withdrawn than the policy says"
    OTHER = "another answer"


BROKEN: Final = (
    Verdict.REFUSED_WRONGLY,
    Verdict.UNAVAILABLE_WRONGLY,
    Verdict.HUNG,
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
        stalls: When this machine was so slow that the drill itself did not get on.
    """

    policy: CachePolicy
    answers: Sequence[Answer]
    withdrawn_at: Mapping[str, float]
    stalls: Sequence[Stretch] = ()
    _of: dict[int, list[Answer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the record by worker."""
        for answer in self.answers:
            self._of.setdefault(answer.worker, []).append(answer)

    def judge(self, sample: Sample) -> Verdict:  # noqa: PLR0911 - one return for each kind of answer
        """Judge one answer."""
        if sample.status == 0:
            return self._judge_silence(sample)
        if sample.card is None or sample.status not in (_OK, _UNAUTHORIZED, _UNAVAILABLE):
            return Verdict.OTHER
        if sample.status == _OK:
            return self._judge_200(sample)
        if sample.kind in _BAD:
            return Verdict.REFUSED
        # Whoever fetched after a key was withdrawn has not got it any more.
        is_withdrawn = self.withdrawn_at.get(sample.kid, float("inf")) <= sample.back_at
        if not is_withdrawn and self.holds(sample):
            return Verdict.REFUSED_WRONGLY
        if sample.status == _UNAUTHORIZED:
            return self._judge_401(sample, is_withdrawn=is_withdrawn)
        return self._judge_503(sample)

    def _judge_silence(self, sample: Sample) -> Verdict:
        if not sample.is_late:
            return Verdict.GONE
        return Verdict.LATE if self._stood_still(sample) else Verdict.HUNG

    def _judge_200(self, sample: Sample) -> Verdict:
        if sample.kind in _BAD:
            return Verdict.ACCEPTED_WRONGLY
        return Verdict.OUTLIVED if self._outlives(sample) else Verdict.ACCEPTED

    def _judge_503(self, sample: Sample) -> Verdict:
        if self._fetch_has_failed(sample):
            return Verdict.UNAVAILABLE
        return Verdict.SLOW if self._stood_still(sample) else Verdict.UNAVAILABLE_WRONGLY

    def _judge_401(self, sample: Sample, *, is_withdrawn: bool) -> Verdict:
        if is_withdrawn:
            return Verdict.REFUSED
        return Verdict.BUDGET_SPENT if self._budget_is_spent(sample) else Verdict.REFUSED_WRONGLY

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

    def _outlives(self, sample: Sample) -> bool:
        withdrawn_at = self.withdrawn_at.get(sample.kid)
        if withdrawn_at is None:
            return False
        since = withdrawn_at - self.policy.fresh_seconds
        outage = self._stood_still(sample) or any(
            answer.status != _OK and answer.done_at >= since and answer.began_at <= sample.back_at
            for answer in self._answers_for(sample)
        )
        return sample.sent_at - withdrawn_at >= self.policy.worst_case_trust_seconds(outage=outage)

    def _budget_is_spent(self, sample: Sample) -> bool:
        window_seconds = self.policy.unknown_key_window_seconds
        forced = [
            answer
            for answer in self._answers_for(sample)
            # One of each fetch: the discovery document brings no keys.
            if answer.forced
            and (answer.kids or answer.status != _OK)
            and sample.sent_at - window_seconds <= answer.began_at <= sample.back_at
        ]
        return len(forced) >= self.policy.unknown_key_refetches

    @property
    def _pause_seconds(self) -> float:
        """How long a worker may leave the issuer alone after a flight has begun that fails."""
        policy = self.policy
        return policy.flight_deadline_seconds + policy.max_backoff_seconds * (1 + policy.refresh_jitter)

    def _fetch_has_failed(self, sample: Sample) -> bool:
        return any(
            answer.status != _OK
            and answer.began_at <= sample.back_at
            and sample.sent_at <= answer.done_at + self._pause_seconds
            for answer in self._answers_for(sample)
        )

    def _stood_still(self, sample: Sample) -> bool:
        return any(
            stall.begins <= sample.back_at and sample.sent_at <= stall.ends + self._pause_seconds
            for stall in self.stalls
        )

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
        One for each document and each time that keys come of age or a budget allows; and for each outage two for each
        document and each attempt that fits into it, and one for each document after it.
    """
    refresh_seconds = policy.fresh_seconds * policy.refresh_ahead * (1 - policy.refresh_jitter)
    fetches = 1 + int(lifetime_seconds / refresh_seconds)
    for refetches, window_seconds in (
        (policy.unknown_key_refetches, policy.unknown_key_window_seconds),
        (policy.bad_signature_refetches, policy.bad_signature_window_seconds),
    ):
        fetches += refetches * (1 + int(lifetime_seconds / window_seconds))
    fetches += sum(2 * bound_attempts(policy, outage.ends - outage.begins) + 1 for outage in outages)
    return _DOCUMENTS * fetches


def bound_attempts(policy: CachePolicy, seconds: float) -> int:
    """Compute how many attempts may fail within an outage: after each there is a pause twice as long as the last."""
    attempts, begins_at, pause = 0, 0.0, policy.min_backoff_seconds
    while begins_at <= seconds:
        attempts += 1
        begins_at += pause * (1 - policy.refresh_jitter)
        pause = min(pause * 2, policy.max_backoff_seconds)
    return attempts
