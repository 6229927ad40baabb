"""What only FastAPI has: dependencies, scopes of dependencies, OpenAPI, overrides."""

import asyncio
import logging
from collections.abc import Iterator
from copy import deepcopy
from typing import Annotated, Any, NamedTuple, Unpack, cast

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Security, WebSocket
from fastapi import Request as FastAPIRequest
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyHeader
from fastapi.testclient import TestClient
from httpx import ASGITransport, AsyncClient
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.testclient import WebSocketDenialResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from aveverify import (
    ConfigurationError,
    Identity,
    InsufficientScopeError,
    InvalidTokenError,
    Provider,
    Verifier,
    current_identity,
    get_user_identity,
)
from aveverify._http.policy import POLICY_KEY
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.asgi import AuthOptions, get_live_connection
from aveverify.asgi import AveAuthMiddleware as AsgiMiddleware
from aveverify.errors import Problem
from aveverify.fastapi import AveAuth, RefusalBody, RefusedError
from aveverify.sources import AuthorizationHeader, Cookie, QueryParameter, RequestHead
from aveverify.starlette import AveAuthMiddleware
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.http_fixtures import bearer

ISSUER = FakeIssuer()
VERIFIER = ISSUER.verifier()
ave = AveAuth(VERIFIER)
NOW_GOOD = ISSUER.token(sub="ada", scope="openid read")


class User(NamedTuple):
    """A user of the application."""

    name: str


def load(identity: Identity) -> User | None:
    return User(identity.subject) if identity.subject == "ada" else None


async def load_later(identity: Identity) -> User | None:
    return load(identity)


Me = Annotated[Identity, Security(ave)]
MaybeIdentity = Annotated[Identity | None, Security(ave.optional)]
Reader = Annotated[Identity, Security(ave, scopes=["read"])]
CurrentUser = Annotated[User, Security(ave.user(load))]
MaybeUser = Annotated[User | None, Security(ave.optional.user(load_later))]


def read_document(identity: Reader) -> str:
    return f"document of {identity.subject}"


def make_app() -> FastAPI:
    app = FastAPI()

    @app.get("/me")
    def me(identity: Me) -> str:
        return identity.subject

    @app.get("/maybe-anonymous")
    async def maybe_anonymous(identity: MaybeIdentity) -> str | None:
        return identity.subject if identity else None

    @app.get("/readers")
    def readers(identity: Reader) -> str:
        return identity.subject

    @app.get("/document")
    def document(text: Annotated[str, Security(read_document, scopes=["open"])]) -> str:
        return text

    @app.get("/user")
    def user(user: CurrentUser) -> str:
        return user.name

    @app.get("/maybe")
    def maybe(user: MaybeUser) -> str | None:
        return user.name if user else None

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, identity: Reader) -> None:
        await websocket.accept()
        await websocket.send_text(identity.subject)
        await websocket.close()

    return app


@pytest.fixture
def app() -> FastAPI:
    app = make_app()
    ave.install(app)
    return app


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


def token(**claims: str) -> dict[str, str]:
    return dict(bearer(ISSUER.token({"sub": "ada"} | claims)))


EXPIRED = dict(bearer(ISSUER.forge("expired")))


# --- identities and scopes ------------------------------------------------------------------------------------------


def test_a_view_gets_the_identity(client: TestClient) -> None:
    assert client.get("/me", headers=token()).json() == "ada"
    assert client.get("/maybe-anonymous", headers=token()).json() == "ada"
    assert client.get("/maybe-anonymous").json() is None
    assert client.get("/maybe-anonymous", headers=EXPIRED).status_code == 401


def test_scopes_of_a_dependency_are_demanded(client: TestClient) -> None:
    assert client.get("/readers", headers=token(scope="openid read")).json() == "ada"
    refused = client.get("/readers", headers=token(scope="openid"))
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert refused.headers["www-authenticate"].endswith(', scope="read"')


def test_scopes_of_parent_dependencies_are_demanded_too(client: TestClient) -> None:
    assert client.get("/document", headers=token(scope="read open")).json() == "document of ada"
    for scope in ("read", "open"):
        assert client.get("/document", headers=token(scope=scope)).status_code == 403
    assert client.get("/document").headers["www-authenticate"] == 'Bearer scope="open read"'


def test_a_malformed_scope_is_a_configuration_error(app: FastAPI) -> None:
    @app.get("/wrong", dependencies=[Security(ave, scopes=["two words"])])
    def wrong() -> None:
        raise NotImplementedError

    with pytest.raises(ConfigurationError) as caught:
        TestClient(app).get("/wrong", headers=token())
    assert caught.value.field == "scopes"


