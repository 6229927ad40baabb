"""What happens when: one plan for every part of the drill, and the policy that the workers live by.

Everything is a part of the length of a run, so that a short drill meets the same faults in the same order.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from aveverify import CachePolicy

Fault = Literal["answers 503", "accepts and says nothing"]

FULL_SECONDS: Final = 60.0
APPLICATION_ID: Final = "app_drill"
# Says in requests to the issuer, and in answers to users, which process speaks.
WORKER_HEADER: Final = "X-Drill-Worker"
# A key is published for the turn in which it signs, and for two more.
PUBLISHED_TURNS: Final = 3
ROTATIONS: Final = 12


class Stretch(NamedTuple):
    """A part of the run.

    Attributes:
        begins: Seconds after its beginning.
        ends: The same.
    """

    begins: float
    ends: float

    def holds(self, at: float) -> bool:
        """Whether an instant lies within."""
        return self.begins <= at < self.ends


class Plan(NamedTuple):
    """The plan of one run.

    Attributes:
        seconds: How long there is load.
        rotation_seconds: How long one key signs.
        outages: When the issuer fails, and how.
        storm: When workers are recycled by signals, several times a second.
        flood: When there are tokens with random key ids, too.
        policy: What the verifiers of all workers live by.
    """

    seconds: float
    rotation_seconds: float
    outages: tuple[tuple[Stretch, Fault], ...]
    storm: Stretch
    flood: Stretch
    policy: CachePolicy


def make_plan(seconds: float) -> Plan:
    """Plan a run.

    Args:
        seconds: How long there is load; 60 for one whose results count.

    Returns:
        The plan. The second outage begins within the storm, so workers are forked while fetches hang, and the flood
        begins when both are over.
    """
    part = seconds / FULL_SECONDS

    def stretch(begins: float, ends: float) -> Stretch:
        return Stretch(begins * part, ends * part)

    return Plan(
        seconds=seconds,
        rotation_seconds=seconds / ROTATIONS,
        outages=((stretch(12, 21), "answers 503"), (stretch(33, 43), "accepts and says nothing")),
        storm=stretch(27, 39),
        flood=stretch(49, 57),
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
