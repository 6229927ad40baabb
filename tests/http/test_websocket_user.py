"""The user of a WebSocket, wherever an application looks: the one of the moment, also in copies of the scope."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from fastapi import FastAPI, Security, WebSocketException
from fastapi.security import SecurityScopes
from litestar import Litestar, WebSocket, asgi, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.authentication import UnauthenticatedUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Mount, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket as StarletteWebSocket

from aveverify import (
    ConfigurationError,
    Identity,
    InsufficientScopeError,
    InvalidTokenError,
    Provider,
    Reason,
    Verifier,
    current_identity,
    get_user_identity,
)
from aveverify._http.websocket_scope import LiveDict, LiveValue
from aveverify.asgi import AveAuthMiddleware as AsgiMiddleware
from aveverify.asgi import get_live_connection
from aveverify.errors import Problem
from aveverify.fastapi import AveAuth, RefusedError
from aveverify.litestar import AveAuthPlugin
from aveverify.starlette import AveAuthBackend, AveAuthMiddleware
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http.http_fixtures import Client, bearer, websocket_scope

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from aveverify.fetcher import FetchRequest, FetchResponse

LIFE_SECONDS = 60
CODE = 3000


class Account:
    """What an application makes of an identity."""

    def __init__(self, subject: str) -> None:
        self.subject = subject


async def load_user(identity: Identity) -> Account:
    return Account(identity.subject)


class Copying:
    """What many a middleware does: to the scope, and to its state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": dict(scope["state"])}, receive, send)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=NOW)


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(clock=clock)


@pytest.fixture
def headers(issuer: FakeIssuer, clock: FakeClock) -> dict[str, str]:
    return dict(bearer(issuer.token(sub="ada", scope="read", exp=clock.now() + LIFE_SECONDS)))


def name_in(user: Any) -> str | None:
    """The name of a user; None where there is none."""
    found = getattr(user, "subject", None)
    return None if found is None else str(found)


def look_everywhere(scope: Any) -> set[str | None]:
    """The names of all users that a scope, its state and its context show."""
    live = get_live_connection(scope)
    shown = [get_user_identity(scope), current_identity.get(), live.identity]
    shown += [scope["aveverify.identity"], scope.get("aveverify.identity"), scope["state"]["identity"]]
    if "user" in scope:
        shown += [scope["user"], scope.get("user"), dict(scope)["user"], copy.copy(scope)["user"]]
        assert name_in(scope["user"]) is None or "read" in getattr(scope["auth"], "scopes", scope["auth"])
    return {name_in(user) for user in shown}


def make_life(issuer: FakeIssuer, clock: FakeClock) -> Callable[[Any], Any]:
    """A function that lives through three users of one WebSocket, and returns all whom it saw after each change."""

    async def live_through(scope: Any) -> list[set[str | None]]:
        seen = [look_everywhere(scope)]
        live = get_live_connection(scope)
        exp = clock.now() + 2 * LIFE_SECONDS
        await live.reauthenticate(issuer.token(sub="grace", scope="read", exp=exp), allow_other_user=True)
        seen.append(look_everywhere(scope))
        clock.tick(seconds=2 * LIFE_SECONDS)
        seen.append(look_everywhere(scope))
        return seen

    return live_through


LIFE = [["ada"], ["grace"], [None]]


def as_json(seen: list[set[str | None]]) -> list[list[str | None]]:
    return [sorted(users, key=str) for users in seen]


def disconnect_of(message: Any) -> int | None:
    """The code of a disconnect."""
    return message["code"] if message["type"] == "websocket.disconnect" else None