@pytest.mark.parametrize("place", ["router", "application"])
def test_a_whole_router_or_application_is_protected(place: str) -> None:
    on_router, on_app = ([Security(ave)], []) if place == "router" else ([], [Security(ave)])
    router = APIRouter(dependencies=on_router, responses=ave.responses)

    @router.get("/")
    def endpoint(request: FastAPIRequest) -> str:
        identity = get_user_identity(request)
        assert identity is not None
        return identity.subject

    app = FastAPI(dependencies=on_app)
    app.include_router(router)

    assert TestClient(app).get("/", headers=token()).json() == "ada"
    assert TestClient(app).get("/").status_code == 401


# --- the user of the application ------------------------------------------------------------------------------------


def test_a_view_gets_the_user_of_the_application(client: TestClient) -> None:
    assert client.get("/user", headers=token()).json() == "ada"
    assert client.get("/maybe", headers=token()).json() == "ada"
    assert client.get("/maybe").json() is None
    assert client.get("/user").status_code == 401


@pytest.mark.parametrize("path", ["/user", "/maybe"])
def test_a_good_token_of_an_unknown_user_is_refused(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=token(sub="grace"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/me", {}, id="no credentials"),
        pytest.param("/me", EXPIRED, id="refused"),
        pytest.param("/me", {"Authorization": "Bearer"}, id="malformed"),
        pytest.param("/readers", token(), id="scope missing"),
        pytest.param("/user", token(sub="grace"), id="unknown user"),
    ],
)
def test_without_install_only_the_body_is_fastapis(client: TestClient, path: str, headers: dict[str, str]) -> None:
    """HTP-034."""
    installed = client.get(path, headers=headers)
    bare = TestClient(make_app()).get(path, headers=headers)

    assert bare.json() == {"detail": installed.json()["error_description"]}
    assert bare.status_code == installed.status_code
    assert {name: value for name, value in bare.headers.items() if name != "content-length"} == {
        name: value for name, value in installed.headers.items() if name != "content-length"
    }


def test_install_is_idempotent(app: FastAPI) -> None:
    handlers, middleware = dict(app.exception_handlers), list(app.user_middleware)
    document = deepcopy(app.openapi())
    ave.install(app)
    AveAuth(VERIFIER).install(app)
    assert app.exception_handlers == handlers
    assert app.user_middleware == middleware
    assert app.openapi() == document


def test_the_documented_refusals_are_those_that_are_sent(app: FastAPI) -> None:
    issuer = FakeIssuer()
    with issuer.verifier() as verifier:
        cold = AveAuth(verifier)
        app.add_api_route("/cold", lambda: None, dependencies=[Security(cold)])
        issuer.go_down()
        client = TestClient(app)
        replies = [
            client.get("/me", headers={"Authorization": "Bearer"}),
            client.get("/me"),
            client.get("/readers", headers=token()),
            client.get("/cold", headers=dict(bearer(issuer.token()))),
        ]

    assert [reply.status_code for reply in replies] == [400, 401, 403, 503]
    assert set(ave.responses) == {400, 401, 403, 503}
    for reply in replies:
        documented = ave.responses[reply.status_code]
        assert set(documented["headers"]) <= {name.title().replace("Www", "WWW") for name in reply.headers}
        assert RefusalBody.model_validate(reply.json(), strict=True, extra="forbid").error


# --- the identity of the context ------------------------------------------------------------------------------------


def context_subject() -> str | None:
    """The subject of `current_identity`, in code without a request object."""
    identity = current_identity.get()
    return None if identity is None else identity.subject


@pytest.mark.parametrize("kind", ["sync", "async", "with a thread of its own"])
def test_a_view_and_what_runs_after_it_have_the_current_identity(app: FastAPI, kind: str) -> None:
    """HTP-037: until the request ends, and not longer."""
    seen: list[str | None] = []

    def later() -> None:
        seen.append(context_subject())

    def chunks() -> Iterator[str]:
        yield f"{context_subject()}"

    def view(tasks: BackgroundTasks, _identity: MaybeIdentity) -> StreamingResponse:
        tasks.add_task(later)
        later()
        return StreamingResponse(chunks())

    async def view_async(tasks: BackgroundTasks, identity: MaybeIdentity) -> StreamingResponse:
        return view(tasks, identity)

    async def view_in_thread(tasks: BackgroundTasks, identity: MaybeIdentity) -> StreamingResponse:
        return await run_in_threadpool(view, tasks, identity)

    views = {"sync": view, "async": view_async, "with a thread of its own": view_in_thread}
    app.add_api_route("/seen", views[kind])

    async def ask() -> None:
        # The application runs in the task of its client, which would keep whatever it left there.
        async with AsyncClient(transport=ASGITransport(app), base_url="http://app.test") as client:
            assert (await client.get("/seen", headers=token())).text == "ada"
            assert (await client.get("/seen")).text == "None"
            with pytest.raises(ConfigurationError):
                current_identity.get()

    asyncio.run(ask())
    assert seen == ["ada", "ada", None, None]


