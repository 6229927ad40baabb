"""Greenlets: gunicorn's gevent worker patches threads, locks and sockets under the verifier."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from aveverify.clock import SystemClock
from aveverify.fetcher import FetchResponse
from aveverify.testing import FakeIssuer
from aveverify.testing._server import serve_documents
from tests.raw_http import TIMEOUT_SECONDS, Answer, ask, bearer, receive, request
from tests.servers.http.servers import HTTP_SERVERS, run_server

CONNECTIONS = 40


def test_many_greenlets_wait_for_one_fetch_and_the_worker_goes_on(tmp_path: Path) -> None:
    """CON-011: there is one refresh under its lock, and a request that needs no keys is served meanwhile."""
    issuer = FakeIssuer(clock=SystemClock())
    may_answer = Event()

    def answer(path: str) -> FetchResponse:
        assert may_answer.wait(TIMEOUT_SECONDS)
        return issuer._answer(path)

    with serve_documents(answer) as issuer.issuer, ExitStack() as stack:
        server = stack.enter_context(
            run_server("gunicorn-gevent", HTTP_SERVERS["gunicorn-gevent"], issuer.issuer, tmp_path)
        )
        data = request(bearer(issuer.token(sub="ada")), target=b"/me")
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS))
            for _ in range(CONNECTIONS)
        ]
        for connection in connections:
            connection.sendall(data)
        assert ask(server.port, target=b"/public").status == 200
        may_answer.set()
        answers: list[Answer] = [receive(connection, "GET") for connection in connections]

    assert {(answer.status, answer.body) for answer in answers} == {(200, b"hello ada at /me\n")}
    assert (issuer.discovery_requests, issuer.jwks_requests) == (1, 1)
