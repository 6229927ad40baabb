"""One issuer for all servers of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aveverify.clock import SystemClock
from aveverify.testing import FakeIssuer


@pytest.fixture(scope="module")
def live_issuer() -> Iterator[FakeIssuer]:
    """An issuer on a port of this machine, with the machine's clock."""
    issuer = FakeIssuer(clock=SystemClock())
    with issuer.serve():
        yield issuer
