"""Leaves tests out of the coverage measurement that add nothing to it: measuring costs half of a test's time again.

The measured tests reach 100 % of the branches by themselves. The others run real servers, or repeat the same lines for
thousands of vectors, generated inputs, and pairs of a rule and a framework. pytest-cov pauses for each test that is
marked `no_cover`.
"""

from __future__ import annotations

import pytest

NOT_MEASURED = (
    "tests/benchmarks/", "tests/conformance/", "tests/examples/", "tests/http/test_closed.py",
    "tests/http/test_contract.py", "tests/property/", "tests/real_issuer/", "tests/security/", "tests/servers/drill/",
    "tests/servers/fleet/", "tests/servers/http/", "tests/servers/proxies/",
)  # fmt: skip
# Measured all the same: only these tests compare both sets of decoders.
LANES = "tests/property/test_lanes.py"


def is_measured(file: str) -> bool:
    """Whether coverage measures the tests of a file."""
    return file == LANES or not file.startswith(NOT_MEASURED)


def pytest_collectstart(collector: pytest.Collector) -> None:
    # A mark of a file holds for each of its tests.
    if isinstance(collector, pytest.Module) and not is_measured(collector.nodeid):
        collector.add_marker("no_cover")
