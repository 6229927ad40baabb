"""How much a run tries: the share of Hypothesis' examples and of the vectors.

`AVEVERIFY_EXAMPLES` is `all`, `third` (the default) or `fifth`: the share of each property's examples.
`--sample N` runs one in N vectors.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from zlib import crc32

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

VARIABLE: Final = "AVEVERIFY_EXAMPLES"
DIVISORS: Final = {"all": 1, "third": 3, "fifth": 5}
# Hypothesis' own default.
DEFAULT_EXAMPLES: Final = 100
VECTORS: Final = "tests/conformance/"


def examples(count: int) -> int:
    """The share of a number of examples that this run tries, at least one."""
    return max(1, count // DIVISORS[os.environ.get(VARIABLE, "third")])


def pytest_configure() -> None:
    """Set no deadline, because other tests run beside a property, and try the same examples in every run of CI."""
    settings.register_profile("local", deadline=None, max_examples=examples(DEFAULT_EXAMPLES))
    settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
    settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sample", type=int, default=1, metavar="N", help="run one in N cases of tests/conformance")


def in_sample(name: str, size: int) -> bool:
    """Whether a sample of one in `size` holds a test: always the same ones, whatever the order."""
    return crc32(name.encode()) % size == 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    size: int = config.getoption("--sample")
    if size == 1:
        return
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        is_case = item.nodeid.startswith(VECTORS) and item.nodeid.endswith("]")
        (left_out if is_case and not in_sample(item.nodeid, size) else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
