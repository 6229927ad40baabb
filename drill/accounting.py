"""Classifies each answer by the record of the issuer, and counts fetches against the bound of the policy.

Pure: its arguments are samples, the record of the issuer and the policy. No outcome depends on the speed of this
machine; what a slow machine does to requests has outcomes of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from aveverify import CachePolicy
from drill.issuer import IssuerResponse
from drill.load import Sample
from drill.plan import Interval

_BAD: Final = ("forged", "expired", "random kid")
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_UNAVAILABLE: Final = 503
# A fetch requests the discovery document and the JWK Set.
_DOCUMENTS: Final = 2


class Outcome(Enum):
    """What one answer of a server means."""

    ACCEPTED = "accepted"
    REFUSED = "refused, as it should be"
    BUDGET_SPENT = "401 as designed: unknown key, refresh budget used up"
    UNAVAILABLE = "503 as designed: unknown key, last fetch failed"
    SLOW = "503 while the whole machine stood still"
    GONE = "no answer: the connection ended with a recycled worker"
    LATE = "no answer within 20 s, while the whole machine stood still"
    REFUSED_WRONGLY = "valid, its key known to the worker, and refused"
    UNAVAILABLE_WRONGLY = "503 without a failed fetch"
    HUNG = "no answer within 20 s"
    ACCEPTED_WRONGLY = "forged, expired or of no key, and accepted"
    OUTLIVED = "accepted after its key's trust had ended"
    OTHER = "any other answer"


BROKEN: Final = (
    Outcome.REFUSED_WRONGLY,
    Outcome.UNAVAILABLE_WRONGLY,
    Outcome.HUNG,
    Outcome.ACCEPTED_WRONGLY,
    Outcome.OUTLIVED,
    Outcome.OTHER,
)


@dataclass(slots=True)
class RunRecord:
    """What is known of one run.

    Attributes:
        policy: The cache policy of the workers.
        responses: What the issuer sent.
        withdrawn_at: When each key id was withdrawn, by the monotonic clock.
        stalls: When this machine was so slow that the drill itself made no progress.
    """

    policy: CachePolicy
    responses: Sequence[IssuerResponse]
    withdrawn_at: Mapping[str, float]
    stalls: Sequence[Interval] = ()
    _of: dict[int, list[IssuerResponse]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the responses by worker."""
        for response in self.responses:
            self._of.setdefault(response.worker, []).append(response)

    def classify(self, sample: Sample) -> Outcome:
        """Tell what one answer means."""
        if sample.status == 0:
            return self._classify_no_answer(sample)
        if sample.info is None or sample.status not in (_OK, _UNAUTHORIZED, _UNAVAILABLE):
            return Outcome.OTHER
        if sample.status == _OK:
            return self._classify_200(sample)
        return Outcome.REFUSED if sample.kind in _BAD else self._classify_refusal(sample)

    def _classify_refusal(self, sample: Sample) -> Outcome:
        """Tell whether the policy explains the refusal of a valid token."""
        # A worker that fetched after the withdrawal does not have the key any more.
        is_withdrawn = self.withdrawn_at.get(sample.kid, float("inf")) <= sample.back_at
        if not is_withdrawn and self.holds(sample):
            return Outcome.REFUSED_WRONGLY
        if sample.status == _UNAUTHORIZED:
            return self._classify_401(sample, is_withdrawn=is_withdrawn)
        return self._classify_503(sample)

    def _classify_no_answer(self, sample: Sample) -> Outcome:
        if not sample.is_late:
            return Outcome.GONE
        return Outcome.LATE if self._stood_still(sample) else Outcome.HUNG

    def _classify_200(self, sample: Sample) -> Outcome:
        if sample.kind in _BAD:
            return Outcome.ACCEPTED_WRONGLY
        return Outcome.OUTLIVED if self._outlives(sample) else Outcome.ACCEPTED

    def _classify_503(self, sample: Sample) -> Outcome:
        if self._fetch_has_failed(sample):
            return Outcome.UNAVAILABLE
        return Outcome.SLOW if self._stood_still(sample) else Outcome.UNAVAILABLE_WRONGLY

    def _classify_401(self, sample: Sample, *, is_withdrawn: bool) -> Outcome:
        if is_withdrawn:
            return Outcome.REFUSED
        return Outcome.BUDGET_SPENT if self._budget_is_spent(sample) else Outcome.REFUSED_WRONGLY

    def holds(self, sample: Sample) -> bool:
        """Tell whether a worker had the key before the request, and could use it until its answer."""
        cap_seconds = self.policy.fresh_seconds + self.policy.stale_if_error_seconds
        info = sample.info
        if info is None:
            return False
        if sample.kid in info.kids and sample.back_at - info.at < cap_seconds:
            return True
        return any(
            sample.kid in response.kids
            and response.done_at <= sample.sent_at
            and sample.back_at - response.began_at < cap_seconds
            for response in self._of.get(info.worker, ())
        )

    def _outlives(self, sample: Sample) -> bool:
        withdrawn_at = self.withdrawn_at.get(sample.kid)
        if withdrawn_at is None:
            return False
        since = withdrawn_at - self.policy.fresh_seconds
        outage = self._stood_still(sample) or any(
            response.status != _OK and response.done_at >= since and response.began_at <= sample.back_at
            for response in self._responses_to(sample)
        )
        return sample.sent_at - withdrawn_at >= self.policy.worst_case_trust_seconds(outage=outage)

    def _budget_is_spent(self, sample: Sample) -> bool:
        window_seconds = self.policy.unknown_key_window_seconds
        forced = [
            response
            for response in self._responses_to(sample)
            # One of each fetch: the discovery document contains no keys.
            if response.forced
            and (response.kids or response.status != _OK)
            and sample.sent_at - window_seconds <= response.began_at <= sample.back_at
        ]
        return len(forced) >= self.policy.unknown_key_refetches

    @property
    def _pause_seconds(self) -> float:
        """The longest time from the start of a refresh that fails to the next one."""
        policy = self.policy
        return policy.flight_deadline_seconds + policy.max_backoff_seconds * (1 + policy.refresh_jitter)

    def _fetch_has_failed(self, sample: Sample) -> bool:
        return any(
            response.status != _OK
            and response.began_at <= sample.back_at
            and sample.sent_at <= response.done_at + self._pause_seconds
            for response in self._responses_to(sample)
        )

    def _stood_still(self, sample: Sample) -> bool:
        return any(
            stall.begins <= sample.back_at and sample.sent_at <= stall.ends + self._pause_seconds
            for stall in self.stalls
        )

    def _responses_to(self, sample: Sample) -> Iterable[IssuerResponse]:
        """List the responses to a worker, and to its parent, whose schedule it inherited."""
        if sample.info is not None:
            yield from self._of.get(sample.info.worker, ())
            yield from self._of.get(sample.info.parent, ())


def bound_fetches(policy: CachePolicy, lifetime_seconds: float, outages: Sequence[Interval]) -> int:
    """Compute how many requests one process may send to the issuer in a part of its life.

    Args:
        policy: Its policy.
        lifetime_seconds: The length of that part.
        outages: The outages in it.

    Returns:
        One request for each document whenever keys reach their refresh time or a budget allows; for each outage two for
        each document and each attempt that fits into it, and one for each document after it.
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
    """Compute how many attempts may fail within an outage: each pause is twice as long as the one before."""
    attempts, begins_at, pause = 0, 0.0, policy.min_backoff_seconds
    while begins_at <= seconds:
        attempts += 1
        begins_at += pause * (1 - policy.refresh_jitter)
        pause = min(pause * 2, policy.max_backoff_seconds)
    return attempts
