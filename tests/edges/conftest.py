"""One issuer and one warm verifier for all tables; a test that breaks its world gets one of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aveverify import Verifier
from aveverify.testing import FakeClock, FakeIssuer
from tests.edges import ask_fastapi, ask_litestar, ask_starlette, world
from tests.edges.world import Edge, Observer, Scene, make_tokens

EDGES = world.EDGES | ask_starlette.EDGES | ask_fastapi.EDGES | ask_litestar.EDGES


@pytest.fixture(scope="session")
def shared_issuer() -> FakeIssuer:
    return FakeIssuer(clock=FakeClock())


@pytest.fixture(scope="session")
def shared_verifier(shared_issuer: FakeIssuer) -> Iterator[Verifier]:
    with shared_issuer.verifier() as verifier:
        yield verifier


@pytest.fixture(scope="session")
def tokens(shared_issuer: FakeIssuer) -> dict[str, str]:
    return make_tokens(shared_issuer)


@pytest.fixture
def issuer() -> FakeIssuer:
    """An issuer that the test may take down."""
    return FakeIssuer(clock=FakeClock())


@pytest.fixture
def verifier(issuer: FakeIssuer) -> Iterator[Verifier]:
    """A cold verifier."""
    with issuer.verifier() as verifier:
        yield verifier


@pytest.fixture(params=list(EDGES.values()), ids=list(EDGES))
def edge(request: pytest.FixtureRequest) -> Edge:
    """Each way to ask: what the contract says holds for all of them."""
    chosen: Edge = request.param
    return chosen


@pytest.fixture
def scene(edge: Edge, shared_verifier: Verifier, tokens: dict[str, str]) -> Scene:
    """Each way to ask, before a warm verifier."""
    return Scene(edge, shared_verifier, tokens)


@pytest.fixture
def observer() -> Observer:
    return Observer()
