"""An issuer with faulty TLS: it gets no request, the last good keys remain in use, and the status names the failure.

The test has a certificate authority of its own, as a company has; `HttpxFetcher(ssl_context=…)` trusts it.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aveverify import CachePolicy, HttpxFetcher, KeysUnavailableError, Verifier
from aveverify.testing import FakeClock, FakeIssuer
from drill.certificates import make_certificates
from tests.conftest import VerifyAny
from tests.jwks.server import ScriptedServer, serve, whole
from tests.jwks.short_fetcher import ShortFetcher

FRESH = CachePolicy().fresh_seconds
PATIENT = CachePolicy(flight_deadline_seconds=30, waiter_seconds=30)
DAYS = dt.timedelta(days=3)


class HangsUp:
    """Replaces a context: ends the connection in the middle of a handshake."""

    def wrap_socket(self, connection: socket.socket, *, server_side: bool) -> socket.socket:
        assert server_side
        connection.recv(16)
        connection.close()
        raise ConnectionAbortedError


class FallsSilent:
    """Replaces a context: never answers, and waits until the client ends the connection."""

    def wrap_socket(self, connection: socket.socket, *, server_side: bool) -> socket.socket:
        assert server_side
        while connection.recv(4096):
            pass
        raise ConnectionAbortedError


def served(folder: Path, **options: Any) -> ssl.SSLContext:
    folder.mkdir()
    return make_certificates(folder, **options)[0]


# What replaces the context of the server, made in a folder of its own.
FAULTS: dict[str, Callable[[Path], object]] = {
    "an authority that is not trusted": served,
    "a certificate that has expired": lambda folder: served(folder, age=DAYS),
    "a certificate that is not valid yet": lambda folder: served(folder, age=-DAYS),
    "a certificate of another address": lambda folder: served(folder, address="127.0.0.2"),
    "no TLS at all": lambda _: None,
    "a handshake that is broken off": lambda _: HangsUp(),
    "a handshake that never ends": lambda _: FallsSilent(),
}
# The faults under which the server never answers.
LASTING = {"no TLS at all", "a handshake that never ends"}


class World(NamedTuple):
    """An issuer over HTTPS, and a verifier that trusts its authority."""

    issuer: FakeIssuer
    server: ScriptedServer
    fetcher: ShortFetcher
    verifier: Verifier

    def break_tls(self, name: str, folder: Path) -> None:
        context_of: Any = self.server
        context_of._context = FAULTS[name](folder)
        self.fetcher.fault_lasts = name in LASTING


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    return make_certificates(tmp_path)


@pytest.fixture
def world(issuer: FakeIssuer, clock: FakeClock, authority: tuple[ssl.SSLContext, Path]) -> Iterator[World]:
    context, trusted = authority
    servers: list[ScriptedServer] = []

    def answer(connection: socket.socket, stopped: Any) -> None:
        path = servers[0].requests[-1].split(b" ")[1].decode()
        whole(issuer._answer(path).body)(connection, stopped)

    with serve(answer, context) as server:
        servers.append(server)
        issuer.issuer = server.url
        fetcher = ShortFetcher(HttpxFetcher(ssl_context=ssl.create_default_context(cafile=trusted)))
        verifier = Verifier(issuer.provider, fetcher=fetcher, clock=clock, cache_policy=PATIENT)
        yield World(issuer, server, fetcher, verifier)
        verifier.close()


def test_a_private_authority_is_trusted_by_a_context(world: World, verify_any: VerifyAny) -> None:
    assert verify_any(world.verifier, world.issuer.token()).subject
    assert (world.issuer.discovery_requests, world.issuer.jwks_requests) == (1, 1)


@pytest.mark.parametrize("name", FAULTS)
def test_net_015_without_keys_a_tls_fault_makes_them_unavailable_and_asks_nothing(
    world: World, verify_any: VerifyAny, tmp_path: Path, name: str
) -> None:
    world.break_tls(name, tmp_path / "fault")
    with pytest.raises(KeysUnavailableError):
        verify_any(world.verifier, world.issuer.token())
    assert world.server.connections > 0
    assert world.server.requests == []


@pytest.mark.parametrize("name", FAULTS)
def test_net_015_with_keys_a_tls_fault_is_an_outage_like_any_other(
    world: World, verify_any: VerifyAny, clock: FakeClock, tmp_path: Path, name: str
) -> None:
    world.verifier.warm_up()
    asked = list(world.server.requests)
    world.break_tls(name, tmp_path / "fault")
    clock.tick(seconds=FRESH)
    assert verify_any(world.verifier, world.issuer.token()).subject
    status = world.verifier.status().providers[0]
    assert (status.state, status.failures) == ("stale", 1)
    assert status.last_error in ("no connection to the issuer", "the deadline passed")
    assert world.server.requests == asked
