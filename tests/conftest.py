"""What every test gets: versions in the header, a network that ends at this machine, an issuer, a clock, a verifier."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
import trio

from aveverify import Identity, Verifier
from aveverify.testing import FakeClock, FakeIssuer

pytest_plugins = [f"tests.suite.{name}" for name in ("effort", "marks", "measured", "memory", "skips")]

# Far from the real time, so that a test fails where code reads another clock.
NOW = 1_700_000_000.0
VerifyAny = Callable[[Verifier, str | bytes], Identity]

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def pytest_report_header() -> str:
    names = ("cryptography", "PyJWT", "httpx", "starlette", "flask")
    return "with " + ", ".join(f"{name} {version(name)}" for name in names)


def _check_loopback(address: Any) -> None:
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        message = f"a test tried to reach {address[0]}"
        raise AssertionError(message)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    def connect(self: socket.socket, address: Any) -> None:
        _check_loopback(address)
        _connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        _check_loopback(address)
        return _connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        yield


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOW)


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(clock=clock)


@pytest.fixture
def verifier(issuer: FakeIssuer) -> Iterator[Verifier]:
    with issuer.verifier() as verifier:
        yield verifier


def _verify(verifier: Verifier, token: str | bytes) -> Identity:
    return verifier.verify(token)


def _verify_async(verifier: Verifier, token: str | bytes) -> Identity:
    return asyncio.run(verifier.verify_async(token))


def _verify_in_trio(verifier: Verifier, token: str | bytes) -> Identity:
    return trio.run(verifier.verify_async, token)


@pytest.fixture(params=[_verify, _verify_async, _verify_in_trio], ids=["sync", "async", "trio"])
def verify_any(request: pytest.FixtureRequest) -> VerifyAny:
    """Both entry points, the asynchronous one under each event loop: a behaviour holds for all of them."""
    driver: VerifyAny = request.param
    return driver


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    """A framework that configures the root logger when its application starts does so for one test only."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
