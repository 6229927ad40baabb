"""The body of a refusal may be the application's; status, challenge and the headers for caches stay."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from aveverify import ConfigurationError, Reason, Refusal, Verifier, asgi, problem_details, wsgi
from aveverify.errors import Problem
from tests.http.http_fixtures import Scenario, asgi_app, wsgi_app

REFUSED = [
    pytest.param(None, 401, None, id="no credentials"),
    pytest.param("expired", 401, Reason.EXPIRED, id="refused"),
    pytest.param("good", 403, Reason.INSUFFICIENT_SCOPE, id="scope missing"),
]


@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
@pytest.mark.parametrize(("kind", "status", "reason"), REFUSED)
def test_the_application_renders_the_body_of_every_refusal(
    scenario: Scenario, kind: str | None, status: int, reason: Reason | None, on_invalid: str
) -> None:
    rendered: list[Refusal] = []

    def render(refusal: Refusal) -> tuple[str, str]:
        rendered.append(refusal)
        return "application/x-refusal; v=1", f"no: {refusal.error_code} ü"

    headers = scenario.bearer(kind) if kind else ()
    options: dict[str, Any] = {"required": True, "scopes": ["read"], "on_invalid": on_invalid}

    plain = scenario.get(headers, **options)
    reply = scenario.get(headers, **options, render_refusal=render)

    about_body = {"content-type", "content-length"}
    assert reply.status == plain.status == status
    assert {name: value for name, value in reply.headers.items() if name not in about_body} == {
        name: value for name, value in plain.headers.items() if name not in about_body
    }
    assert reply.headers["content-type"] == "application/x-refusal; v=1"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.body.decode() == f"no: {plain.content['error']} ü"
    assert {refusal.reason for refusal in rendered} == {reason}
    assert {refusal.status for refusal in rendered} == {status}


def test_problem_details_are_ready_made(scenario: Scenario) -> None:
    """RFC 9457."""
    reply = scenario.get(scenario.bearer("expired"), required=True, render_refusal=problem_details)

    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.content["status"] == reply.status == 401
    assert reply.content["error"] == "invalid_token"


def _raise(_refusal: Refusal) -> tuple[str, str]:
    message = "broken"
    raise LookupError(message)


@pytest.mark.parametrize(
    "render",
    [
        pytest.param(_raise, id="raises"),
        pytest.param(lambda _refusal: None, id="nothing"),
        pytest.param(lambda _refusal: "text", id="no pair"),
        pytest.param(lambda _refusal: ["text/plain", "text"], id="a list"),
        pytest.param(lambda _refusal: ("text/plain", "text", 200), id="three"),
        pytest.param(lambda _refusal: ("text/plain", 7), id="a number as body"),
        pytest.param(lambda _refusal: (b"text/plain", "text"), id="bytes as media type"),
        pytest.param(lambda _refusal: ("plain", "text"), id="no media type"),
        pytest.param(lambda _refusal: ("text/plain\r\nset-cookie: a=b", "text"), id="a header in the media type"),
        pytest.param(lambda _refusal: ("text/plain; a=\x7f", "text"), id="a control character"),
        pytest.param(lambda _refusal: ("text/plain", "\ud800"), id="no UTF-8"),
    ],
)
def test_a_refusal_stays_one_when_its_rendering_fails(
    scenario: Scenario, render: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plain = scenario.get(scenario.bearer("expired"), required=True)

    with caplog.at_level(logging.ERROR, logger="aveverify.http"):
        reply = scenario.get(scenario.bearer("expired"), required=True, render_refusal=render)

    assert reply == plain
    assert any("render_refusal" in record.getMessage() for record in caplog.records)


def test_bytes_are_a_body_too(scenario: Scenario) -> None:
    reply = scenario.get(required=True, render_refusal=lambda _refusal: ("application/x", json.dumps({}).encode()))

    assert (reply.headers["content-type"], reply.body) == ("application/x", b"{}")


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "text/plain; charset=utf-8", "text/html; charset=latin-1", "TEXT/X-OWN;v=1", "application/json"],
)
@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
def test_the_media_type_is_sent_as_it_is_written(scenario: Scenario, media_type: str, on_invalid: str) -> None:
    """Frameworks add a charset to media types of texts."""
    reply = scenario.get(
        scenario.bearer("expired"),
        required=True,
        on_invalid=on_invalid,
        render_refusal=lambda _refusal: (media_type, "no"),
    )

    assert (reply.headers["content-type"], reply.body) == (media_type, b"no")


async def render_later(_refusal: Refusal) -> tuple[str, str]:
    raise NotImplementedError


@pytest.mark.parametrize(
    "render",
    ["text", 7, lambda: ("text/plain", ""), render_later],
    ids=["text", "number", "no argument", "coroutine function"],
)
def test_what_cannot_render_is_refused_when_it_is_built(shared_verifier: Verifier, render: Any) -> None:
    """HTP-043."""
    for make in (
        lambda: asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, required=True, render_refusal=render),
        lambda: wsgi.AveAuthMiddleware(wsgi_app(str), shared_verifier, required=True, render_refusal=render),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, "render_refusal")
