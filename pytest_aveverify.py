"""A pytest plugin: `ave_clock`, `ave_issuer`, `ave_verifier` and `ave_token`, for the tests of your application.

Installed with the package. Each fixture can be replaced by one of the same name in your own `conftest.py`, and the
others follow. Imports nothing of `aveverify` before a test asks for a fixture: every start of pytest imports this
module, and a measurement of coverage begins later.
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
    """A clock that stands still until the test moves it."""
    from aveverify.testing import FakeClock  # noqa: PLC0415 - not at every start of pytest

    return FakeClock()


@pytest.fixture
def ave_issuer(ave_clock: FakeClock) -> FakeIssuer:
    """An issuer that lives by `ave_clock`."""
    from aveverify.testing import FakeIssuer  # noqa: PLC0415 - not at every start of pytest

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
