"""What only Starlette has: `request.user`, `request.auth`, `requires`, and a backend for its own middleware."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthenticationError, UnauthenticatedUser, requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from aveverify import (
    ConfigurationError,
    Identity,
    InvalidTokenError,
    Reason,
    Verifier,
    current_identity,
    get_user_identity,
)
from aveverify._http.app_user import LoadUser, RefusedUser
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify.asgi import get_live_connection
from aveverify.sources import AuthorizationHeader, QueryParameter
from aveverify.starlette import AveAuthBackend, AveAuthMiddleware, exception_handlers
from tests.http.http_fixtures import Client, Request, bearer, http_scope, subject_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request as StarletteRequest
    from starlette.types import ASGIApp, Receive, Scope, Send
    from starlette.websockets import WebSocket

Install = Callable[..., list[Middleware]]


class User(NamedTuple):
    """A user of the application."""

    name: str


def with_middleware(verifier: Verifier, **options: Any) -> list[Middleware]:
    return [Middleware(AveAuthMiddleware, verifier=verifier, **options)]


def with_backend(verifier: Verifier, **options: Any) -> list[Middleware]:
    backend = AveAuthBackend(verifier, **options)
    return [Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)]


@pytest.fixture(params=[with_middleware, with_backend], ids=["middleware", "backend"])
def install(request: pytest.FixtureRequest) -> Install:
    chosen: Install = request.param
    return chosen


async def who(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse(f"{type(request.user).__name__} {sorted(request.auth.scopes)} {subject_of(request)}")


@requires("authenticated")
async def only_members(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse(request.user.display_name)


@requires(["authenticated", "read"])
def only_readers(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse(request.user.display_name)


ROUTES = [Route("/", who), Route("/members", only_members), Route("/readers", only_readers)]


def client_of(middleware: list[Middleware], **settings: Any) -> TestClient:
    return TestClient(
        Starlette(**({"routes": ROUTES} | settings), middleware=middleware, exception_handlers=exception_handlers)
    )


def test_the_user_is_the_identity_and_the_scopes_are_those_of_the_token(
    install: Install, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    client = client_of(install(shared_verifier, required=False))

    assert client.get("/", headers=dict(bearer(tokens["good"]))).text == "Identity ['authenticated'] ada"
    assert (
        client.get("/", headers=dict(bearer(tokens["reader"]))).text
        == "Identity ['authenticated', 'openid', 'read'] ada"
    )
    assert client.get("/").text == "UnauthenticatedUser [] None"


def test_requires_knows_members_and_scopes(install: Install, shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    client = client_of(install(shared_verifier, required=False))

    found = {
        kind: [client.get(path, headers=dict(headers)).status_code for path in ("/members", "/readers")]
        for kind, headers in {
            "reader": bearer(tokens["reader"]),
            "member": bearer(tokens["good"]),
            "anonymous": (),
            "refused": bearer(tokens["expired"]),
        }.items()
    }

    assert found == {"reader": [200, 200], "member": [200, 403], "anonymous": [403, 403], "refused": [401, 401]}


def test_what_stood_in_the_scope_is_overwritten(
    install: Install, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-010: user, scopes and identity, of anonymous requests too."""
    planted = shared_verifier.verify(tokens["other"])
    inner = Starlette(routes=ROUTES, middleware=install(shared_verifier, required=False))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, "user": planted, "auth": None, IDENTITY_KEY: planted}, receive, send)

    client = TestClient(app)
    assert client.get("/").text == "UnauthenticatedUser [] None"
    assert client.get("/", headers=dict(bearer(tokens["good"]))).text == "Identity ['authenticated'] ada"


# --- the user of the application ------------------------------------------------------------------------------------


def load(identity: Identity) -> User | None:
    return User(identity.subject) if identity.subject == "ada" else None


async def load_later(identity: Identity) -> User | None:
    return load(identity)


loaders = pytest.mark.parametrize("load_user", [load, load_later], ids=["function", "coroutine function"])


@loaders
def test_what_load_user_returns_becomes_the_user(
    install: Install,
    shared_verifier: Verifier,
    tokens: dict[str, str],
    load_user: LoadUser[User],
) -> None:
    client = client_of(install(shared_verifier, required=False, load_user=load_user))

    assert client.get("/", headers=dict(bearer(tokens["good"]))).text == "User ['authenticated'] ada"
    assert client.get("/").text == "UnauthenticatedUser [] None"


@loaders
@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
def test_a_good_token_of_nobody_is_refused(
    install: Install,
    shared_verifier: Verifier,
    tokens: dict[str, str],
    load_user: LoadUser[User],
    on_invalid: str,
) -> None:
    client = client_of(install(shared_verifier, required=False, load_user=load_user, on_invalid=on_invalid))

    answer = client.get("/", headers=dict(bearer(tokens["other"])))

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert answer.headers["cache-control"] == "no-store"


