"""Every refresh ends with its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jwks.refresh_threads import join_refreshes


@pytest.fixture(autouse=True)
def _refreshes_end_with_their_test() -> Iterator[None]:
    """What a refresh logs after its waiters have returned must not appear in the next test."""
    yield
    join_refreshes()
