"""The type of `current_identity`, and what can be bound."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import assert_type

from aveverify import Identity, current_identity


@current_identity.bind(None)
def work(name: str) -> int:
    """A decorated function keeps its signature."""
    return len(name)


def check(identity: Identity, read: Identity | None) -> None:
    """A block gives nothing; the identity is read as in a request."""
    block: AbstractContextManager[None] = current_identity.bind(identity)
    with block:
        assert_type(current_identity.get(), Identity | None)
    with current_identity.bind(read):
        assert_type(work("ada"), int)
    current_identity.bind("ada")  # type: ignore[arg-type]
