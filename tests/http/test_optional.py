"""Paths that may go without a token, where all others need one."""

from __future__ import annotations

import pytest

from aveverify import Verifier, asgi, wsgi
from tests.http.http_fixtures import (
    Client,
    RecordingView,
    Request,
    Scenario,
    Server,
    asgi_app,
    bearer,
    http_scope,
    wsgi_app,
    wsgi_environ,
)
from tests.http.test_contract import ADA, ANONYMOUS, INVALID_TOKEN, NO_CREDENTIALS, Expected, check

OPTIONAL = [
    pytest.param(None, ANONYMOUS, id="without a token"),
    pytest.param("good", ADA, id="a good token"),
    pytest.param("expired", INVALID_TOKEN, id="a bad token"),
]


@pytest.mark.parametrize(("kind", "expected"), OPTIONAL)
def test_an_optional_path_reads_a_token_if_there_is_one(
    scenario: Scenario, kind: str | None, expected: Expected
) -> None:
    """HTP-036: optional is for requests without a token, never for a bad one."""
    reply = scenario.get(scenario.bearer(kind) if kind else (), required=True, optional=["/"])

    check(reply, scenario, expected)


def test_every_other_path_needs_a_token(scenario: Scenario) -> None:
    check(scenario.get(required=True, optional=["/feed", "/feed/*"]), scenario, NO_CREDENTIALS)


PATHS = [
    pytest.param("/feed", 200, id="the path itself"),
    pytest.param("/feed/", 200, id="below"),
    pytest.param("/feed/1", 200, id="deeper below"),
    pytest.param("/feeds", 401, id="a longer name"),
    pytest.param("/", 401, id="above"),
    pytest.param("/feed/../me", 401, id="HTP-013: dot segments"),
    pytest.param("//feed", 401, id="HTP-014: an empty segment"),
    pytest.param("/feed;x", 401, id="HTP-020: a path parameter"),
]


@pytest.mark.parametrize(("path", "status"), PATHS)
def test_optional_paths_are_compared_like_exempt_ones(
    shared_verifier: Verifier, observer: RecordingView, path: str, status: int
) -> None:
    optional = ["/feed", "/feed/*"]
    client, server = Client({"type": "http.request"}), Server()

    client.call(
        asgi.AveAuthMiddleware(asgi_app(observer), shared_verifier, required=True, optional=optional),
        http_scope(path=path),
    )
    server.call(
        wsgi.AveAuthMiddleware(wsgi_app(observer), shared_verifier, required=True, optional=optional),
        wsgi_environ(PATH_INFO=path),
    )

    assert [client.reply.status, server.reply.status] == [status, status]


@pytest.mark.parametrize("prefix", ["/api", "/feed"])
def test_a_prefix_makes_no_path_optional(shared_verifier: Verifier, observer: RecordingView, prefix: str) -> None:
    """HTP-026."""
    client = Client({"type": "http.request"})

    client.call(
        asgi.AveAuthMiddleware(asgi_app(observer), shared_verifier, required=True, optional=["/feed"]),
        http_scope(path=f"{prefix}/me", root_path=prefix),
    )

    assert client.reply.status == 401


def test_an_exempt_path_reads_nothing_even_where_it_is_optional_too(
    shared_verifier: Verifier, observer: RecordingView, tokens: dict[str, str]
) -> None:
    client = Client({"type": "http.request"})

    client.call(
        asgi.AveAuthMiddleware(asgi_app(observer), shared_verifier, required=True, optional=["/"], exempt=["/"]),
        http_scope(Request(bearer(tokens["expired"]))),
    )

    assert client.reply.status == 200
