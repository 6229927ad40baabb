"""Leaves tests out of the coverage measurement that add nothing to it: measuring costs half of a test's time again.

The measured tests reach 100 % of the branches by themselves. The others run real servers, or repeat the same lines for
thousands of vectors, generated inputs, and pairs of a rule and a framework. pytest-cov pauses for each test that is
marked `no_cover`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

TESTS = Path(__file__).parents[1]
NOT_MEASURED = (
    "benchmarks/", "conformance/", "examples/", "http/test_closed.py", "http/test_contract.py", "property/",
    "real_issuer/", "security/", "servers/drill/", "servers/fleet/", "servers/http/", "servers/proxies/",
)  # fmt: skip
# Measured all the same: only these tests compare both sets of decoders.
LANES = "property/test_lanes.py"


def is_measured(path: Path) -> bool:
    """Whether coverage measures the tests of a file."""
    name = path.relative_to(TESTS).as_posix()
    return name == LANES or not name.startswith(NOT_MEASURED)


def pytest_itemcollected(item: pytest.Item) -> None:
    if not is_measured(item.path) and item.config.pluginmanager.hasplugin("_cov"):
        item.add_marker("no_cover")
