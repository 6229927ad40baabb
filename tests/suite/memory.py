"""Keeps what collection makes out of the garbage collector's way.

Thirty thousand collected tests are millions of objects, and none of them is garbage. To go through them again and again
costs a third of the collection; afterwards a test that collects garbage would need a second instead of milliseconds.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
