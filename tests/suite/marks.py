"""Marks the tests that start servers, so that `pytest -m "not servers"` leaves them out."""

from __future__ import annotations

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    # A mark of a file holds for each of its tests.
    if isinstance(collector, pytest.Module) and collector.nodeid.startswith("tests/servers/"):
        collector.add_marker("servers")
