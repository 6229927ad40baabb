"""The fixtures of the tests with real proxies."""

from __future__ import annotations

import pytest

from tests.servers.proxies.scenario import PROXIES, RunProxy, find_program


@pytest.fixture(scope="module", params=list(PROXIES))
def run_proxy(request: pytest.FixtureRequest) -> RunProxy:
    # Before anything else is started for a missing proxy.
    find_program(request.param)
    return PROXIES[request.param]
