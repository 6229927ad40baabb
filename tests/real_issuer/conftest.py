"""One provider for the whole lane; without node, npm or the package every test skips and says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.missing import skip_missing
from tests.real_issuer.provider import NotInstallableError, RealIssuer, running


@pytest.fixture(scope="session")
def real_issuer() -> Iterator[RealIssuer]:
    """A certified OpenID provider on loopback."""
    try:
        with running() as issuer:
            yield issuer
    except NotInstallableError as error:
        skip_missing("node", str(error))
