"""The suites: each makes its cases from a corpus, and proves the outcome of every case before it is timed."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.case import Case
from benchmarks.contestants import Absent


@dataclass(slots=True)
class Suite:
    """The cases of one process.

    Attributes:
        cases: What can be timed.
        absent: Rows without a figure.
        strictness: For each contestant, the wrong tokens that it refuses.
        notes: Remarks on a contestant.
    """

    cases: list[Case] = field(default_factory=list)
    absent: list[Absent] = field(default_factory=list)
    strictness: dict[str, dict[str, bool]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
