"""A batch leaves no vector out, and names each that fails."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.conformance.batches import BATCH_SIZE, check_each, split


class Case(NamedTuple):
    name: str
    good: bool = True


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 2774], ids=str)
def test_batches_hold_every_case_once(count: int) -> None:
    cases = [Case(str(number)) for number in range(count)]
    found = split(cases)

    assert sorted(case.name for batch in found for case in batch) == sorted(case.name for case in cases)
    assert max(map(len, found), default=0) <= BATCH_SIZE


def check(case: Case) -> None:
    if case.name == "broken":
        raise KeyError(case.name)
    assert case.good, "the case is bad"


def test_a_batch_of_good_cases_passes() -> None:
    check_each([Case("one"), Case("two")], check)


def test_every_failing_case_is_named_and_the_others_are_tried() -> None:
    tried: list[str] = []

    def note(case: Case) -> None:
        tried.append(case.name)
        check(case)

    with pytest.raises(pytest.fail.Exception) as caught:
        check_each([Case("one"), Case("bad", good=False), Case("broken"), Case("two")], note)

    message = str(caught.value)
    assert message.startswith("2 of 4 vectors failed\n")
    assert "\nbad: AssertionError: the case is bad" in message
    assert "\nbroken: KeyError: 'broken'" in message
    assert tried == ["one", "bad", "broken", "two"]
