"""The plan of a run: which fault happens when, and the cache policy of the workers.

Every time is a fraction of the run, so that a short drill meets the same faults in the same order.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from aveverify import CachePolicy

Fault = Literal["answers 503", "accepts connections and sends nothing"]

FULL_SECONDS: Final = 60.0
APPLICATION_ID: Final = "app_drill"
# Names the process in requests to the issuer, and in answers to users.
WORKER_HEADER: Final = "X-Drill-Worker"
# A key is published while it signs, and for two more turns.
PUBLISHED_TURNS: Final = 3
ROTATIONS: Final = 12


class Interval(NamedTuple):
    """A part of the run.

    Attributes:
        begins: Seconds from the start of the run, or an instant of the monotonic clock.
        ends: The same.
    """

    begins: float
    ends: float

    def holds(self, at: float) -> bool:
        """Tell whether an instant lies within."""
        return self.begins <= at < self.ends


class Plan(NamedTuple):
    """The plan of one run.

    Attributes:
        seconds: The length of the load.
        rotation_seconds: How long one key signs.
        outages: When the issuer fails, and how.
        storm: When workers are recycled by signals, several times a second.
        flood: When attackers also send random key ids.
        policy: The cache policy of all workers.
    """

    seconds: float
    rotation_seconds: float
    outages: tuple[tuple[Interval, Fault], ...]
    storm: Interval
    flood: Interval
    policy: CachePolicy


def make_plan(seconds: float) -> Plan:
    """Plan a run.

    Args:
        seconds: The length of the load; 60 for a run whose results are published.

    Returns:
        The plan. The second outage begins within the storm, so workers are forked while fetches hang, and the flood
        begins when both are over.
    """
    part = seconds / FULL_SECONDS

    def interval(begins: float, ends: float) -> Interval:
        return Interval(begins * part, ends * part)

    return Plan(
        seconds=seconds,
        rotation_seconds=seconds / ROTATIONS,
        outages=((interval(12, 21), "answers 503"), (interval(33, 43), "accepts connections and sends nothing")),
        storm=interval(27, 39),
        flood=interval(49, 57),
        policy=CachePolicy(
            fresh_seconds=10 * part,
            min_fresh_seconds=1 * part,
            max_fresh_seconds=10 * part,
            stale_if_error_seconds=20 * part,
            unknown_key_refetches=8,
            unknown_key_window_seconds=10 * part,
            bad_signature_refetches=1,
            bad_signature_window_seconds=20 * part,
            min_backoff_seconds=0.5 * part,
            max_backoff_seconds=2 * part,
        ),
    )