# --- every place ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [None, load_user], ids=["identity", "loaded user"])
@pytest.mark.parametrize("copies", [False, True], ids=["passed on", "copied"])
@pytest.mark.parametrize("integration", ["asgi", "starlette"])
def test_htp_046_every_place_shows_the_user_of_the_moment_in_starlette(  # noqa: PLR0913 - what is combined
    issuer: FakeIssuer,
    clock: FakeClock,
    headers: dict[str, str],
    integration: str,
    load: Any,
    *,
    copies: bool,
) -> None:
    """HTP-041, HTP-046: behind mounts, and in copies that a middleware makes of the scope and its state."""
    seen: list[Any] = []
    live_through = make_life(issuer, clock)

    async def talk(socket: StarletteWebSocket) -> None:
        await socket.accept()
        state, other = socket.state, StarletteWebSocket(dict(socket.scope), socket.receive, socket.send)
        seen.extend(await live_through(socket.scope))
        # What was made of the scope before the changes.
        seen.append({name_in(state.identity), name_in(other.state.identity), name_in(get_user_identity(other))})
        if integration == "starlette":
            for one in (socket, other):
                assert isinstance(one.user, UnauthenticatedUser)
                assert (one.user.is_authenticated, one.auth.scopes) == (False, [])
        assert (await socket.receive())["code"] == CODE

    verifier = issuer.verifier()
    options: dict[str, Any] = {"load_user": load} if integration == "starlette" else {}
    outer: Any = AveAuthMiddleware if integration == "starlette" else AsgiMiddleware
    inner = Starlette(routes=[WebSocketRoute("/talk", talk)])
    app = Starlette(
        routes=[Mount("/api", routes=[Mount("/v1", inner)])],
        middleware=[
            Middleware(outer, verifier=verifier, required=True, **options),
            *([Middleware(Copying)] if copies else []),
        ],
    )

    with TestClient(app).websocket_connect("/api/v1/talk", headers=headers) as session:
        assert session.receive()["code"] == CODE

    assert as_json(seen) == [*LIFE, [None]]


