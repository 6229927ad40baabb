"""What stands in front of an application may ask who a request was, or why it was refused: for its log."""

from __future__ import annotations

import pytest

from aveverify import AuthRecord, ConfigurationError, Reason, Verifier, asgi, wsgi
from aveverify._http.request_identity import IDENTITY_KEY
from tests.http.http_fixtures import (
    Client,
    Request,
    Server,
    asgi_app,
    bearer,
    http_scope,
    wsgi_app,
    wsgi_environ,
)

OUTCOMES = [
    pytest.param("good", {}, "ada", None, id="accepted"),
    pytest.param("good", {"check": lambda _identity: None}, "ada", None, id="accepted by a check"),
    pytest.param(None, {"required": False}, None, None, id="anonymous"),
    pytest.param("expired", {}, None, Reason.EXPIRED, id="refused"),
    pytest.param("expired", {"on_invalid": "defer"}, None, Reason.EXPIRED, id="deferred"),
    pytest.param("good", {"scopes": ["write"]}, "ada", Reason.INSUFFICIENT_SCOPE, id="scope missing"),
    pytest.param("good", {"allow": lambda _identity: False}, "ada", Reason.NOT_ALLOWED, id="not allowed"),
    pytest.param(
        "good", {"check": lambda _identity: "banned"}, "ada", Reason.REFUSED_BY_CHECK, id="refused by a check"
    ),
]


def note(record: AuthRecord) -> tuple[str | None, Reason | None]:
    """What a log would write."""
    return (
        None if record.identity is None else record.identity.subject,
        None if record.refusal is None else record.refusal.reason,
    )


@pytest.mark.parametrize(("kind", "options", "subject", "reason"), OUTCOMES)
def test_code_in_front_sees_who_it_was_or_why_it_was_refused(  # noqa: PLR0913 - columns of a table
    shared_verifier: Verifier,
    tokens: dict[str, str],
    *,
    kind: str | None,
    options: dict[str, object],
    subject: str | None,
    reason: Reason | None,
) -> None:
    given = {"required": True} | options
    request = Request(bearer(tokens[kind]) if kind else ())
    scope, environ = http_scope(request), wsgi_environ(request)
    asgi_record, wsgi_record = AuthRecord.begin(scope), AuthRecord.begin(environ)

    Client({"type": "http.request"}).call(asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, **given), scope)  # type: ignore[arg-type] # a table
    Server().call(wsgi.AveAuthMiddleware(wsgi_app(str), shared_verifier, **given), environ)  # type: ignore[arg-type]

    assert note(asgi_record) == note(wsgi_record) == (subject, reason)


def test_all_that_ask_in_front_of_a_request_have_its_record(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """An access log, and metrics behind it."""
    scope = http_scope(Request(bearer(tokens["good"])))
    outer, inner = AuthRecord.begin(scope), AuthRecord.begin(scope)

    Client({"type": "http.request"}).call(asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, required=True), scope)

    assert note(outer) == note(inner) == ("ada", None)


def test_a_scope_that_an_anonymous_request_has_used_gets_a_new_record(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-010."""
    middleware = asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, required=False)
    first = AuthRecord.begin(scope := http_scope())
    Client({"type": "http.request"}).call(middleware, scope)
    second = AuthRecord.begin(scope := scope | {"headers": http_scope(Request(bearer(tokens["good"])))["headers"]})
    Client({"type": "http.request"}).call(middleware, scope)

    assert [note(first), note(second)] == [(None, None), ("ada", None)]


def test_a_request_without_credentials_is_refused_without_a_reason(shared_verifier: Verifier) -> None:
    record = AuthRecord.begin(scope := http_scope())

    Client({"type": "http.request"}).call(asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, required=True), scope)

    assert record.refusal is not None
    assert (record.refusal.reason, record.refusal.error_code) == (None, "unauthorized")


def test_no_identity_is_left_where_nobody_has_asked_for_it(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """HTP-037: the scope of the server stays as it was."""
    scope = http_scope(Request(bearer(tokens["good"])))
    before = dict(scope)

    Client({"type": "http.request"}).call(asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, required=True), scope)

    assert scope == before
    assert IDENTITY_KEY not in scope


def test_each_request_has_a_record_of_its_own(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """HTP-010: a scope that is used again tells nothing of the request before."""
    middleware = asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, required=False)
    scope = http_scope(Request(bearer(tokens["good"])))
    first = AuthRecord.begin(scope)
    Client({"type": "http.request"}).call(middleware, scope)
    scope["headers"] = []
    second = AuthRecord.begin(scope)
    Client({"type": "http.request"}).call(middleware, scope)

    assert [note(first), note(second)] == [("ada", None), (None, None)]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("good", "<AuthRecord identity=one refusal=None>"),
        ("expired", "<AuthRecord identity=None refusal=EXPIRED>"),
        (None, "<AuthRecord identity=None refusal=unauthorized>"),
    ],
    ids=["good", "expired", "none"],
)
def test_a_record_shows_nothing_of_a_user(
    shared_verifier: Verifier, tokens: dict[str, str], kind: str | None, text: str
) -> None:
    """ERR-002."""
    record = AuthRecord.begin(scope := http_scope(Request(bearer(tokens[kind]) if kind else ())))

    Client({"type": "http.request"}).call(asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, required=True), scope)

    assert repr(record) == text


def test_what_is_no_request_has_no_record() -> None:
    with pytest.raises((ConfigurationError, TypeError)):
        AuthRecord.begin(7)
