"""Rounds and ratios, with a fake timer."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from benchmarks.measure import sum_up, time_rounds


@dataclass
class ScriptedTimer:
    """Reports (n + 1) microseconds for a call of case n, and records the requests."""

    keys: list[str]
    asked: list[tuple[int, int]] = field(default_factory=list)
    collections: int = 0

    def time(self, case: int, repetitions: int) -> int:
        self.asked.append((case, repetitions))
        return (case + 1) * 1_000

    def collect_garbage(self) -> None:
        self.collections += 1


RAW = {"group": "limit", "setting": "RS256", "contestant": "raw"}
OURS = {"group": "cold", "setting": "RS256", "contestant": "aveverify"}


def test_every_round_times_every_case_of_every_lane_once() -> None:
    timers = [ScriptedTimer(["a", "b"]), ScriptedTimer(["c"])]
    readings = time_rounds(timers, rounds=5)
    assert readings == [[[1_000] * 5, [2_000] * 5], [[1_000] * 5]]
    assert [timer.collections for timer in timers] == [5, 5]


def test_a_slice_holds_as_many_calls_as_fit() -> None:
    timer = ScriptedTimer(["a", "b"])
    time_rounds([timer], rounds=1, slice_ns=10_000)
    assert sorted(timer.asked[4:]) == [(0, 10), (1, 5)]


def test_the_order_of_the_cases_changes_from_round_to_round() -> None:
    timer = ScriptedTimer([str(number) for number in range(10)])
    time_rounds([timer], rounds=2)
    asked = [case for case, _ in timer.asked[20:]]
    assert asked[:10] != asked[10:]
    assert sorted(asked[:10]) == sorted(asked[10:]) == list(range(10))


def test_a_ratio_is_taken_within_the_round_where_both_were_slow() -> None:
    raw, ours = [10_000, 20_000, 40_000], [15_000, 30_000, 60_000]
    _, result = sum_up("standard", [RAW, OURS], [{}, {"raw": "limit | RS256 | raw"}], [raw, ours])
    assert result.ratios == {"raw": 1.5}
    assert result.quartiles_us == pytest.approx((15, 30, 60))


def test_a_baseline_that_is_not_measured_in_this_lane_gives_no_ratio() -> None:
    (result,) = sum_up("standard", [OURS], [{"raw": "limit | RS256 | raw"}], [[1, 2, 3]])
    assert result.ratios == {}
