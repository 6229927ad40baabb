"""Keeps what collection made out of the garbage collector's way.

Thirty thousand collected tests are millions of objects. A test that collects garbage would go through all of them, which
takes a second instead of a few milliseconds.
"""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