def test_current_identity_raises_where_no_dependency_has_run(app: FastAPI) -> None:
    app.add_api_route("/open", context_subject)
    client = TestClient(app)

    assert client.get("/me", headers=token()).json() == "ada"
    with pytest.raises(ConfigurationError) as caught:
        client.get("/open", headers=token())
    assert caught.value.problem is Problem.NO_MIDDLEWARE


def test_current_identity_raises_without_install() -> None:
    """HTP-037: FastAPI does not tell a dependency when a request ends, so nothing could forget the user."""
    app = make_app()

    def ask(_identity: Me) -> str | None:
        return context_subject()

    app.add_api_route("/ask", ask)
    with pytest.raises(ConfigurationError) as caught:
        TestClient(app).get("/ask", headers=token())
    assert caught.value.problem is Problem.NO_REQUEST


def test_a_websocket_has_the_current_identity(app: FastAPI) -> None:
    @app.websocket("/who")
    async def who(websocket: WebSocket, _identity: Me) -> None:
        await websocket.accept()
        await websocket.send_text(f"{context_subject()}")
        await websocket.close()

    with TestClient(app).websocket_connect("/who", headers=token()) as websocket:
        assert websocket.receive_text() == "ada"


@pytest.mark.parametrize("in_front", ["the middleware", "install"])
def test_of_middleware_and_dependency_the_last_that_finds_an_identity_counts(in_front: str) -> None:
    """A dependency that finds no credentials does not make the request anonymous."""
    other_issuer = FakeIssuer("https://other.test")
    auth = AveAuth(VERIFIER, token_sources=[Cookie("session", allowed_origins=["https://app.test"])])
    app = FastAPI()

    def endpoint(
        request: FastAPIRequest,
        anonymous: Annotated[Identity | None, Security(auth.optional)],
    ) -> list[str]:
        found = (anonymous, current_identity.get(), get_user_identity(request))
        return [one.issuer if one is not None else "anonymous" for one in found]

    app.add_api_route("/", endpoint)
    with other_issuer.verifier() as other:
        if in_front == "install":
            app.add_middleware(AveAuthMiddleware, verifier=other, required=True)
        auth.install(app)
        if in_front == "the middleware":
            app.add_middleware(AveAuthMiddleware, verifier=other, required=True)

        assert TestClient(app).get("/", headers=dict(bearer(other_issuer.token()))).json() == [
            "anonymous",
            "https://other.test",
            "https://other.test",
        ]


def test_a_dependency_that_finds_no_credentials_takes_no_identity_away(app: FastAPI) -> None:
    cookie = AveAuth(VERIFIER, token_sources=[Cookie("session", allowed_origins=["https://app.test"])])

    def endpoint(
        request: FastAPIRequest,
        identity: Annotated[Identity, Security(ave)],
        anonymous: Annotated[Identity | None, Security(cookie.optional)],
    ) -> bool:
        assert anonymous is None
        return current_identity.get() is get_user_identity(request) is identity

    app.add_api_route("/both", endpoint)

    assert TestClient(app).get("/both", headers=token()).json() is True


@pytest.mark.parametrize("first", ["cookie", "header"])
def test_each_of_two_dependencies_reads_its_own_sources(app: FastAPI, first: str) -> None:
    """HTP-031: what one has found in a cookie does not satisfy the other, whichever runs first."""
    cookie = AveAuth(VERIFIER, token_sources=[Cookie("session", allowed_origins=["https://app.test"])])
    one, two = (cookie.optional, ave) if first == "cookie" else (ave, cookie.optional)

    def endpoint(
        one: Annotated[Identity | None, Security(one)], two: Annotated[Identity | None, Security(two)]
    ) -> bool:
        return one is two

    app.add_api_route("/both", endpoint)
    headers = {"Origin": "https://app.test", "Cookie": f"session={ISSUER.token(sub='ada')}"}

    assert TestClient(app).get("/both", headers=headers).status_code == 401


