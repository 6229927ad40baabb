"""The fixtures of the shared HTTP tests: one issuer, one warm verifier, and a cold one for each test that breaks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aveverify.flask._unguarded_views import watch
from tests.http.conftest import (
    integration,
    issuer,
    observer,
    scenario,
    shared_issuer,
    shared_verifier,
    tokens,
    verifier,
)

__all__ = ["integration", "issuer", "observer", "scenario", "shared_issuer", "shared_verifier", "tokens", "verifier"]


@pytest.fixture
def only_our_own_extensions() -> Iterator[None]:
    """Before and after a test, forget the extensions of Flask that are in no application: they watch all others."""
    forget_idle_extensions()
    yield
    forget_idle_extensions()


def forget_idle_extensions() -> None:
    """Stop to watch extensions of Flask that are in no application."""
    for extension in list(watch._idle):
        watch.end(extension)
