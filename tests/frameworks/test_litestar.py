"""What only Litestar has: the plugin, guards, its user and auth, its dependencies, OpenAPI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import pytest
from litestar import Litestar, Request, Response, Router, WebSocket, get, websocket
from litestar.datastructures import State  # noqa: TC002 - Litestar evaluates annotations
from litestar.di import Provide
from litestar.exceptions import WebSocketDisconnect
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.testing import TestClient

from aveverify import ConfigurationError, Identity, InvalidTokenError, Provider, Reason, Verifier, current_identity
from aveverify._http.policy import POLICY_KEY
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.asgi import get_live_connection
from aveverify.errors import Problem
from aveverify.litestar import (
    AveAuthMiddleware,
    AveAuthPlugin,
    CurrentIdentity,
    OptionalIdentity,
    exception_handlers,
    requires_authenticated,
    requires_scopes,
)
from aveverify.litestar._providers import NAMED_DEPENDENCY
from aveverify.testing import FakeIssuer
from tests.http import http_fixtures
from tests.http.http_fixtures import Client, bearer, http_scope, subject_of

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

    from aveverify._http.app_user import LoadUser

Scopes = frozenset[str]


class User(NamedTuple):
    """A user of the application."""

    name: str


def load(identity: Identity) -> User | None:
    return User(identity.subject) if identity.subject == "ada" else None


async def load_later(identity: Identity) -> User | None:
    return load(identity)


@get("/")
async def who(request: Request[Any, Any, State]) -> str:
    return f"{type(request.user).__name__} {sorted(request.auth)} {subject_of(request)}"


@get("/me")
async def me(identity: CurrentIdentity) -> str:
    return identity.subject


@get("/maybe-anonymous")
async def maybe_anonymous(optional_identity: OptionalIdentity) -> str:
    return optional_identity.subject if optional_identity is not None else "anonymous"


@get("/members", guards=[requires_authenticated])
async def members(request: Request[Identity, Scopes, State]) -> str:
    return request.user.subject


@get("/readers", guards=[requires_scopes("read", "openid")])
async def readers(request: Request[Identity, Scopes, State]) -> str:
    return request.user.subject


@get("/health", exclude_from_auth=True)
async def health(optional_identity: OptionalIdentity) -> str:
    return "anonymous" if optional_identity is None else optional_identity.subject


@get("/open/{name:str}", exclude_from_auth=True)
async def opened(optional_identity: OptionalIdentity) -> str:
    return f"opened: {optional_identity}"


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, State], optional_identity: OptionalIdentity) -> None:
    await socket.accept()
    await socket.send_text(optional_identity.subject if optional_identity is not None else "anonymous")
    await socket.close()


@websocket("/guarded", guards=[requires_scopes("read")])
async def guarded(socket: WebSocket[Identity, Scopes, State]) -> None:
    await socket.accept()
    await socket.send_text(socket.user.subject)
    await socket.close()


@websocket("/mine")
async def mine(socket: WebSocket[Any, Any, State], identity: CurrentIdentity) -> None:
    await socket.accept()
    await socket.send_text(identity.subject)
    await socket.close()


HANDLERS: list[Any] = [who, me, maybe_anonymous, mine, members, readers, health, opened, socket, guarded]


def plugged(verifier: Verifier, *, handlers: list[Any] = HANDLERS, **options: object) -> TestClient[Litestar]:
    arguments: dict[str, Any] = {"required": False} | options
    return TestClient(Litestar(handlers, plugins=[AveAuthPlugin(verifier, **arguments)], logging_config=None))


@pytest.fixture
def client(shared_verifier: Verifier) -> TestClient[Litestar]:
    return plugged(shared_verifier)


def repr_without_address(value: object) -> str:
    return type(value).__name__ if type(value) is object else repr(value)


def headers_of(tokens: dict[str, str], kind: str | None) -> dict[str, str]:
    return dict(bearer(tokens[kind])) if kind is not None else {}


# --- user, auth, dependency -----------------------------------------------------------------------------------------


def test_the_user_is_the_identity_and_auth_are_its_scopes(client: TestClient[Litestar], tokens: dict[str, str]) -> None:
    found = [client.get("/", headers=headers_of(tokens, kind)).text for kind in ("good", "reader", None)]

    assert found == ["Identity [] ada", "Identity ['openid', 'read'] ada", "NoneType [] None"]


def test_a_handler_gets_the_identity_as_a_dependency(client: TestClient[Litestar], tokens: dict[str, str]) -> None:
    found = [client.get("/maybe-anonymous", headers=headers_of(tokens, kind)).text for kind in ("good", None)]

    assert found == ["ada", "anonymous"]
    assert client.get("/me", headers=headers_of(tokens, "good")).text == "ada"
    anonymous = client.get("/me")
    assert (anonymous.status_code, anonymous.headers["www-authenticate"]) == (401, "Bearer")


def test_user_auth_and_identity_in_the_scope_are_overwritten(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """HTP-010: also of anonymous requests."""
    planted = shared_verifier.verify(tokens["other"])
    inner = Litestar(HANDLERS, plugins=[AveAuthPlugin(shared_verifier, required=False)], logging_config=None)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        members = {"user": planted, "auth": {"read"}, IDENTITY_KEY: planted, POLICY_KEY: None}
        await inner(cast("Scope", {**scope, **members}), receive, send)

    client = TestClient(app)
    assert client.get("/").text == "NoneType [] None"
    assert client.get("/readers").status_code == 401


@pytest.mark.parametrize("load_user", [load, load_later], ids=["function", "coroutine function"])
@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
def test_what_load_user_returns_becomes_the_user(
    shared_verifier: Verifier, tokens: dict[str, str], load_user: LoadUser[User], on_invalid: str
) -> None:
    client = plugged(shared_verifier, load_user=load_user, on_invalid=on_invalid)

    assert client.get("/", headers=headers_of(tokens, "good")).text == "User [] ada"
    assert client.get("/").text == "NoneType [] None"
    refused = client.get("/", headers=headers_of(tokens, "other"))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")


def test_check_refuses_an_identity(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    client = plugged(shared_verifier, check=lambda identity: "banned" if identity.subject == "grace" else None)

    assert client.get("/me", headers=headers_of(tokens, "good")).status_code == 200
    assert client.get("/me", headers=headers_of(tokens, "other")).status_code == 401


def test_a_handler_may_be_excluded_as_from_litestars_own_authentication(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """No token is read there, so not even a bad one is refused."""
    client = plugged(shared_verifier, required=True)

    for kind in (None, "good", "expired"):
        answer = client.get("/health", headers=headers_of(tokens, kind))
        assert (answer.status_code, answer.text) == (200, "anonymous")
    assert client.get("/me").status_code == 401


@pytest.mark.parametrize("value", [1, "yes", "false", [True], object(), False, None], ids=repr_without_address)
def test_only_true_itself_excludes_a_handler(shared_verifier: Verifier, value: object) -> None:
    """A text or a number, such as "false" out of a configuration, opens nothing."""

    @get("/maybe", exclude_from_auth=value)
    async def maybe() -> str:
        raise NotImplementedError

    with plugged(shared_verifier, handlers=[maybe], required=True) as client:
        assert client.get("/maybe").status_code == 401


@pytest.mark.parametrize("name", ["a", "a%20b", "a;b", "100%25", "a%2fb"])
@pytest.mark.parametrize("kind", ["good", "expired"])
def test_no_token_is_read_for_an_excluded_handler_however_its_path_is_written(
    shared_verifier: Verifier, tokens: dict[str, str], kind: str, name: str
) -> None:
    """HTP-017: a path that is never exempt by its pattern is so by its handler, which the router has chosen."""
    with plugged(shared_verifier, required=True, check=lambda _: "banned", scopes=["admin"]) as client:
        answer = client.get(f"/open/{name}", headers=headers_of(tokens, kind))

    assert (answer.status_code, answer.text.partition(": ")[2]) in {(200, "None"), (404, "")}


def test_a_later_token_for_an_excluded_websocket_meets_every_rule(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    @websocket("/open", exclude_from_auth=True)
    async def talk(socket: WebSocket[Any, Any, State]) -> None:
        await socket.accept()
        with pytest.raises(InvalidTokenError) as caught:
            await get_live_connection(socket).reauthenticate(tokens["good"])
        await socket.send_text(caught.value.reason.value)
        await socket.close()

    with (
        plugged(shared_verifier, handlers=[talk], required=True, check=lambda _: "banned") as client,
        client.websocket_connect("/open", headers=headers_of(tokens, "good")) as session,
    ):
        assert session.receive_text() == "REFUSED_BY_CHECK"


def test_a_new_token_of_a_websocket_is_a_new_user(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    async def load_user(identity: Identity) -> str | None:
        return identity.subject.upper() if identity.subject != "ada" else None

    @websocket("/chat")
    async def chat(socket: WebSocket[Any, Any, State]) -> None:
        await socket.accept()
        live = get_live_connection(socket)
        with pytest.raises(InvalidTokenError):
            await live.reauthenticate(tokens["good"], allow_other_user=True)
        before = str(socket.user)
        await live.reauthenticate(tokens["other"])
        await socket.send_text(f"{before} {socket.user}")
        await socket.close()

    with (
        plugged(shared_verifier, handlers=[chat], load_user=load_user) as client,
        client.websocket_connect("/chat") as session,
    ):
        assert session.receive_text() == "None GRACE"


@pytest.mark.parametrize(
    "path", ["//health", "/health;x", "/health/../me", "/health%2f..%2fme", "/HEALTH", "/health%00"]
)
def test_exclusion_belongs_to_the_handler_that_is_served(shared_verifier: Verifier, path: str) -> None:
    """HTP-012 to HTP-024: the router has chosen the handler before its option is read."""
    client = plugged(shared_verifier, required=True)

    answer = client.get(path)

    # Whatever the router made of it: either no handler, or the one that is marked.
    assert answer.status_code in (401, 404) or answer.text == "anonymous"
    assert "ada" not in answer.text


def test_code_without_a_request_object_has_the_current_identity(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    @get("/")
    async def endpoint() -> str:
        identity = current_identity.get()
        return identity.subject if identity else ""

    assert plugged(shared_verifier, handlers=[endpoint]).get("/", headers=headers_of(tokens, "good")).text == "ada"


# --- guards ---------------------------------------------------------------------------------------------------------


def test_guards_require_an_identity_and_scopes(client: TestClient[Litestar], tokens: dict[str, str]) -> None:
    found = {
        kind: [client.get(path, headers=headers_of(tokens, kind)).status_code for path in ("/members", "/readers")]
        for kind in ("reader", "good", None, "expired")
    }

    assert found == {"reader": [200, 200], "good": [200, 403], None: [401, 401], "expired": [401, 401]}


def test_a_guard_refuses_with_challenge_and_json_body(client: TestClient[Litestar], tokens: dict[str, str]) -> None:
    """HTP-034."""
    anonymous, member = client.get("/readers"), client.get("/readers", headers=headers_of(tokens, "good"))

    assert anonymous.headers["www-authenticate"] == 'Bearer scope="read openid"'
    assert anonymous.json() == {"error": "unauthorized", "error_description": "Credentials are required"}
    assert member.headers["www-authenticate"].startswith('Bearer error="insufficient_scope"')
    assert member.headers["www-authenticate"].endswith(', scope="read openid"')
    assert member.json()["error"] == "insufficient_scope"
    for answer in (anonymous, member):
        assert answer.headers["content-type"] == "application/json"
        assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-store", "Authorization")


def test_without_the_handlers_only_the_body_is_litestars(shared_verifier: Verifier) -> None:
    middleware = AveAuthMiddleware.define(shared_verifier, required=False, realm="here")
    client = TestClient(Litestar([members], middleware=[middleware], logging_config=None))

    answer = client.get("/members")

    assert answer.status_code == 401
    assert answer.json() == {"status_code": 401, "detail": "Credentials are required"}
    assert answer.headers["www-authenticate"] == 'Bearer realm="here"'
    assert answer.headers["cache-control"] == "no-store"


def test_a_guard_without_a_middleware_fails_closed() -> None:
    """A forgotten middleware must not look like an anonymous user, and still less like a member."""
    assert TestClient(Litestar([members, readers], logging_config=None)).get("/members").status_code == 500


@pytest.mark.parametrize("scopes", [[""], ["two words"], ['"']], ids=["empty", "two", "quote"])
def test_a_malformed_scope_is_a_configuration_error(scopes: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        requires_scopes(*scopes)

    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, "scopes")


# --- deferred refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/me", "/members", "/readers"], ids=["user", "dependency", "guard", "scopes"])
def test_reading_the_identity_raises_a_deferred_refusal(
    shared_verifier: Verifier, tokens: dict[str, str], path: str
) -> None:
    """HTP-036: never silently anonymous."""
    client = plugged(shared_verifier, on_invalid="defer", realm="here")

    answer = client.get(path, headers=headers_of(tokens, "expired"))

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert answer.headers["www-authenticate"].startswith('Bearer realm="here", error="invalid_token"')


def test_a_handler_that_asks_for_no_identity_serves_a_deferred_refusal(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    @get("/")
    async def endpoint() -> str:
        return "served"

    client = plugged(shared_verifier, handlers=[endpoint], required=True, on_invalid="defer")

    assert client.get("/", headers=headers_of(tokens, "expired")).text == "served"


def test_the_handlers_answer_the_deferred_refusal_of_this_request_alone(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """The refusal of a token that the application verified by itself is not about this client: it is a failure."""
    caught: list[Exception] = []

    def answer_failure(_request: Request[Any, Any, Any], error: Exception) -> Response[str]:
        caught.append(error)
        return Response("failed", status_code=500)

    @get("/")
    async def endpoint() -> None:
        await shared_verifier.verify_async(tokens["bad_signature"])

    plugin = AveAuthPlugin(shared_verifier, required=False, on_invalid="defer")
    app = Litestar([endpoint], plugins=[plugin], exception_handlers={500: answer_failure}, logging_config=None)
    for kind in ("expired", "good"):
        answer = TestClient(app).get("/", headers=headers_of(tokens, kind))
        assert (answer.status_code, answer.text) == (500, "failed")
    assert [error.reason for error in caught if isinstance(error, InvalidTokenError)] == [Reason.BAD_SIGNATURE] * 2


# --- WebSockets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "text"), [("good", "ada"), (None, "anonymous")], ids=["good", "anonymous"])
def test_a_websocket_gets_the_identity(
    client: TestClient[Litestar], tokens: dict[str, str], kind: str | None, text: str
) -> None:
    with client.websocket_connect("/socket", headers=headers_of(tokens, kind)) as session:
        assert session.receive_text() == text


@pytest.mark.parametrize("kind", ["expired", "other", None], ids=["refused", "unknown user", "anonymous"])
def test_a_websocket_is_closed_before_it_is_accepted(
    shared_verifier: Verifier, tokens: dict[str, str], kind: str | None
) -> None:
    """HTP-029: code 1008 where the server cannot deny."""
    client = plugged(shared_verifier, required=True, load_user=load)

    with (
        pytest.raises(WebSocketDisconnect) as caught,
        client.websocket_connect("/socket", headers=headers_of(tokens, kind)) as session,
    ):
        session.receive_text()

    assert caught.value.code == 1008


def test_a_websocket_is_denied_where_the_server_can(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """HTP-029: with the whole HTTP response."""
    app = Litestar(HANDLERS, plugins=[AveAuthPlugin(shared_verifier, required=True)], logging_config=None)
    scope = http_scope(
        http_fixtures.Request(bearer(tokens["expired"])),
        type="websocket",
        path="/socket",
        extensions={"websocket.http.response": {}},
    )
    del scope["method"]  # a WebSocket has none, and Litestar tells them apart by that
    denied = Client({"type": "websocket.connect"})

    denied.call(app, scope)  # type: ignore[arg-type] # Litestar's scope is a typed dictionary

    assert [message["type"] for message in denied.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert denied.sent[0]["status"] == 401


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param("/guarded", "good", id="scope missing"),
        pytest.param("/guarded", None, id="anonymous"),
        pytest.param("/mine", None, id="dependency"),
    ],
)
def test_a_guard_or_dependency_closes_a_websocket_before_it_is_accepted(
    client: TestClient[Litestar], tokens: dict[str, str], path: str, kind: str | None
) -> None:
    """HTP-029."""
    with (
        pytest.raises(WebSocketDisconnect) as caught,
        client.websocket_connect(path, headers=headers_of(tokens, kind)) as session,
    ):
        session.receive_text()

    assert caught.value.code == 1008


@pytest.mark.parametrize("path", ["/guarded", "/mine"])
def test_a_guard_or_dependency_lets_a_reader_in(
    client: TestClient[Litestar], tokens: dict[str, str], path: str
) -> None:
    with client.websocket_connect(path, headers=headers_of(tokens, "reader")) as session:
        assert session.receive_text() == "ada"


# --- the plugin -----------------------------------------------------------------------------------------------------


def test_openapi_names_the_bearer_token_and_the_discovery_document(
    shared_issuer: FakeIssuer, shared_verifier: Verifier
) -> None:
    """The security schemes of the application stay."""
    own = Components(security_schemes={"own": SecurityScheme(type="http", scheme="basic")})
    for components in (own, [own]):
        config = OpenAPIConfig(title="t", version="1", components=components, security=[{"own": []}])
        app = Litestar(
            [me], plugins=[AveAuthPlugin(shared_verifier, required=True)], openapi_config=config, logging_config=None
        )
        document = app.openapi_schema.to_schema()

        schemes = document["components"]["securitySchemes"]
        assert set(schemes) == {"own", "aveBearer", "aveOpenId"}
        assert schemes["aveBearer"] | {"description": ""} == {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "",
        }
        assert schemes["aveOpenId"]["openIdConnectUrl"] == f"{shared_issuer.issuer}/.well-known/openid-configuration"
        assert document["security"] == [{"own": []}, {"aveBearer": []}, {"aveOpenId": []}]
        assert config.security == [{"own": []}]


def test_an_application_without_openapi_is_protected_too(shared_verifier: Verifier) -> None:
    app = Litestar(
        [me], plugins=[AveAuthPlugin(shared_verifier, required=True)], openapi_config=None, logging_config=None
    )

    assert TestClient(app).get("/me").status_code == 401


def test_a_custom_jwt_provider_has_no_discovery_document() -> None:
    provider = Provider.custom_jwt(
        issuer="https://idp.test", jwks="https://idp.test/k", algorithm="ES256", application_id="a"
    )
    with Verifier(provider) as verifier:
        app = Litestar([me], plugins=[AveAuthPlugin(verifier, required=True)], logging_config=None)

    assert set(app.openapi_schema.to_schema()["components"]["securitySchemes"]) == {"aveBearer"}


def test_handlers_and_dependencies_of_the_application_replace_those_of_the_plugin(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    def own_answer(_request: Request[Any, Any, Any], _error: InvalidTokenError) -> Response[str]:
        return Response("own", status_code=418)

    def own_identity() -> str:
        return "own"

    @get("/")
    async def endpoint(identity: Annotated[str, NAMED_DEPENDENCY], request: Request[Any, Any, State]) -> str:
        return f"{identity} {request.user.subject}"

    app = Litestar(
        [endpoint],
        plugins=[AveAuthPlugin(shared_verifier, required=True, on_invalid="defer")],
        exception_handlers={InvalidTokenError: own_answer},
        dependencies={"identity": Provide(own_identity, sync_to_thread=False)},
        logging_config=None,
    )
    client = TestClient(app)

    assert client.get("/", headers=headers_of(tokens, "good")).text == "own ada"
    assert client.get("/", headers=headers_of(tokens, "expired")).status_code == 418


class Recording:
    """A middleware that records the user of each request that it sees."""

    def __init__(self, app: ASGIApp, seen: list[object]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._seen.append(subject_of(scope))
        await self._app(scope, receive, send)


def test_the_plugin_stands_in_front_of_all_other_middleware(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """No other middleware serves a request before its token is verified, from a cache of its own for instance."""
    seen: list[object] = []
    plugin = AveAuthPlugin(shared_verifier, required=True)

    def record(app: ASGIApp) -> ASGIApp:
        return Recording(app, seen)

    client = TestClient(Litestar([me], plugins=[plugin], middleware=[record], logging_config=None))

    assert client.get("/me").status_code == 401
    assert client.get("/me", headers=headers_of(tokens, "good")).text == "ada"
    assert seen == ["ada"]


def test_the_middleware_may_stand_on_one_router(shared_verifier: Verifier) -> None:
    middleware = AveAuthMiddleware.define(shared_verifier, required=True)
    inside = Router("/api", route_handlers=[who], middleware=[middleware])

    @get("/")
    async def outside() -> str:
        return "open"

    client = TestClient(Litestar([inside, outside], exception_handlers=exception_handlers, logging_config=None))

    assert client.get("/").text == "open"
    assert client.get("/api").status_code == 401


def test_documents_may_be_exempt(shared_verifier: Verifier) -> None:
    client = plugged(shared_verifier, required=True, exempt=["/schema", "/schema/*"])

    assert client.get("/schema/openapi.json").status_code == 200
    assert client.get("/me").status_code == 401


def test_lifespan_passes(shared_verifier: Verifier) -> None:
    """HTP-032."""
    happened: list[str] = []
    plugin = AveAuthPlugin(shared_verifier, required=True)
    app = Litestar(
        HANDLERS,
        plugins=[plugin],
        on_startup=[lambda: happened.append("begin")],
        on_shutdown=[lambda: happened.append("end")],
        logging_config=None,
    )

    with TestClient(app):
        pass

    assert happened == ["begin", "end"]