def test_check_may_refuse(install: Install, shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    async def check(identity: Identity) -> str | None:
        return "banned" if identity.subject == "grace" else None

    client = client_of(install(shared_verifier, required=True, check=check))

    assert client.get("/", headers=dict(bearer(tokens["good"]))).status_code == 200
    assert client.get("/", headers=dict(bearer(tokens["other"]))).status_code == 401


def test_the_backend_gives_the_user_with_its_type(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    backend = AveAuthBackend(shared_verifier, required=False, load_user=load)

    async def name(request: StarletteRequest) -> PlainTextResponse:
        user = backend.get_user(request)
        return PlainTextResponse(user.name if user is not None else "nobody")

    client = client_of([Middleware(AuthenticationMiddleware, backend=backend)], routes=[Route("/", name)])
    assert client.get("/", headers=dict(bearer(tokens["good"]))).text == "ada"
    assert client.get("/").text == "nobody"


# --- deferred refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda request: request.user.subject, id="an attribute of the user"),
        pytest.param(lambda request: request.user.is_authenticated, id="whether there is a user"),
        pytest.param(lambda request: bool(request.user), id="the truth of the user"),
        pytest.param(lambda request: request.auth.scopes, id="the scopes"),
        pytest.param(lambda request: "read" in request.auth, id="one scope"),
        pytest.param(lambda request: list(request.auth), id="each scope"),
        pytest.param(get_user_identity, id="the identity"),
    ],
)
def test_whoever_reads_a_deferred_user_learns_of_the_refusal(
    install: Install, shared_verifier: Verifier, tokens: dict[str, str], read: Callable[[Any], object]
) -> None:
    """HTP-036: never silently anonymous."""

    async def endpoint(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse(str(read(request)))

    client = client_of(install(shared_verifier, required=False, on_invalid="defer"), routes=[Route("/", endpoint)])
    answer = client.get("/", headers=dict(bearer(tokens["expired"])))

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_requires_learns_of_a_deferred_refusal(
    install: Install, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    client = client_of(install(shared_verifier, required=False, on_invalid="defer", realm="here"))

    answer = client.get("/members", headers=dict(bearer(tokens["bad_signature"])))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="here", error="invalid_token"')


def test_python_itself_may_look_at_a_deferred_user(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """A debugger or a copy that looks for special names is no view that asks."""
    with pytest.raises(InvalidTokenError) as caught:
        shared_verifier.verify(tokens["expired"])
    user = RefusedUser(DeferredError(caught.value))

    assert not hasattr(user, "__wrapped__")
    assert "RefusedUser" in repr(user)
    with pytest.raises(InvalidTokenError):
        _ = user.name


def test_the_handlers_answer_the_deferred_refusal_of_this_request_alone(
    install: Install, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """What the application verified by itself is not this client's."""

    async def endpoint(_request: StarletteRequest) -> PlainTextResponse:
        await shared_verifier.verify_async(tokens["bad_signature"])
        raise NotImplementedError

    client = client_of(install(shared_verifier, required=False, on_invalid="defer"), routes=[Route("/", endpoint)])
    for kind in ("expired", "good"):
        with pytest.raises(InvalidTokenError) as caught:
            client.get("/", headers=dict(bearer(tokens[kind])))
        assert caught.value.reason is Reason.BAD_SIGNATURE


def test_on_error_answers_nobody_elses_errors(shared_verifier: Verifier) -> None:
    backend = AveAuthBackend(shared_verifier, required=True)
    stranger = AuthenticationError("stranger")

    with pytest.raises(AuthenticationError) as caught:
        backend.on_error(HTTPConnection(http_scope()), stranger)

    assert caught.value is stranger


# --- what is no request ---------------------------------------------------------------------------------------------


async def greet(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"{websocket.user.is_authenticated} {subject_of(websocket)}")
    await websocket.close()


def websocket_client(middleware: list[Middleware]) -> TestClient:
    return client_of(middleware, routes=[WebSocketRoute("/", greet)])


@pytest.mark.parametrize(
    ("kind", "text"), [pytest.param("good", "True ada", id="good"), pytest.param(None, "False None", id="anonymous")]
)
def test_a_websocket_has_a_user(
    install: Install, shared_verifier: Verifier, tokens: dict[str, str], kind: str | None, text: str
) -> None:
    headers = dict(bearer(tokens[kind])) if kind else {}

    with websocket_client(install(shared_verifier, required=False)).websocket_connect("/", headers=headers) as session:
        assert session.receive_text() == text


async def chat(websocket: WebSocket) -> None:
    """Say who it is at first, then after each further token."""
    await websocket.accept()
    live = get_live_connection(websocket)
    for _ in range(2):
        try:
            await live.reauthenticate(await websocket.receive_text(), allow_other_user=True)
        except InvalidTokenError as error:
            await websocket.send_text(f"{error.reason.value}, still {websocket.user}")
        else:
            await websocket.send_text(f"{websocket.user} {websocket.auth.scopes}")
    await websocket.close()


def test_a_new_token_of_a_websocket_is_a_new_user(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    async def load_user(identity: Identity) -> str | None:
        return identity.subject.upper() if identity.subject != "grace" else None

    auth = with_middleware(shared_verifier, required=True, load_user=load_user)
    app = Starlette(routes=[WebSocketRoute("/", chat)], middleware=auth)
    headers = dict(bearer(tokens["good"]))
    with TestClient(app).websocket_connect("/", headers=headers) as session:
        session.send_text(tokens["other"])
        assert session.receive_text() == "UNKNOWN_USER, still ADA"
        session.send_text(tokens["reader"])
        assert session.receive_text() == "ADA ['authenticated', 'openid', 'read']"


def test_without_a_user_of_its_own_the_application_sees_the_new_identity(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    app = Starlette(routes=[WebSocketRoute("/", chat)], middleware=with_middleware(shared_verifier, required=False))
    with TestClient(app).websocket_connect("/") as session:
        session.send_text(tokens["expired"])
        assert session.receive_text().startswith("EXPIRED, still <starlette")
        session.send_text(tokens["other"])
        assert "subject='grace'" in session.receive_text()


def test_a_token_in_the_query_of_a_websocket_counts_by_choice_and_is_taken_out(
    install: Install, shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-029, HTP-033: neither the application nor the server's log sees it."""
    seen: list[bytes] = []

    async def endpoint(websocket: WebSocket) -> None:
        seen.append(websocket.scope["query_string"])
        await greet(websocket)

    middleware = install(shared_verifier, required=True, token_sources=[AuthorizationHeader(), QueryParameter()])
    client = client_of(middleware, routes=[WebSocketRoute("/", endpoint), Route("/", who)])

    with client.websocket_connect(f"/?a=b&access_token={tokens['good']}&c=d") as session:
        assert session.receive_text() == "True ada"
    assert seen == [b"a=b&c=d"]
    assert client.get(f"/?access_token={tokens['good']}").status_code == 401


@pytest.mark.parametrize("kind", ["expired", "other", None], ids=["refused", "unknown user", "anonymous"])
def test_the_middleware_denies_a_websocket_before_it_is_accepted(
    shared_verifier: Verifier, tokens: dict[str, str], kind: str | None
) -> None:
    """HTP-029."""
    client = websocket_client(with_middleware(shared_verifier, required=True, load_user=load))

    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        client.websocket_connect("/", headers=dict(bearer(tokens[kind])) if kind else {}),
    ):
        raise NotImplementedError

    assert caught.value.status_code == 401


def test_the_backend_lets_starlette_close_a_websocket_before_it_is_accepted(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-029: Starlette's middleware knows no other way."""
    client = websocket_client(with_backend(shared_verifier, required=True))

    with (
        pytest.raises(WebSocketDisconnect) as caught,
        client.websocket_connect("/", headers=dict(bearer(tokens["expired"]))),
    ):
        raise NotImplementedError

    assert caught.value.code == 1000


def test_lifespan_and_unknown_kinds_pass(install: Install, shared_verifier: Verifier) -> None:
    """HTP-032."""
    happened: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        happened.append("begin")
        yield
        happened.append("end")

    with client_of(install(shared_verifier, required=True), lifespan=lifespan):
        pass

    assert happened == ["begin", "end"]


def test_an_unknown_kind_of_connection_has_no_user(shared_verifier: Verifier) -> None:
    """HTP-032."""
    seen: list[Any] = []

    async def app(scope: Any, _receive: object, _send: object) -> None:
        seen.append(scope)

    middleware: ASGIApp = AveAuthMiddleware(app, shared_verifier, required=True)
    Client().call(middleware, {"type": "webtransport", "headers": []})

    assert seen == [{"type": "webtransport", "headers": []}]


def test_code_without_a_request_knows_who_it_is(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    async def endpoint(_request: StarletteRequest) -> PlainTextResponse:
        identity = current_identity.get()
        return PlainTextResponse(identity.subject if identity else "")

    client = client_of(with_middleware(shared_verifier, required=True), routes=[Route("/", endpoint)])
    assert client.get("/", headers=dict(bearer(tokens["good"]))).text == "ada"


def test_behind_the_backend_nobody_is_current_and_asking_is_an_error(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """HTP-037: Starlette does not say when a request ends, so whoever comes next would see the identity of this."""

    async def endpoint(request: StarletteRequest) -> PlainTextResponse:
        assert get_user_identity(request) is not None
        current_identity.get()
        raise NotImplementedError

    client = client_of(with_backend(shared_verifier, required=True), routes=[Route("/", endpoint)])
    with pytest.raises(ConfigurationError):
        client.get("/", headers=dict(bearer(tokens["good"])))


def test_a_request_of_starlette_is_anonymous_by_starlettes_own_class(shared_verifier: Verifier) -> None:
    seen: list[Any] = []

    async def app(scope: Any, _receive: object, _send: object) -> None:
        seen.append(scope["user"])

    middleware: ASGIApp = AveAuthMiddleware(app, shared_verifier, required=False)
    Client().call(middleware, http_scope(Request()))

    assert isinstance(seen[0], UnauthenticatedUser)


def test_a_backend_cannot_end_streams(shared_verifier: Verifier) -> None:
    """HTP-043: it sees no responses."""
    with pytest.raises(ConfigurationError) as caught:
        AveAuthBackend(shared_verifier, required=True, end_expired_streams=True)

    assert caught.value.problem is not None
