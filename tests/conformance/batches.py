"""Vectors in batches: one test tries a hundred of them, and its failure names each that failed.

A test for each vector costs more time in pytest than in the code under test. A batch takes vectors from all over the
list, so that a sample of batches is a sample of the vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Protocol, TypeVar

import pytest

BATCH_SIZE = 100


class Named(Protocol):
    """A case with an id."""

    @property
    def name(self) -> str:
        """The id."""


CaseT = TypeVar("CaseT", bound=Named)


def split(cases: Sequence[CaseT]) -> list[list[CaseT]]:
    """Batches that hold every case once, of nearly equal size."""
    count = ceil(len(cases) / BATCH_SIZE)
    return [list(cases[start::count]) for start in range(count)]


def in_batches(cases: Sequence[CaseT]) -> pytest.MarkDecorator:
    """Parametrise a test with its `batch` of the cases."""
    found = split(cases)
    return pytest.mark.parametrize(
        "batch",
        [pytest.param(batch, id=f"batch {number} of {len(found)}") for number, batch in enumerate(found, start=1)],
    )


def check_each(batch: Sequence[CaseT], check: Callable[[CaseT], None]) -> None:
    """Check every case of a batch, and fail with the id and the error of each that fails."""
    failures = []
    for case in batch:
        try:
            check(case)
        except Exception as error:  # noqa: BLE001 - every error is a failure of its case, and the next case still runs
            failures.append(f"{case.name}: {type(error).__name__}: {error}")
    if failures:
        pytest.fail(f"{len(failures)} of {len(batch)} vectors failed\n" + "\n".join(failures), pytrace=False)