# --- OpenAPI --------------------------------------------------------------------------------------------------------


def test_openapi_names_the_bearer_token_and_the_discovery_document(client: TestClient) -> None:
    document = client.get("/openapi.json").json()

    assert document["components"]["securitySchemes"] == {
        "aveBearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The id_token of a signed-in user: `Authorization: Bearer <token>`.",
        },
        "aveOpenId": {
            "type": "openIdConnect",
            "openIdConnectUrl": f"{ISSUER.issuer}/.well-known/openid-configuration",
        },
    }
    for path, scopes in (("/me", []), ("/maybe-anonymous", []), ("/readers", ["read"]), ("/user", [])):
        operation = document["paths"][path]["get"]
        # OpenAPI 3.0 has no scopes for plain bearer tokens, so older versions of FastAPI name none.
        assert operation["security"] in ([{"aveBearer": listed}, {"aveOpenId": scopes}] for listed in (scopes, []))
        assert "parameters" not in operation


@pytest.mark.parametrize(
    ("providers", "urls"),
    [
        pytest.param(
            [Provider.ave("app_1"), Provider.ave("app_2"), Provider(issuer="https://idp.test/", application_id="a")],
            [
                "https://aveid.net/.well-known/openid-configuration",
                "https://idp.test/.well-known/openid-configuration",
            ],
            id="two issuers, three clients",
        ),
        pytest.param(
            [Provider(issuer="https://idp.test", application_id="a", jwks_uri="https://idp.test/keys")],
            [],
            id="no discovery document",
        ),
        pytest.param(
            [
                Provider.custom_jwt(
                    issuer="https://idp.test", jwks="https://idp.test/k", algorithm="ES256", application_id="a"
                )
            ],
            [],
            id="customJwt",
        ),
    ],
)
def test_openapi_names_every_issuer_that_clients_can_discover(providers: list[Provider], urls: list[str]) -> None:
    auth = AveAuth(Verifier(*providers), scheme_name="idToken")
    app = FastAPI(dependencies=[Security(auth)])
    auth.install(app)
    app.add_api_route("/", lambda: None)

    schemes = app.openapi()["components"]["securitySchemes"]

    assert schemes.pop("idToken")["type"] == "http"
    assert [scheme["openIdConnectUrl"] for scheme in schemes.values()] == urls


def test_openapi_of_other_operations_stays_as_it_is() -> None:
    own = APIKeyHeader(name="X-Key", scheme_name="own")
    app = FastAPI()
    ave.install(app)
    bare = deepcopy(app.openapi())
    app.add_api_route("/open", lambda: None)
    app.add_api_route("/keyed", lambda: None, dependencies=[Security(own)])
    app.openapi_schema = None
    keyed = deepcopy(app.openapi())
    app.add_api_route("/both", lambda: None, dependencies=[Security(own), Security(ave)])
    app.openapi_schema = None
    paths = app.openapi()["paths"]

    assert bare["paths"] == {}
    assert set(keyed["components"]["securitySchemes"]) == {"own"}
    assert {path: paths[path] for path in ("/open", "/keyed")} == keyed["paths"]
    assert paths["/both"]["get"]["security"] == [{"own": []}, {"aveBearer": []}, {"aveOpenId": []}]


def test_openapi_of_an_application_without_install_names_the_bearer_token_alone() -> None:
    document = make_app().openapi()

    assert set(document["components"]["securitySchemes"]) == {"aveBearer"}
    assert document["paths"]["/me"]["get"]["security"] == [{"aveBearer": []}]


# --- once in a request ----------------------------------------------------------------------------------------------