@pytest.mark.parametrize("load", [None, load_user], ids=["identity", "loaded user"])
@pytest.mark.parametrize("kind", ["handler", "mounted", "copied"])
def test_htp_046_every_place_shows_the_user_of_the_moment_in_litestar(
    issuer: FakeIssuer,
    clock: FakeClock,
    headers: dict[str, str],
    load: Any,
    kind: str,
) -> None:
    """HTP-041, HTP-046: Litestar copies the scope for a mounted application, and the state for `socket.state`."""
    seen: list[Any] = []
    live_through = make_life(issuer, clock)

    @websocket("/talk")
    async def talk(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        seen.extend(await live_through(socket.scope))
        seen.append({name_in(socket.state.identity), name_in(get_user_identity(socket)), name_in(socket.user)})
        assert not socket.auth
        assert disconnect_of(await socket.receive()) == CODE

    @asgi("/mounted", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        seen.extend(await live_through(scope))
        seen.append({name_in(scope["user"])})
        assert scope["user"] is None
        assert (await receive())["code"] == CODE

    app = Litestar(
        [mounted if kind == "mounted" else talk],
        plugins=[AveAuthPlugin(issuer.verifier(), required=True, load_user=load)],
        middleware=cast("Any", [Copying] if kind == "copied" else []),
    )
    path = "/mounted/talk" if kind == "mounted" else "/talk"

    with (
        LitestarClient(app) as client,
        client.websocket_connect(path, headers=headers) as session,
        pytest.raises(WebSocketDisconnect) as caught,
    ):
        session.receive()

    assert caught.value.code == CODE
    assert as_json(seen) == [*LIFE, [None]]


def test_who_was_anonymous_is_shown_as_the_user_of_a_later_token(issuer: FakeIssuer, verifier: Verifier) -> None:
    """HTP-046: until then None is None, in copies too: nothing there could pass for a user."""

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI's
        plain = dict(scope)
        assert [scope["aveverify.identity"], plain["aveverify.identity"], dict(scope["state"])["identity"]] == [
            None
        ] * 3
        assert plain["aveverify.identity"] is None
        identity = await get_live_connection(scope).reauthenticate(issuer.token(sub="ada"))
        for shown in (scope["aveverify.identity"], scope["state"]["identity"], plain["state"]["identity"]):
            assert shown is identity
        assert get_user_identity(plain) is identity

    client = Client()
    client.call(AsgiMiddleware(app, verifier, required=False), websocket_scope())


def test_sec_08_users_whose_joined_texts_are_equal_are_two(clock: FakeClock) -> None:
    """SEC-08: an issuer may end with what the subject of another begins with."""
    one = FakeIssuer("https://a.test/x", clock=clock)
    two = FakeIssuer("https://a.test/x|y", clock=clock)
    first, second = one.token(sub="y|ada"), two.token(sub="ada")
    verifier = one.verifier(one.provider, two.provider, fetcher=Both(one, two))
    assert verifier.verify(first).token_identifier == verifier.verify(second).token_identifier
    refused: list[Reason] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI's
        live = get_live_connection(scope)
        with pytest.raises(InvalidTokenError) as caught:
            await live.reauthenticate(second)
        refused.append(caught.value.reason)
        assert (await live.reauthenticate(second, allow_other_user=True)).issuer == two.issuer

    client = Client()
    client.call(AsgiMiddleware(app, verifier, required=True), websocket_scope(bearer(first)))
    verifier.close()

    assert refused == [Reason.OTHER_USER]


class Both:
    """Fetches from two issuers."""

    def __init__(self, one: FakeIssuer, two: FakeIssuer) -> None:
        self._one, self._two = one, two

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Fetch from the issuer whose address that is."""
        return (self._two if request.url.startswith(self._two.issuer) else self._one).fetch(request)


# --- FastAPI's dependency ---------------------------------------------------------------------------------------------


@pytest.fixture
def app() -> FastAPI:
    return FastAPI()


def test_htp_041_after_install_a_websocket_ends_with_the_token_of_its_dependency(
    app: FastAPI, issuer: FakeIssuer, clock: FakeClock, headers: dict[str, str]
) -> None:
    """HTP-041: without any middleware; and a further token meets the rules of the dependency."""
    ave = AveAuth(issuer.verifier(), scopes=["read"])
    ave.install(app)

    async def talk(socket: Any, identity: Any = Security(ave)) -> None:  # noqa: B008 - as FastAPI
        await socket.accept()
        live = get_live_connection(socket)
        assert [get_user_identity(socket), current_identity.get(), live.identity] == [identity] * 3
        with pytest.raises(InsufficientScopeError):
            await live.reauthenticate(issuer.token(sub="ada"))
        exp = clock.now() + 2 * LIFE_SECONDS
        grace = await live.reauthenticate(issuer.token(sub="grace", scope="read", exp=exp), allow_other_user=True)
        shown = [get_user_identity(socket), current_identity.get(), socket.scope["aveverify.identity"]]
        assert [*shown, await ave(socket, SecurityScopes())] == [grace] * 4
        clock.tick(seconds=2 * LIFE_SECONDS)
        shown = [get_user_identity(socket), current_identity.get(), socket.scope["aveverify.identity"]]
        assert [*shown, await ave.optional(socket, SecurityScopes())] == [None] * 4
        with pytest.raises((RefusedError, WebSocketException)):
            await ave(socket, SecurityScopes())
        assert disconnect_of(await socket.receive()) == CODE

    talk.__annotations__["socket"] = StarletteWebSocket
    app.add_api_websocket_route("/", talk)

    with TestClient(app).websocket_connect("/", headers=headers) as session:
        assert session.receive()["code"] == CODE


def test_htp_041_install_may_leave_the_end_to_the_application(
    app: FastAPI, issuer: FakeIssuer, clock: FakeClock, headers: dict[str, str]
) -> None:
    """Messages go on after `exp`, without a user, until the application asks for the end."""
    ave = AveAuth(issuer.verifier())
    ave.install(app, close_expired=False)

    async def talk(socket: Any, identity: Any = Security(ave)) -> None:  # noqa: B008 - as FastAPI
        await socket.accept()
        assert get_user_identity(socket) is identity
        clock.tick(seconds=2 * LIFE_SECONDS)
        assert await socket.receive_text() == "still here"
        assert get_user_identity(socket) is None
        await get_live_connection(socket).until_expired()

    talk.__annotations__["socket"] = StarletteWebSocket
    app.add_api_websocket_route("/", talk)

    with TestClient(app).websocket_connect("/", headers=headers) as session:
        session.send_text("still here")
        assert session.receive()["code"] == CODE


def test_install_takes_no_other_word_for_whether_websockets_end(app: FastAPI, issuer: FakeIssuer) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AveAuth(issuer.verifier()).install(app, close_expired=cast("Any", None))

    assert caught.value.field == "close_expired"


def test_after_install_an_optional_dependency_lets_a_token_come_later(
    app: FastAPI, issuer: FakeIssuer, headers: dict[str, str]
) -> None:
    """Its scopes hold for that token, too."""
    ave = AveAuth(issuer.verifier())
    ave.install(app)

    async def talk(socket: Any, nobody: Any = Security(ave.optional, scopes=["read"])) -> None:  # noqa: B008 - as FastAPI
        await socket.accept()
        assert [nobody, get_user_identity(socket)] == [None, None]
        live = get_live_connection(socket)
        with pytest.raises(InsufficientScopeError):
            await live.reauthenticate(issuer.token(sub="ada"))
        identity = await live.reauthenticate(headers["Authorization"].removeprefix("Bearer "))
        assert await ave(socket, SecurityScopes()) is identity
        assert socket.scope["aveverify.identity"] is identity
        await socket.send_text("done")

    talk.__annotations__["socket"] = StarletteWebSocket
    app.add_api_websocket_route("/", talk)

    with TestClient(app).websocket_connect("/") as session:
        assert session.receive_text() == "done"


def test_after_install_a_websocket_without_a_dependency_has_no_rules_and_no_identity(
    app: FastAPI, issuer: FakeIssuer
) -> None:
    ave = AveAuth(issuer.verifier())
    ave.install(app)

    async def talk(socket: Any) -> None:
        await socket.accept()
        with pytest.raises(ConfigurationError) as caught:
            await get_live_connection(socket).reauthenticate(issuer.token())
        assert caught.value.problem is Problem.NO_MIDDLEWARE
        with pytest.raises(ConfigurationError):
            get_user_identity(socket)
        with pytest.raises(ConfigurationError):
            current_identity.get()
        await socket.send_text("done")

    talk.__annotations__["socket"] = StarletteWebSocket
    app.add_api_websocket_route("/", talk)

    with TestClient(app).websocket_connect("/") as session:
        assert session.receive_text() == "done"


@pytest.mark.parametrize("installs", ["before", "after"])
def test_htp_046_a_dependency_behind_a_middleware_gives_the_user_of_the_moment(
    app: FastAPI, issuer: FakeIssuer, clock: FakeClock, headers: dict[str, str], installs: str
) -> None:
    """HTP-041, HTP-046: in either order of the middleware and `install`."""
    verifier = issuer.verifier()
    ave, other = AveAuth(verifier), AveAuth(verifier)
    if installs == "before":
        ave.install(app)
    app.add_middleware(AveAuthMiddleware, verifier=verifier, required=True)
    if installs == "after":
        ave.install(app)

    async def talk(socket: Any, identity: Any = Security(ave)) -> None:  # noqa: B008 - as FastAPI
        await socket.accept()
        assert identity.subject == "ada"
        live = get_live_connection(socket)
        grace = await live.reauthenticate(issuer.token(sub="grace", scope="read"), allow_other_user=True)
        # One that has asked before, and one that has not.
        assert [await one(socket, SecurityScopes()) for one in (ave, other)] == [grace, grace]
        assert look_everywhere(socket.scope) == {"grace"}
        clock.tick(seconds=1e6)
        assert [await one.optional(socket, SecurityScopes()) for one in (ave, other)] == [None, None]
        assert look_everywhere(socket.scope) == {None}
        assert disconnect_of(await socket.receive()) == CODE

    talk.__annotations__["socket"] = StarletteWebSocket
    app.add_api_websocket_route("/", talk)

    with TestClient(app).websocket_connect("/", headers=headers) as session:
        assert session.receive()["code"] == CODE


def test_htp_041_a_dependency_alone_has_no_user_after_exp(
    app: FastAPI, issuer: FakeIssuer, clock: FakeClock, headers: dict[str, str]
) -> None:
    """HTP-041: it cannot end the WebSocket, but it says whose that is."""
    ave = AveAuth(issuer.verifier())

    async def talk(socket: Any, identity: Any = Security(ave)) -> None:  # noqa: B008 - as FastAPI
        await socket.accept()
        assert get_user_identity(socket) is identity
        assert await ave(socket, SecurityScopes()) is identity
        clock.tick(seconds=LIFE_SECONDS)
        assert get_user_identity(socket) is None
        assert await ave.optional(socket, SecurityScopes()) is None
        with pytest.raises((RefusedError, WebSocketException)):
            await ave(socket, SecurityScopes())
        with pytest.raises(ConfigurationError):
            get_live_connection(socket)
        await socket.send_text("done")

    talk.__annotations__["socket"] = StarletteWebSocket
    app.add_api_websocket_route("/", talk)

    with TestClient(app).websocket_connect("/", headers=headers) as session:
        assert session.receive_text() == "done"


@pytest.mark.parametrize("installs", [False, True], ids=["alone", "installed"])
def test_a_dependency_opens_no_websocket_in_the_leeway(
    app: FastAPI, issuer: FakeIssuer, clock: FakeClock, *, installs: bool
) -> None:
    """CJ-29."""
    lenient = Provider(issuer=issuer.issuer, application_id=issuer.application_id, leeway_seconds=5)
    ave = AveAuth(issuer.verifier(lenient))
    if installs:
        ave.install(app)

    async def talk(socket: Any, _identity: Any = Security(ave)) -> None:  # noqa: B008 - as FastAPI
        raise NotImplementedError

    talk.__annotations__["socket"] = StarletteWebSocket
    app.add_api_websocket_route("/", talk)
    headers = dict(bearer(issuer.token(exp=clock.now() - 1)))

    with pytest.raises(WebSocketDenialResponse) as caught, TestClient(app).websocket_connect("/", headers=headers):
        raise NotImplementedError
    assert caught.value.status_code == 401


# --- Starlette's own middleware ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["alone", "behind a middleware", "behind a middleware, banned"])
def test_htp_041_behind_the_backend_get_user_identity_gives_no_user_after_exp(
    issuer: FakeIssuer, clock: FakeClock, headers: dict[str, str], kind: str
) -> None:
    """HTP-041: alone it cannot end the WebSocket; behind a middleware its token ends that one's connection."""
    verifier = issuer.verifier()
    backend = AveAuthBackend(verifier, required=True)

    async def talk(socket: StarletteWebSocket) -> None:
        await socket.accept()
        assert name_in(get_user_identity(socket)) == "ada"
        clock.tick(seconds=LIFE_SECONDS)
        assert get_user_identity(socket) is None
        if kind == "alone":
            await socket.send_text("done")
        else:
            assert disconnect_of(await socket.receive()) == CODE

    middleware = [Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)]
    if kind != "alone":
        # It reads nothing itself.
        load: Any = (lambda _identity: None) if "banned" in kind else None
        options: dict[str, Any] = {"verifier": verifier, "required": False, "exempt": ["/"], "load_user": load}
        middleware.insert(0, Middleware(AveAuthMiddleware, **options))
    client = TestClient(Starlette(routes=[WebSocketRoute("/", talk)], middleware=middleware))

    if "banned" in kind:
        with pytest.raises(Exception) as caught, client.websocket_connect("/", headers=headers):  # noqa: PT011 - any kind
            raise NotImplementedError
        assert type(caught.value).__name__ in ("WebSocketDisconnect", "WebSocketDenialResponse")
        return
    with client.websocket_connect("/", headers=headers) as session:
        message = session.receive()
    assert message.get("text") == "done" if kind == "alone" else message["code"] == CODE


# --- the dictionaries -------------------------------------------------------------------------------------------------


class Holder:
    """Something of a user."""

    def __init__(self, *items: int) -> None:
        self.items = items


def live_dict(*values: Any) -> tuple[LiveDict, list[Any]]:
    """A dictionary with one live member, and the list whose first item that is."""
    held = list(values)
    return LiveDict(user=LiveValue(lambda: held[0]), path="/"), held


def test_every_way_to_read_a_live_dictionary_gives_the_thing_itself() -> None:
    scope, held = live_dict(first := Holder(), second := Holder())
    ways: list[Callable[[LiveDict], Any]] = [
        lambda it: it["user"],
        lambda it: it.get("user"),
        lambda it: it.setdefault("user", None),
        lambda it: dict(it.items())["user"],
        lambda it: next(iter(it.values())),
        lambda it: it.copy()["user"],
        lambda it: copy.copy(it)["user"],
        lambda it: it.copy().pop("user"),
    ]

    assert [way(scope) for way in ways] == [first] * len(ways)
    held.pop(0)
    assert [way(scope) for way in ways] == [second] * len(ways)
    assert (scope["path"], scope.get("none"), scope.get("none", 1), scope.pop("none", 2)) == ("/", None, 1, 2)
    scope["user"] = "the application's own"
    assert scope["user"] == "the application's own"


def test_a_plain_copy_passes_everything_on_to_the_thing_of_the_moment() -> None:
    scope, held = live_dict(Holder(1), Holder(2))
    user = dict(scope)["user"]

    assert (type(user) is LiveValue, isinstance(user, Holder), user.items) == (True, True, (1,))
    held.pop(0)
    assert user.items == (2,)
    user.items = (3,)
    assert held[0].items == (3,)
    del user.items
    assert not hasattr(held[0], "items")
    assert copy.copy(user) is copy.deepcopy(user) is user


@pytest.mark.parametrize(
    "thing",
    [frozenset({"read", "write"}), "ada", None, {"read": 1}, ("read",)],
    ids=["set", "text", "None", "mapping", "tuple"],
)
def test_what_stands_in_a_plain_copy_behaves_as_the_thing(thing: Any) -> None:
    scope, _ = live_dict(thing)
    user = {**scope}["user"]

    assert (bool(user), str(user), repr(user), f"{user}", hash_of(user)) == (
        bool(thing),
        str(thing),
        repr(thing),
        f"{thing}",
        hash_of(thing),
    )
    assert user == thing
    assert not user != thing  # noqa: SIM202 - the operator is what is tested
    if thing is not None:
        assert (len(user), list(user), "read" in user) == (len(thing), list(thing), "read" in thing)
    if isinstance(thing, frozenset):
        assert {"read"} <= user
        assert {"read"} < user
        assert user >= {"read"}
        assert user > {"read"}
        assert (user & {"read"}, user | {"more"}, user - {"read"}) == ({"read"}, thing | {"more"}, {"write"})
    if isinstance(thing, dict):
        assert user["read"] == 1


def hash_of(thing: object) -> int | None:
    try:
        return hash(thing)
    except TypeError:
        return None


def test_htp_046_a_new_token_is_the_users_in_front_too(issuer: FakeIssuer, verifier: Verifier) -> None:
    """Two middlewares of one verifier: what stands between them sees the new user."""
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await get_live_connection(scope).reauthenticate(issuer.token(sub="grace"), allow_other_user=True)

    inner = AveAuthMiddleware(app, verifier, required=True)

    async def between(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)
        identity = get_user_identity(scope)
        seen.append(identity and identity.subject)

    client = Client({"type": "websocket.connect"})
    token = issuer.token(sub="ada")
    client.call(AveAuthMiddleware(between, verifier, required=True), websocket_scope(bearer(token)))

    assert seen == ["grace"]
