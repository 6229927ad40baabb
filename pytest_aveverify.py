"""A pytest plugin: `ave_clock`, `ave_issuer`, `ave_verifier` and `ave_token`, for the tests of your application.

The package installs it. A fixture of the same name in your own `conftest.py` replaces one of these, and the others
use it. The module imports nothing of `aveverify` before a test requests a fixture: pytest imports it at every start,
before a measurement of coverage begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aveverify import Verifier
    from aveverify.testing import FakeClock, FakeIssuer


@pytest.fixture
def ave_clock() -> FakeClock:
    """A `FakeClock`: the real time, until the test moves it."""
    from aveverify.testing import FakeClock

    return FakeClock()


@pytest.fixture
def ave_issuer(ave_clock: FakeClock) -> FakeIssuer:
    """A `FakeIssuer` that reads `ave_clock`."""
    from aveverify.testing import FakeIssuer

    return FakeIssuer(clock=ave_clock)


@pytest.fixture
def ave_verifier(ave_issuer: FakeIssuer) -> Iterator[Verifier]:
    """A verifier that fetches from `ave_issuer`; closed after the test."""
    with ave_issuer.verifier() as verifier:
        yield verifier


@pytest.fixture
def ave_token(ave_issuer: FakeIssuer) -> Callable[..., str]:
    """Make tokens of `ave_issuer`: `ave_token(sub="ada")`; see `FakeIssuer.token`."""
    return ave_issuer.token
