"""The code of `docs/workers.md` about threads; `test_workers_recipe.py` runs it."""

from __future__ import annotations

# region thread
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from aveverify import Identity, current_identity

pool = ThreadPoolExecutor()


def read_in_a_thread() -> Identity | None:
    return pool.submit(copy_context().run, current_identity.get).result()


# endregion
