"""What a flood of refused requests leaves in the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aveverify._http.rate_limited_log import MAX_RECORDS_PER_WINDOW, WINDOW_SECONDS, LimitedLog

if TYPE_CHECKING:
    import pytest


def test_a_flood_fills_its_window_and_is_counted_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    limited = LimitedLog()
    with caplog.at_level(logging.INFO, "aveverify.http"):
        for _ in range(MAX_RECORDS_PER_WINDOW + 7):
            limited.info("refused: %s", "x", 5.0)
        assert len(caplog.records) == MAX_RECORDS_PER_WINDOW
        limited.info("refused: %s", "x", 5.0 + WINDOW_SECONDS)
    assert [record.getMessage() for record in caplog.records[MAX_RECORDS_PER_WINDOW:]] == [
        "7 records of refused requests were left out",
        "refused: x",
    ]


def test_a_quiet_log_says_nothing_of_what_it_left_out(caplog: pytest.LogCaptureFixture) -> None:
    limited = LimitedLog()
    with caplog.at_level(logging.INFO, "aveverify.http"):
        limited.info("refused: %s", "x", 5.0)
        limited.info("refused: %s", "x", 5.0 + WINDOW_SECONDS)
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.INFO]


def test_a_log_that_nobody_reads_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "aveverify.http"):
        LimitedLog().info("refused: %s", "x")
    assert caplog.records == []


def test_a_warning_shares_the_room_of_the_records_and_is_read_where_they_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limited = LimitedLog()
    with caplog.at_level(logging.INFO, "aveverify.http"):
        for _ in range(MAX_RECORDS_PER_WINDOW - 1):
            limited.info("refused: %s", "x", 5.0)
        limited.warning("mistake", 5.0)
        limited.warning("mistake", 5.0)
    assert [record.levelname for record in caplog.records[-2:]] == ["INFO", "WARNING"]
    assert len(caplog.records) == MAX_RECORDS_PER_WINDOW

    caplog.clear()
    with caplog.at_level(logging.WARNING, "aveverify.http"):
        LimitedLog().info("refused: %s", "x")
        LimitedLog().warning("mistake")
    assert [record.getMessage() for record in caplog.records] == ["mistake"]
