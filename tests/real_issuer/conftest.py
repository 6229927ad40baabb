"""One provider for all tests; without node, npm or its packages every test is skipped, and says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.missing import skip_missing
from tests.real_issuer.provider import NotInstallableError, RealIssuer, running


@pytest.fixture(scope="session")
def real_issuer() -> Iterator[RealIssuer]:
    """A certified OpenID provider on 127.0.0.1."""
    try:
        with running() as issuer:
            yield issuer
    except NotInstallableError as error:
        skip_missing("node", str(error))
