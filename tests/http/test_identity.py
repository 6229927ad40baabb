"""`get_user_identity`: from whatever a framework hands to a view, and never a guess."""

from __future__ import annotations

import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask import request as flask_request
from starlette.requests import HTTPConnection
from starlette.requests import Request as StarletteRequest
from starlette.websockets import WebSocket
from werkzeug.wrappers import Request as WerkzeugRequest

import aveverify
from aveverify import ConfigurationError, Identity, InvalidTokenError, Reason, Verifier, get_user_identity
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify.errors import Problem
from tests.http.http_fixtures import http_scope, wsgi_environ


async def never(*_messages: object) -> Any:
    raise NotImplementedError


def requests_with(members: dict[str, Any]) -> dict[str, Any]:
    """The same request in every shape in which a view may meet it."""
    scope, environ = http_scope() | members, wsgi_environ() | members
    return {
        "scope": scope,
        "environ": environ,
        "Starlette request": StarletteRequest(scope),
        "Starlette connection": HTTPConnection(scope),
        "Starlette WebSocket": WebSocket(scope | {"type": "websocket"}, never, never),
        "Werkzeug request": WerkzeugRequest(environ),
        "an object with a scope": SimpleNamespace(scope=scope),
        "an object with an environ": SimpleNamespace(environ=environ),
        "an object with an environ and no scope": SimpleNamespace(environ=environ, scope=None),
    }


SHAPES = list(requests_with({}))


@pytest.fixture
def identity(tokens: dict[str, str], shared_verifier: Verifier) -> Identity:
    return shared_verifier.verify(tokens["good"])


@pytest.fixture
def refusal(tokens: dict[str, str], shared_verifier: Verifier) -> InvalidTokenError:
    with pytest.raises(InvalidTokenError) as caught:
        shared_verifier.verify(tokens["expired"])
    return caught.value


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_request_will_do(shape: str, identity: Identity) -> None:
    assert get_user_identity(requests_with({IDENTITY_KEY: identity})[shape]) is identity
    assert get_user_identity(requests_with({IDENTITY_KEY: None})[shape]) is None


def test_the_request_of_flask(identity: Identity) -> None:
    with Flask(__name__).test_request_context(environ_base={IDENTITY_KEY: identity}):
        assert get_user_identity(flask_request) is identity


@pytest.mark.parametrize("shape", SHAPES)
def test_a_forgotten_middleware_does_not_look_like_an_anonymous_user(shape: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        get_user_identity(requests_with({})[shape])

    assert caught.value.problem is Problem.NO_MIDDLEWARE
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("planted", ["ada", {"subject": "ada"}, True, 0, ""])
def test_only_what_a_verifier_made_is_an_identity(shape: str, planted: object) -> None:
    """HTP-010, should somebody find a way to write into the request."""
    with pytest.raises(ConfigurationError) as caught:
        get_user_identity(requests_with({IDENTITY_KEY: planted})[shape])

    assert caught.value.problem is Problem.NO_MIDDLEWARE


@pytest.mark.parametrize(
    "thing",
    [None, "request", b"", 7, [], (), {}, object(), SimpleNamespace(scope=7)],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_no_request_is_a_clear_error(thing: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        get_user_identity(thing)

    assert caught.value.problem is Problem.NO_MIDDLEWARE


@pytest.mark.parametrize("shape", SHAPES)
def test_a_deferred_refusal_is_raised_each_time_somebody_asks(shape: str, refusal: InvalidTokenError) -> None:
    """And its traceback does not grow: a loop that asks must not fill the memory."""
    request = requests_with({IDENTITY_KEY: DeferredError(refusal)})[shape]
    depths = set()

    for _ in range(5):
        with pytest.raises(InvalidTokenError) as caught:
            get_user_identity(request)
        assert caught.value.reason is Reason.EXPIRED
        depths.add(len(traceback.extract_tb(caught.value.__traceback__)))

    assert len(depths) == 1


def test_the_traceback_of_a_deferred_refusal_leads_to_who_asked(
    refusal: InvalidTokenError, tokens: dict[str, str]
) -> None:
    """No frame of the verification hangs on it, where a crash report would find the token among the locals."""
    with pytest.raises(InvalidTokenError) as caught:
        get_user_identity({IDENTITY_KEY: DeferredError(refusal)})

    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert [frame.f_code.co_name for frame in frames][1:] == ["get_user_identity"]
    assert not any(tokens["expired"] in repr(value) for value in frames[-1].f_locals.values())


def test_the_package_exports_it() -> None:
    assert aveverify.get_user_identity is get_user_identity