class CountingHeader(AuthorizationHeader):
    """The Authorization header, which counts how often it was read."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, head: RequestHead) -> bytes | None:
        self.reads += 1
        return super().read(head)


def test_a_token_is_verified_once_in_a_request() -> None:
    header, checked = CountingHeader(), list[str]()
    counted = AveAuth(VERIFIER, token_sources=[header], check=lambda identity: checked.append(identity.subject))
    app = FastAPI(dependencies=[Security(counted.optional)])

    def endpoint(
        one: Annotated[Identity, Security(counted)],
        two: Annotated[Identity, Security(counted, scopes=["read"])],
        three: Annotated[User, Security(counted.user(load))],
    ) -> str:
        assert one is two
        return f"{three.name}"

    app.add_api_route("/", endpoint)
    client = TestClient(app)

    assert client.get("/", headers=token(scope="read")).json() == "ada"
    assert (header.reads, checked) == (1, ["ada"])
    assert client.get("/", headers=token(scope="write")).status_code == 403
    assert client.get("/").status_code == 401
    assert (header.reads, checked) == (3, ["ada", "ada"])


def behind_middleware(auth: AveAuth, verifier: Verifier = VERIFIER, **options: Unpack[AuthOptions]) -> TestClient:
    app = FastAPI(middleware=[Middleware(AveAuthMiddleware, verifier=verifier, required=False, **options)])
    auth.install(app)

    def endpoint(identity: Annotated[Identity, Security(auth, scopes=["read"])]) -> str:
        return identity.subject

    app.add_api_route("/", endpoint)
    return TestClient(app)


def test_behind_a_middleware_with_the_same_verifier_nothing_is_read_again() -> None:
    header = CountingHeader()
    client = behind_middleware(AveAuth(VERIFIER, token_sources=[header]), token_sources=[header])

    assert client.get("/", headers=token(scope="read")).json() == "ada"
    assert header.reads == 1
    assert client.get("/").status_code == 401


def test_behind_a_middleware_the_dependencys_own_rules_hold() -> None:
    def check(identity: Identity) -> str | None:
        return "banned" if identity.subject == "grace" else None

    client = behind_middleware(AveAuth(VERIFIER, check=check))

    assert client.get("/", headers=token(scope="read", sub="grace")).status_code == 401
    assert client.get("/", headers=token(scope="write")).status_code == 403


def test_behind_a_middleware_with_another_verifier_the_own_verifier_decides() -> None:
    """HTP-010: an identity of another verifier is none here."""
    other_issuer = FakeIssuer("https://other.test")
    with other_issuer.verifier() as other:
        client = behind_middleware(AveAuth(VERIFIER), other, on_invalid="defer")
        assert client.get("/", headers=dict(bearer(other_issuer.token(scope="read")))).status_code == 401
        assert client.get("/", headers=token(scope="read")).json() == "ada"


def test_where_the_middleware_is_exempt_the_dependency_is_not() -> None:
    client = behind_middleware(AveAuth(VERIFIER), exempt=["/"])

    assert client.get("/").status_code == 401
    assert client.get("/", headers=token(scope="read")).json() == "ada"


def test_a_deferred_refusal_is_raised_by_the_dependency_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """HTP-036."""
    caplog.set_level("INFO", "aveverify.http")
    client = behind_middleware(AveAuth(VERIFIER, realm="here"), on_invalid="defer")

    answer = client.get("/", headers=EXPIRED)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="here", error="invalid_token"')
    records: list[logging.LogRecord] = [one for one in caplog.records if one.name == "aveverify.http"]
    assert len(records) == 1


@pytest.mark.parametrize("policy", [None, "policy", object()], ids=["no policy", "text", "object"])
def test_an_identity_that_stood_in_the_scope_is_overwritten(policy: object) -> None:
    """HTP-010: it counts only where a middleware of ours has put it."""
    inner = make_app()
    planted = VERIFIER.verify(ISSUER.token(sub="mallory", scope="read"))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, IDENTITY_KEY: planted, POLICY_KEY: policy}, receive, send)

    assert TestClient(app).get("/me").status_code == 401
    assert TestClient(app).get("/maybe-anonymous").json() is None
    assert TestClient(app).get("/maybe-anonymous", headers=token()).json() == "ada"


def test_a_value_of_the_application_in_the_place_of_the_identity_is_none() -> None:
    """HTP-010: only what a verifier made is an identity, also behind our middleware."""
    inner = make_app()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, IDENTITY_KEY: "mallory"}, receive, send)

    client = TestClient(AveAuthMiddleware(app, VERIFIER, required=False))
    assert client.get("/me").status_code == 401
    assert client.get("/me", headers=token()).json() == "ada"


# --- WebSockets -----------------------------------------------------------------------------------------------------


def test_a_websocket_gets_the_identity(client: TestClient) -> None:
    with client.websocket_connect("/socket", headers=token(scope="read")) as session:
        assert session.receive_text() == "ada"


def test_a_browser_may_offer_its_token_as_a_protocol(client: TestClient) -> None:
    """HTP-029."""
    offered = ["bearer", ISSUER.token(sub="ada", scope="read")]
    with client.websocket_connect("/socket", subprotocols=offered) as session:
        assert session.receive_text() == "ada"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="no credentials"),
        pytest.param(EXPIRED, 401, id="refused"),
        pytest.param(token(), 403, id="scope missing"),
    ],
)
def test_a_websocket_is_denied_before_it_is_accepted(client: TestClient, headers: dict[str, str], status: int) -> None:
    """HTP-029: with the whole HTTP response."""
    with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect("/socket", headers=headers):
        raise NotImplementedError

    assert caught.value.status_code == status
    assert caught.value.headers["cache-control"] == "no-store"
    assert set(caught.value.json()) == {"error", "error_description"}


@pytest.mark.parametrize("middleware", [AveAuthMiddleware, AsgiMiddleware], ids=["Starlette", "ASGI"])
def test_a_websocket_behind_an_exempting_middleware_has_the_user_of_the_dependency(
    middleware: type[AveAuthMiddleware | AsgiMiddleware],
) -> None:
    """The middleware reads nothing there; the WebSocket still has one user, and ends with that token."""
    app = FastAPI()

    @app.websocket("/")
    async def talk(websocket: WebSocket, identity: Me) -> None:
        await websocket.accept()
        found = (get_user_identity(websocket), current_identity.get(), get_live_connection(websocket).identity)
        await websocket.send_json([one is identity for one in found])
        await websocket.close()

    app.add_middleware(middleware, verifier=VERIFIER, required=True, exempt=["/"])
    ave.install(app)

    with TestClient(app).websocket_connect("/", headers=token()) as session:
        assert session.receive_json() == [True, True, True]


def test_a_websocket_ends_with_the_first_of_its_tokens_that_expires() -> None:
    """CJ-29: whatever other dependencies find: no token, or one of another issuer that expires earlier or later."""
    clock = FakeClock(now=NOW)
    one, two = FakeIssuer(clock=clock), FakeIssuer("https://other.test", clock=clock)
    with one.verifier() as verifier, two.verifier() as other:
        own = AveAuth(verifier)
        cookie = AveAuth(verifier, token_sources=[Cookie("session", allowed_origins=["https://app.test"])])
        foreign = AveAuth(other, token_sources=[QueryParameter()])
        ends: list[float] = []
        app = FastAPI()

        async def talk(
            websocket: WebSocket,
            identity: Annotated[Identity, Security(own)],
            anonymous: Annotated[Identity | None, Security(cookie.optional)],
            other_issuer: Annotated[Identity, Security(foreign)],
        ) -> None:
            assert anonymous is None
            known = [get_user_identity(websocket), get_live_connection(websocket).identity]
            assert known == [identity, identity]
            await websocket.accept()
            ends.append(min(identity.expires_at, other_issuer.expires_at))
            clock.tick(seconds=ends[-1] - clock.now())
            await get_live_connection(websocket).until_expired()

        app.add_api_websocket_route("/", talk)
        app.add_middleware(AveAuthMiddleware, verifier=verifier, required=False, close_expired=False)
        for shorter in (one, two):
            lives = {it: it.token(exp=clock.now() + (60 if it is shorter else 600)) for it in (one, two)}
            url = f"/?access_token={lives[two]}"
            with TestClient(app).websocket_connect(url, headers=dict(bearer(lives[one]))) as session:
                assert session.receive()["code"] == 3000
        assert len(ends) == 2


def test_a_further_token_meets_the_rules_of_the_dependency() -> None:
    """HTP-030: a user who has lost a scope, or was banned, does not extend the WebSocket."""
    banned: list[str] = []
    auth = AveAuth(VERIFIER, check=lambda identity: "banned" if identity.subject in banned else None)
    app = FastAPI()

    async def talk(websocket: WebSocket, _identity: Annotated[Identity, Security(auth, scopes=["admin"])]) -> None:
        await websocket.accept()
        live = get_live_connection(websocket)
        with pytest.raises(InsufficientScopeError):
            await live.reauthenticate(ISSUER.token(sub="ada", scope="read"))
        await live.reauthenticate(ISSUER.token(sub="ada", scope="admin"))
        banned.append("ada")
        with pytest.raises(InvalidTokenError):
            await live.reauthenticate(ISSUER.token(sub="ada", scope="admin"))
        await websocket.send_text("as it was")
        await websocket.close()

    app.add_api_websocket_route("/", talk)
    app.add_middleware(AveAuthMiddleware, verifier=VERIFIER, required=True)

    with TestClient(app).websocket_connect("/", headers=token(scope="admin")) as session:
        assert session.receive_text() == "as it was"


@pytest.mark.parametrize("refuses", [False, True], ids=["a user", "none"])
def test_the_user_of_a_dependency_is_loaded_and_shown_by_the_middleware(*, refuses: bool) -> None:
    app = FastAPI()

    async def talk(websocket: WebSocket, _identity: Me) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user)
        await websocket.close()

    app.add_api_websocket_route("/", talk)
    app.add_middleware(
        AveAuthMiddleware,
        verifier=VERIFIER,
        required=True,
        exempt=["/"],
        load_user=lambda identity: None if refuses else identity.subject.upper(),
    )

    if refuses:
        with pytest.raises(WebSocketDenialResponse) as caught, TestClient(app).websocket_connect("/", headers=token()):
            raise NotImplementedError
        assert caught.value.status_code == 401
    else:
        with TestClient(app).websocket_connect("/", headers=token()) as session:
            assert session.receive_text() == "ADA"


@pytest.mark.parametrize("in_front", [True, False], ids=["behind the middleware", "alone"])
@pytest.mark.parametrize("copies", [True, False], ids=["scope copied in between", "scope passed on"])
def test_a_token_in_the_query_is_taken_out_of_the_servers_own_scope(*, in_front: bool, copies: bool) -> None:
    """HTP-033: because that is what the server logs."""
    auth = AveAuth(VERIFIER, token_sources=[QueryParameter()])
    app = FastAPI()

    @app.websocket("/")
    async def talk(websocket: WebSocket, identity: Annotated[Identity, Security(auth)]) -> None:
        await websocket.accept()
        await websocket.send_text(f"{identity.subject} {websocket.url.query}")
        await websocket.close()

    if copies:
        app.add_middleware(Copying)
    if in_front:
        app.add_middleware(AveAuthMiddleware, verifier=VERIFIER, required=False)
    auth.install(app)
    scopes: list[Scope] = []

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await app(scope, receive, send)

    with TestClient(server).websocket_connect(f"/?access_token={ISSUER.token(sub='ada')}&room=1") as session:
        assert session.receive_text() == "ada room=1"
    assert scopes[-1]["query_string"] == b"room=1"


@pytest.mark.parametrize("installs", [True, False], ids=["installed", "not installed"])
@pytest.mark.parametrize("where", ["endpoint", "sub-dependency", "router", "optional"])
def test_a_token_in_the_query_is_nowhere_in_the_websocket_of_the_application(*, installs: bool, where: str) -> None:
    """HTP-033: FastAPI has read the query for the dependency's own parameters, and Starlette keeps what it has read."""
    auth = AveAuth(VERIFIER, token_sources=[AuthorizationHeader(), QueryParameter()])
    app = FastAPI()
    seen: list[str] = []

    def look(websocket: WebSocket) -> None:
        scope = {name: value for name, value in websocket.scope.items() if isinstance(value, (str, bytes, list, dict))}
        seen.append(
            f"{websocket.query_params} {websocket.url} {websocket.query_params.getlist('access_token')} {scope}"
        )

    def before(websocket: WebSocket) -> None:
        # Something has read the query already, so that Starlette keeps it.
        assert "access_token" in websocket.query_params
        assert "access_token" in str(websocket.url)

    def inner(websocket: WebSocket, identity: Annotated[Identity, Security(auth)]) -> str:
        look(websocket)
        return identity.subject

    async def talk(websocket: WebSocket, room: str, subject: str = "ada") -> None:
        look(websocket)
        await websocket.accept()
        await websocket.send_text(f"{subject} {room} {websocket.query_params.get('room')} {websocket.url.query}")
        await websocket.close()

    async def talk_behind(websocket: WebSocket, room: str, subject: str = Depends(inner)) -> None:
        await talk(websocket, room, subject)

    dependency = Security(auth.optional if where == "optional" else auth)
    if where == "sub-dependency":
        app.add_api_websocket_route("/", talk_behind, dependencies=[Depends(before)])
    else:
        router = APIRouter(dependencies=[Depends(before), dependency] if where == "router" else [])
        router.add_api_websocket_route(
            "/", talk, dependencies=[] if where == "router" else [Depends(before), dependency]
        )
        app.include_router(router)
    if installs:
        auth.install(app)
    good = ISSUER.token(sub="ada")

    with TestClient(app).websocket_connect(f"/?access_token={good}&room=1") as session:
        assert session.receive_text() == "ada 1 1 room=1"

    assert seen
    assert not any(good in text or "access_token" in text for text in seen)


