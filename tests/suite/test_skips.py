"""The end of a run names what did not run."""

from __future__ import annotations

from tests.suite.skips import count_skips


def test_each_missing_thing_gets_one_line_with_its_count() -> None:
    reasons = [
        "Skipped: NOT RUN: traefik",
        "Skipped: NOT RUN: envoy (no wheel)",
        "Skipped: NOT RUN: traefik (no package)",
    ]

    assert count_skips(reasons) == ["NOT RUN: envoy 1", "NOT RUN: traefik 2"]


def test_equal_reasons_share_a_line_after_what_is_missing() -> None:
    reasons = ["b", "Skipped: a", "Skipped: NOT RUN: nginx", "a"]

    assert count_skips(reasons) == ["NOT RUN: nginx 1", "SKIPPED: a (2)", "SKIPPED: b (1)"]


def test_a_run_without_skips_says_nothing() -> None:
    assert count_skips([]) == []
