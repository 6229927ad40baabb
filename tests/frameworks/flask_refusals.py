"""Every kind of refusal, and every way in which a Flask application comes to it: what several tests of Flask share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from flask import Blueprint, Flask

from aveverify import (
    AuthRecord,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
)
from aveverify.flask import AveAuth, current_identity
from aveverify.testing import FakeClock, FakeIssuer
from tests.http.http_fixtures import bearer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.test import TestResponse

    from aveverify import Verifier


class Refused(NamedTuple):
    """A request that is refused, and how."""

    headers: dict[str, str]
    verifier: Verifier
    status: int
    reason: Reason | None
    error: type[Exception] | None
    head: str


class Kind(NamedTuple):
    """One kind of refusal."""

    make_token: Callable[[FakeIssuer], str] | None
    status: int
    reason: Reason | None
    error: type[Exception] | None
    head: str = "www-authenticate"


KINDS = {
    "no credentials": Kind(None, 401, None, None),
    "malformed": Kind(lambda _: "a.b c", 400, Reason.MALFORMED_AUTHORIZATION, InvalidRequestError),
    "refused": Kind(lambda issuer: issuer.forge("expired"), 401, Reason.EXPIRED, InvalidTokenError),
    "scope missing": Kind(lambda issuer: issuer.token(), 403, Reason.INSUFFICIENT_SCOPE, InsufficientScopeError),
    "keys unavailable": Kind(
        lambda issuer: issuer.token(), 503, Reason.KEYS_UNAVAILABLE, KeysUnavailableError, "retry-after"
    ),
}
every_kind = pytest.mark.parametrize("kind", list(KINDS))


@functools.cache
def make_refused(kind: str) -> Refused:
    """A request of this kind, with the verifier that refuses it."""
    issuer = FakeIssuer(clock=FakeClock())
    row = KINDS[kind]
    headers = {} if row.make_token is None else dict(bearer(row.make_token(issuer)))
    if kind == "keys unavailable":
        issuer.go_down()
    return Refused(headers, issuer.verifier(), row.status, row.reason, row.error, row.head)


def read_identity() -> str:
    """Read the identity, as a view does."""
    return current_identity.subject


def new_view() -> Callable[[], str]:
    """A new view that reads the identity, because decorated views are remembered."""

    def view() -> str:
        return read_identity()

    return view


def decorated(app: Flask, verifier: Verifier, **options: Any) -> None:
    """Behind `@ave.required`."""
    ave = AveAuth(app, verifier, **options)
    app.get("/")(ave.required(scopes=["read"])(new_view()))


def required_by_config(app: Flask, verifier: Verifier, **options: Any) -> None:
    """Behind no decorator, in an application that requires credentials."""
    app.config.update(AVEVERIFY_REQUIRED=True, AVEVERIFY_SCOPES=["read"])
    AveAuth(app, verifier, **options)
    app.get("/")(new_view())


def protected_blueprint(
    app: Flask, verifier: Verifier, *, prepare: Callable[[Blueprint], object] = id, **options: Any
) -> None:
    """In a protected blueprint, which may be prepared before it is registered."""
    ave = AveAuth(app, verifier, **options)
    blueprint = ave.protect(Blueprint("api", "api"), scopes=["read"])
    prepare(blueprint)
    blueprint.get("/")(new_view())
    app.register_blueprint(blueprint)


def read_lazily(app: Flask, verifier: Verifier, **options: Any) -> None:
    """Behind nothing: the view reads the identity."""
    AveAuth(app, verifier, scopes=["read"], **options)
    app.get("/")(new_view())


def deferred(app: Flask, verifier: Verifier, **options: Any) -> None:
    """Required by the config, and deferred until the view reads the identity."""
    required_by_config(app, verifier, on_invalid="defer", **options)


WAYS: dict[str, Callable[..., None]] = {
    "decorated": decorated,
    "config": required_by_config,
    "blueprint": protected_blueprint,
    "lazy": read_lazily,
    "deferred": deferred,
}
# Without credentials the identity of a view that reads it is None, and no refusal.
ROWS = [
    pytest.param(kind, way, id=f"{kind}, {way}")
    for kind in KINDS
    for way in WAYS
    if (kind, way) != ("no credentials", "lazy")
]
every_way = pytest.mark.parametrize(("kind", "way"), ROWS)


def assert_refused(answer: TestResponse, refused: Refused) -> None:
    """Status, challenge and the headers for caches are those of the refusal."""
    assert answer.status_code == refused.status
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Authorization"
    head = answer.headers.getlist(refused.head)
    assert len(head) == 1
    assert head[0].isdigit() if refused.status == 503 else head[0].startswith("Bearer")
    if refused.status == 401:
        assert ('error="invalid_token"' in head[0]) == (refused.reason is not None)


def keep_records(app: Flask) -> list[AuthRecord]:
    """The records of all requests from now on, as an access log in front of the application has them."""
    records: list[AuthRecord] = []
    behind = app.wsgi_app

    def in_front(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        records.append(AuthRecord.begin(environ))
        return behind(environ, start_response)

    app.wsgi_app = in_front  # type: ignore[method-assign]
    return records


def get(app: Flask, token: str | None = None, path: str = "/") -> TestResponse:
    """The response to a request with a token or without."""
    return app.test_client().get(path, headers=bearer(token) if token else ())
