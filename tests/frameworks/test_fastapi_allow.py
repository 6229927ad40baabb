"""FastAPI's `ave.allow` and `ave.any_scope`: dependencies on an identity that meets a rule of one view."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Security, WebSocket
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from aveverify import ConfigurationError, Identity, InsufficientScopeError
from aveverify.asgi import get_live_connection
from aveverify.errors import Problem
from aveverify.fastapi import AveAuth
from aveverify.starlette import AveAuthMiddleware
from aveverify.testing import FakeIssuer
from tests.http.http_fixtures import bearer, scopes_of_challenge

ISSUER = FakeIssuer()
VERIFIER = ISSUER.verifier()
ave = AveAuth(VERIFIER)


def is_pro(identity: Identity) -> bool:
    return bool(identity.get("plan") == "pro")


async def is_pro_later(identity: Identity) -> bool:
    return is_pro(identity)


Pro = Annotated[Identity, Security(ave.allow(is_pro))]
MaybePro = Annotated[Identity | None, Security(ave.optional.allow(is_pro))]
MaybeStaff = Annotated[Identity | None, Security(ave.optional.any_scope("admin", "editor"))]


def token(**claims: str) -> dict[str, str]:
    return dict(bearer(ISSUER.token({"sub": "ada"} | claims)))


PRO, FREE = token(plan="pro"), token(plan="free")


def client_of(**routes: Any) -> TestClient:
    """An application with one route for each dependency, which says who it is."""
    app = FastAPI()
    ave.install(app)
    for name, dependency in routes.items():

        def endpoint(identity: Identity | None = dependency) -> str | None:
            return identity.subject if identity else None

        app.add_api_route(f"/{name}", endpoint)
    return TestClient(app)


@pytest.mark.parametrize("predicate", [is_pro, is_pro_later], ids=["function", "coroutine function"])
def test_only_those_whom_the_predicate_allows_reach_a_view(predicate: Any) -> None:
    client = client_of(pro=Security(ave.allow(predicate)))

    assert client.get("/pro", headers=PRO).json() == "ada"
    refused, anonymous = client.get("/pro", headers=FREE), client.get("/pro")
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert "scope=" not in refused.headers["www-authenticate"]
    assert (anonymous.status_code, anonymous.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("scope", "status", "challenge"),
    [
        pytest.param("admin", 200, None, id="one"),
        pytest.param("openid editor", 200, None, id="the other"),
        pytest.param("read", 403, "admin editor", id="neither"),
    ],
)
def test_one_of_several_scopes_is_enough(scope: str, status: int, challenge: str | None) -> None:
    client = client_of(staff=Security(ave.any_scope("admin", "editor")))

    reply = client.get("/staff", headers=token(scope=scope))

    assert reply.status_code == status
    assert scopes_of_challenge(reply.headers) == challenge


def test_the_claim_that_holds_scopes_is_that_of_the_dependency() -> None:
    other = AveAuth(VERIFIER, scope_claims=["scp"])
    client = client_of(staff=Security(other.any_scope("admin")))

    assert client.get("/staff", headers=token(scp="admin")).status_code == 200
    assert client.get("/staff", headers=token(scope="admin")).status_code == 403


def test_scopes_and_rules_hold_together() -> None:
    client = client_of(
        pro=Security(ave.allow(is_pro), scopes=["read"]), staff=Security(ave.any_scope("a", "b"), scopes=["read"])
    )

    assert client.get("/pro", headers=token(plan="pro", scope="read")).status_code == 200
    assert client.get("/pro", headers=token(plan="pro")).status_code == 403
    assert client.get("/pro", headers=token(plan="free", scope="read")).status_code == 403
    assert client.get("/staff", headers=token(scope="read b")).status_code == 200
    assert client.get("/staff", headers=token(scope="b")).headers["www-authenticate"].endswith(' scope="read"')
    assert client.get("/staff", headers=token(scope="read")).headers["www-authenticate"].endswith(' scope="read a b"')


def test_an_optional_identity_may_be_absent_but_must_meet_the_rule() -> None:
    client = client_of(pro=Security(ave.optional.allow(is_pro)), staff=Security(ave.optional.any_scope("admin")))

    for path, good in (("/pro", PRO), ("/staff", token(scope="admin"))):
        assert client.get(path).json() is None
        assert client.get(path, headers=good).json() == "ada"
        assert client.get(path, headers=FREE).status_code == 403


@pytest.mark.parametrize("place", ["router", "application"])
def test_a_rule_protects_a_whole_router_or_application(place: str) -> None:
    rule = [Security(ave.allow(is_pro))]
    router = APIRouter(dependencies=rule if place == "router" else [])
    router.add_api_route("/", lambda: "hello")
    app = FastAPI(dependencies=rule if place == "application" else [])
    app.include_router(router)
    client = TestClient(app)

    assert [client.get("/", headers=headers).status_code for headers in (PRO, FREE, {})] == [200, 403, 401]


@pytest.mark.parametrize("installs", [True, False], ids=["installed", "not installed"])
def test_a_predicate_is_called_once_in_a_request(*, installs: bool) -> None:
    called: list[Identity] = []

    def remember(identity: Identity) -> bool:
        called.append(identity)
        return True

    rule = ave.allow(remember)
    app = FastAPI(dependencies=[Security(rule)])
    if installs:
        ave.install(app)

    @app.post("/")
    def endpoint(_text: dict[str, str], identity: Annotated[Identity, Security(rule, scopes=["read"])]) -> str:
        return identity.subject

    assert TestClient(app).post("/", json={}, headers=token(scope="read")).json() == "ada"
    assert len(called) == 1


def test_openapi_shows_the_same_scheme() -> None:
    app = FastAPI()
    for path, dependency in (
        ("/me", Security(ave, scopes=["read"])),
        ("/pro", Security(ave.allow(is_pro), scopes=["read"])),
        ("/staff", Security(ave.any_scope("admin"), scopes=["read"])),
    ):
        app.add_api_route(path, lambda: None, dependencies=[dependency])
    document = app.openapi()

    assert len({str(document["paths"][path]["get"]["security"]) for path in ("/me", "/pro", "/staff")}) == 1
    assert list(document["components"]["securitySchemes"]) == ["aveBearer"]


@pytest.mark.parametrize("installs", [True, False], ids=["installed", "not installed"])
def test_a_rule_decides_about_the_identity_of_a_replaced_dependency(*, installs: bool) -> None:
    app = FastAPI()
    if installs:
        ave.install(app)

    @app.post("/pro")
    def pro(_text: dict[str, str], identity: Pro) -> str:
        return identity.subject

    @app.post("/staff")
    def staff(_text: dict[str, str], identity: Annotated[Identity, Security(ave.any_scope("admin"))]) -> str:
        return identity.subject

    client = TestClient(app)
    for claims, statuses in (
        ({"plan": "pro"}, [200, 403]),
        ({"plan": "free"}, [403, 403]),
        ({"scope": "admin"}, [403, 200]),
    ):
        replacement = VERIFIER.verify(ISSUER.token({"sub": "grace"} | claims))
        app.dependency_overrides[ave] = lambda identity=replacement: identity
        assert [client.post(path, json={}).status_code for path in ("/pro", "/staff")] == statuses


def test_a_rule_holds_behind_a_middleware() -> None:
    client = client_of(pro=Security(ave.allow(is_pro)))
    app: Any = client.app
    app.add_middleware(AveAuthMiddleware, verifier=VERIFIER, required=True)

    assert [client.get("/pro", headers=headers).status_code for headers in (PRO, FREE, {})] == [200, 403, 401]


def test_a_subclass_with_a_call_of_its_own_finds_the_identity() -> None:
    """HTP-051: it runs after the body is read, and so does the rule."""
    grace = VERIFIER.verify(ISSUER.token(sub="grace", plan="pro"))

    class Always(AveAuth):
        async def __call__(self, *_args: Any, **_kwargs: Any) -> Identity:  # type: ignore[override]
            return grace

    always = Always(VERIFIER)
    app = FastAPI()
    always.install(app)

    @app.post("/")
    def endpoint(_text: dict[str, str], identity: Annotated[Identity, Security(always.allow(is_pro))]) -> str:
        return identity.subject

    assert TestClient(app).post("/", json={}, headers=FREE).json() == "grace"


# --- optional where the rest is required ----------------------------------------------------------------------------


def feed(identity: Annotated[Identity | None, Security(ave.optional)]) -> str | None:
    return identity.subject if identity else None


def test_an_optional_path_of_the_middleware_serves_a_view_with_an_optional_identity() -> None:
    app = FastAPI()
    app.add_api_route("/feed", feed)
    app.add_api_route("/me", feed)
    app.add_api_route("/feed/mine", lambda: None, dependencies=[Security(ave)])
    app.add_middleware(AveAuthMiddleware, verifier=VERIFIER, required=True, optional=["/feed", "/feed/*"])
    client = TestClient(app)

    assert (client.get("/feed").status_code, client.get("/feed").json()) == (200, None)
    assert client.get("/feed", headers=FREE).json() == "ada"
    assert client.get("/feed", headers=dict(bearer(ISSUER.forge("expired")))).status_code == 401
    assert client.get("/me").status_code == 401
    # The view decides, too.
    assert client.get("/feed/mine").status_code == 401


def test_an_optional_dependency_does_not_weaken_that_of_its_router() -> None:
    router = APIRouter(dependencies=[Security(ave)])
    router.add_api_route("/feed", feed)
    app = FastAPI()
    app.include_router(router)

    assert TestClient(app).get("/feed").status_code == 401


# --- WebSockets -----------------------------------------------------------------------------------------------------


def socket_app(*, installs: bool) -> FastAPI:
    app = FastAPI()
    if installs:
        ave.install(app)

    @app.websocket("/")
    async def talk(websocket: WebSocket, identity: Pro) -> None:
        await websocket.accept()
        await websocket.send_text(identity.subject)
        await websocket.close()

    return app


@pytest.mark.parametrize("installs", [True, False], ids=["installed", "not installed"])
def test_a_websocket_is_refused_before_it_is_accepted(*, installs: bool) -> None:
    app = socket_app(installs=installs)
    client = TestClient(app)

    with client.websocket_connect("/", headers=PRO) as session:
        assert session.receive_text() == "ada"
    with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect("/", headers=FREE):
        raise NotImplementedError
    assert caught.value.status_code == 403

    async def without_extension(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {}}, receive, send)

    with (
        pytest.raises(WebSocketDisconnect) as closed,
        TestClient(without_extension).websocket_connect("/", headers=FREE),
    ):
        raise NotImplementedError
    assert closed.value.code == 1008


@pytest.mark.parametrize("headers", [token(plan="pro", scope="admin"), {}], ids=["of a user", "anonymous at first"])
def test_a_further_token_of_a_websocket_meets_the_rules(headers: dict[str, str]) -> None:
    """HTP-030."""
    app = FastAPI()
    ave.install(app)

    @app.websocket("/")
    async def talk(websocket: WebSocket, _pro: MaybePro, _staff: MaybeStaff) -> None:
        await websocket.accept()
        live = get_live_connection(websocket)
        for claims in ({"plan": "free", "scope": "admin"}, {"plan": "pro", "scope": "read"}):
            with pytest.raises(InsufficientScopeError):
                await live.reauthenticate(ISSUER.token({"sub": "ada"} | claims))
        identity = await live.reauthenticate(ISSUER.token(sub="ada", plan="pro", scope="editor"))
        await websocket.send_text(identity.subject)
        await websocket.close()

    with TestClient(app).websocket_connect("/", headers=headers) as session:
        assert session.receive_text() == "ada"


# --- what cannot be right -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", [ave, ave.optional], ids=["required", "optional"])
@pytest.mark.parametrize(
    ("name", "arguments", "problem", "field"),
    [
        pytest.param("allow", ("pro",), Problem.OUT_OF_RANGE, "allow", id="text as predicate"),
        pytest.param("allow", (None,), Problem.MISSING, "allow", id="no predicate"),
        pytest.param("any_scope", (), Problem.EMPTY, "any_scope", id="no scope"),
        pytest.param("any_scope", ("a b",), Problem.OUT_OF_RANGE, "any_scope", id="a blank in a scope"),
        pytest.param("any_scope", (["a", "b"],), Problem.OUT_OF_RANGE, "any_scope", id="a list"),
    ],
)
def test_a_rule_that_cannot_be_right_is_refused_at_once(
    auth: Any, name: str, arguments: Any, problem: Problem, field: str
) -> None:
    """HTP-043."""
    with pytest.raises(ConfigurationError) as caught:
        getattr(auth, name)(*arguments)

    assert (caught.value.problem, caught.value.field) == (problem, field)
