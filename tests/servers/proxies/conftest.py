"""What the tests with real proxies share."""

from __future__ import annotations

import pytest

from tests.servers.proxies.scenario import PROXIES, RunProxy, find_program


@pytest.fixture(scope="module", params=list(PROXIES))
def run_proxy(request: pytest.FixtureRequest) -> RunProxy:
    # Here, so that nothing else is started for a proxy that is missing.
    find_program(request.param)
    return PROXIES[request.param]