def test_a_refused_token_in_the_query_is_nowhere_in_the_websocket_of_an_exception_handler() -> None:
    """HTP-033."""
    auth = AveAuth(VERIFIER, token_sources=[QueryParameter()])
    app = FastAPI()
    seen: list[str] = []

    async def talk(identity: Annotated[Identity, Security(auth)]) -> None:
        raise NotImplementedError

    async def handle(websocket: WebSocket, _error: Exception) -> None:
        seen.append(f"{websocket.query_params} {websocket.url}")
        await websocket.close()

    app.add_api_websocket_route("/", talk)
    app.add_exception_handler(RefusedError, cast("Any", handle))

    query = f"access_token={ISSUER.forge('expired')}&room=1"
    with pytest.raises(WebSocketDisconnect), TestClient(app).websocket_connect(f"/?{query}"):
        raise NotImplementedError

    assert seen == ["room=1 ws://testserver/?room=1"]


class Copying:
    """A middleware that copies the scope, as many do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(dict(scope), receive, send)


def test_a_dependency_with_sources_of_its_own_takes_nothing_from_elsewhere() -> None:
    auth = AveAuth(VERIFIER, token_sources=[AuthorizationHeader()])
    app = FastAPI()

    def endpoint(identity: Annotated[Identity, Security(auth)]) -> str:
        return identity.subject

    app.add_api_route("/", endpoint)
    cookies = [Cookie("session", allowed_origins=["https://app.test"])]
    app.add_middleware(AveAuthMiddleware, verifier=VERIFIER, required=False, token_sources=cookies)
    headers = {"Origin": "https://app.test", "Cookie": f"session={ISSUER.token(sub='ada')}"}

    assert TestClient(app).get("/", headers=headers).status_code == 401
    assert TestClient(app).get("/", headers=token()).json() == "ada"


def test_where_the_server_cannot_deny_a_websocket_is_closed(app: FastAPI) -> None:
    """HTP-029: code 1008."""

    async def without_extension(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {}}, receive, send)

    with (
        pytest.raises(WebSocketDisconnect) as caught,
        TestClient(without_extension).websocket_connect("/socket", headers=EXPIRED),
    ):
        raise NotImplementedError

    assert caught.value.code == 1008


# --- in tests, and in front -----------------------------------------------------------------------------------------


def test_a_test_may_override_the_dependency(app: FastAPI) -> None:
    app.dependency_overrides[ave] = lambda: VERIFIER.verify(NOW_GOOD)
    client = TestClient(app)

    assert client.get("/me").json() == "ada"
    assert client.get("/user").json() == "ada"
    assert client.get("/readers").json() == "ada"

    app.dependency_overrides.clear()
    assert client.get("/me").status_code == 401


def test_a_preflight_is_answered_in_front_of_the_dependency(app: FastAPI) -> None:
    """HTP-027, HTP-028."""
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.test"], allow_headers=["Authorization"])
    origin = {"Origin": "https://app.test"}
    client = TestClient(app)

    preflight = client.options("/me", headers=origin | {"Access-Control-Request-Method": "GET"})
    refusal = client.get("/me", headers=origin)

    assert preflight.status_code == 200
    assert refusal.status_code == 401
    assert refusal.headers["access-control-allow-origin"] == "https://app.test"


@pytest.mark.parametrize(
    ("option", "value"),
    [("scopes", "read"), ("realm", 'a"b'), ("resource_metadata", "a b"), ("token_sources", []), ("check", "no")],
    ids=["scopes", "realm", "resource_metadata", "token_sources", "check"],
)
def test_a_wrong_option_is_refused_by_name(option: str, value: object) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ConfigurationError) as caught:
        AveAuth(VERIFIER, **options)

    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, option)


@pytest.mark.parametrize("option", ["required", "on_invalid", "exempt"])
def test_a_dependency_has_no_options_of_a_middleware(option: str) -> None:
    """Each view says whether it requires an identity; a dependency that may return None would have a wrong type."""
    options: dict[str, Any] = {option: None}
    with pytest.raises(TypeError):
        AveAuth(VERIFIER, **options)


def test_a_plain_dependency_works_like_a_security_dependency(app: FastAPI) -> None:
    def endpoint(identity: Annotated[Identity, Depends(ave)]) -> str:
        return identity.subject

    app.add_api_route("/plain", endpoint)
    assert TestClient(app).get("/plain", headers=token()).json() == "ada"
