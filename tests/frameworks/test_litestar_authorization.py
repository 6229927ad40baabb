"""Which requests a Litestar application serves: guards that ask for scopes or a predicate, and optional handlers."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from litestar import Controller, Litestar, Router, WebSocket, asgi, get, websocket
from litestar.datastructures import State  # noqa: TC002 - Litestar evaluates annotations
from litestar.exceptions import WebSocketDisconnect
from litestar.static_files import create_static_files_router
from litestar.testing import TestClient

from aveverify import AuthRecord, ConfigurationError, Identity, Reason, Verifier
from aveverify.errors import Hint, Problem
from aveverify.litestar import (
    AveAuthMiddleware,
    AveAuthPlugin,
    OptionalIdentity,
    allow,
    requires_any_scope,
    requires_authenticated,
    requires_scopes,
)
from aveverify.testing import FakeIssuer
from tests.http.http_fixtures import Client, bearer, http_scope, subject_of

if TYPE_CHECKING:
    from pathlib import Path

    from litestar.types import Receive, Scope, Send


def is_pro(identity: Identity) -> bool:
    return bool(identity.get("plan") == "pro")


async def is_pro_later(identity: Identity) -> bool:
    await asyncio.sleep(0)
    return is_pro(identity)


class IsPro:
    """A predicate that is an object."""

    def __call__(self, identity: Identity) -> bool:
        return is_pro(identity)


@get("/")
async def page() -> str:
    return "served"


LAYERS = ["application", "router", "controller", "handler"]


def guarded(verifier: Verifier, guard: Any, *, layer: str = "handler", **options: Any) -> TestClient[Litestar]:
    """A client of an application with one guard, on one layer."""
    on: dict[str, list[Any]] = {name: [guard] if name == layer else [] for name in LAYERS}

    class Pages(Controller):
        guards = on["controller"]

        @get("/", guards=on["handler"])
        async def page(self) -> str:
            return "served"

        @websocket("/chat", guards=on["handler"])
        async def chat(self, socket: WebSocket[Any, Any, State]) -> None:
            await socket.accept()
            await socket.send_text("served")
            await socket.close()

    router = Router("/", route_handlers=[Pages], guards=on["router"])
    plugin = AveAuthPlugin(verifier, **({"required": False} | options))
    return TestClient(Litestar([router], plugins=[plugin], guards=on["application"], logging_config=None))


def headers_of(issuer: FakeIssuer, **claims: Any) -> dict[str, str]:
    return dict(bearer(issuer.token(sub="ada", **claims)))


def close_code(client: TestClient[Litestar], headers: dict[str, str]) -> int | None:
    """The code with which a WebSocket is closed before it is accepted; None where it is served."""
    try:
        with client.websocket_connect("/chat", headers=headers) as session:
            assert session.receive_text() == "served"
    except WebSocketDisconnect as closed:
        return closed.code
    return None


# --- a predicate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param(is_pro, id="function"),
        pytest.param(is_pro_later, id="coroutine function"),
        pytest.param(partial(is_pro), id="partial"),
        pytest.param(partial(is_pro_later), id="partial of a coroutine function"),
        pytest.param(lambda identity: is_pro_later(identity=identity), id="a function that returns an awaitable"),
        pytest.param(IsPro(), id="object"),
    ],
)
def test_a_predicate_allows_or_refuses_with_403(
    shared_issuer: FakeIssuer, shared_verifier: Verifier, predicate: Any, layer: str
) -> None:
    client = guarded(shared_verifier, allow(predicate), layer=layer)
    pro, free = headers_of(shared_issuer, plan="pro"), headers_of(shared_issuer, plan="free")

    answers = [client.get("/", headers=headers) for headers in (pro, free, {})]

    assert [answer.status_code for answer in answers] == [200, 403, 401]
    assert answers[1].json()["error"] == "insufficient_scope"
    assert "scope=" not in answers[1].headers["www-authenticate"]
    assert [close_code(client, headers) for headers in (pro, free, {})] == [None, 1008, 1008]


@pytest.mark.parametrize(
    ("value", "status"),
    [(True, 200), (["admin"], 200), (False, 403), (None, 403), ([], 403), ("", 403), (0, 403)],
    ids=repr,
)
def test_only_a_true_value_allows(
    shared_issuer: FakeIssuer, shared_verifier: Verifier, value: object, status: int
) -> None:
    client = guarded(shared_verifier, allow(lambda _identity: value))

    assert client.get("/", headers=headers_of(shared_issuer)).status_code == status


def test_a_predicate_that_fails_lets_nothing_in(shared_issuer: FakeIssuer, shared_verifier: Verifier) -> None:
    client = guarded(shared_verifier, allow(lambda identity: identity["plan"] == "pro"))

    assert client.get("/", headers=headers_of(shared_issuer)).status_code == 500
    assert client.get("/", headers=headers_of(shared_issuer, plan="pro")).status_code == 200


def test_a_predicate_that_returns_a_generator_lets_nothing_in(
    shared_issuer: FakeIssuer, shared_verifier: Verifier
) -> None:
    client = guarded(shared_verifier, allow(lambda _identity: (answer for answer in [False])))

    assert client.get("/", headers=headers_of(shared_issuer)).status_code == 500


def yield_truth(identity: Identity) -> Any:
    yield identity


@pytest.mark.parametrize(
    "predicate", ["pro", 7, None, lambda: True, yield_truth], ids=["text", "number", "None", "no argument", "generator"]
)
def test_what_is_no_predicate_is_refused_when_the_guard_is_made(predicate: Any) -> None:
    """HTP-043."""
    with pytest.raises(ConfigurationError) as caught:
        allow(predicate)

    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, "allow")


# --- scopes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    ("scope", "status"),
    [
        pytest.param("admin", 200, id="one"),
        pytest.param("editor", 200, id="the other"),
        pytest.param("editor admin", 200, id="both"),
        pytest.param("reader", 403, id="neither"),
        pytest.param(None, 403, id="none"),
    ],
)
def test_one_of_several_scopes_is_enough(
    shared_issuer: FakeIssuer, shared_verifier: Verifier, layer: str, scope: str | None, status: int
) -> None:
    client = guarded(shared_verifier, requires_any_scope("admin", "editor"), layer=layer)
    headers = headers_of(shared_issuer, scope=scope)

    answer = client.get("/", headers=headers)

    assert answer.status_code == status
    if status == 403:
        assert answer.headers["www-authenticate"].endswith(', scope="admin editor"')
    assert close_code(client, headers) == (None if status == 200 else 1008)
    assert (client.get("/").status_code, close_code(client, {})) == (401, 1008)


@pytest.mark.parametrize("make", [requires_scopes, requires_any_scope])
@pytest.mark.parametrize(
    ("scopes", "problem"),
    [([], Problem.EMPTY), (["two words"], Problem.OUT_OF_RANGE), ([7], Problem.OUT_OF_RANGE)],
    ids=["none", "blank", "number"],
)
def test_scopes_that_cannot_be_right_are_refused_when_the_guard_is_made(
    make: Any, scopes: list[Any], problem: Problem
) -> None:
    """HTP-043."""
    with pytest.raises(ConfigurationError) as caught:
        make(*scopes)

    assert (caught.value.problem, caught.value.field) == (problem, "scopes")


@pytest.mark.parametrize("guard", [requires_scopes("read", "write"), requires_any_scope("read", "write")])
@pytest.mark.parametrize(
    ("claims", "status"),
    [
        pytest.param({"scp": "read write"}, 200, id="text"),
        pytest.param({"permissions": ["write", "read"]}, 200, id="list"),
        pytest.param({"scp": "read", "permissions": ["write"]}, 200, id="two claims together"),
        pytest.param({"scope": "read write"}, 403, id="the default claim no longer counts"),
    ],
)
def test_guards_read_scopes_from_the_configured_claims(
    shared_issuer: FakeIssuer, shared_verifier: Verifier, guard: Any, claims: dict[str, Any], status: int
) -> None:
    client = guarded(shared_verifier, guard, scope_claims=["scp", "permissions"])

    assert client.get("/", headers=headers_of(shared_issuer, **claims)).status_code == status


def test_the_log_says_that_the_scopes_stand_in_another_claim(
    shared_issuer: FakeIssuer, shared_verifier: Verifier, caplog: pytest.LogCaptureFixture
) -> None:
    client = guarded(shared_verifier, requires_scopes("read"))

    with caplog.at_level("INFO", logger="aveverify.http"):
        assert client.get("/", headers=headers_of(shared_issuer, scp="read")).status_code == 403

    assert Hint.OTHER_SCOPE_CLAIM.value in caplog.text


@pytest.mark.parametrize("kind", ["anonymous", "member"])
def test_a_challenge_names_the_scopes_of_the_guard_and_those_of_all_requests(
    shared_issuer: FakeIssuer, shared_verifier: Verifier, kind: str
) -> None:
    """RFC 6750 §3: the scopes that the resource needs."""
    client = guarded(shared_verifier, requires_scopes("write"), scopes=["openid"])
    headers = headers_of(shared_issuer, scope="openid") if kind == "member" else {}

    challenge = client.get("/", headers=headers).headers["www-authenticate"]

    assert challenge.endswith('scope="openid write"')


# --- the record -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guard", "has_token", "reason"),
    [
        pytest.param(requires_authenticated, False, None, id="anonymous"),
        pytest.param(requires_scopes("read"), True, Reason.INSUFFICIENT_SCOPE, id="scopes"),
        pytest.param(requires_any_scope("read"), True, Reason.INSUFFICIENT_SCOPE, id="any scope"),
        pytest.param(allow(is_pro), True, Reason.NOT_ALLOWED, id="predicate"),
    ],
)
def test_what_stands_in_front_learns_why_a_guard_refused(
    shared_issuer: FakeIssuer, shared_verifier: Verifier, guard: Any, reason: Reason | None, *, has_token: bool
) -> None:
    records: list[AuthRecord] = []
    inner = guarded(shared_verifier, guard).app

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        records.append(AuthRecord.begin(scope))
        await inner(scope, receive, send)

    client = TestClient(app)
    headers = headers_of(shared_issuer) if has_token else {}
    client.get("/", headers=headers)
    assert close_code(client, headers) == 1008  # type: ignore[arg-type] # the application is wrapped

    # The client asks the application for its lifespan, too.
    refusals = [record.refusal for record in records if record.refusal is not None]
    assert [refusal.reason for refusal in refusals] == [reason] * 2
    assert {record.identity.subject for record in records if record.identity is not None} == (
        {"ada"} if has_token else set()
    )


# --- optional -------------------------------------------------------------------------------------------------------


@get("/feed", optional_auth=True)
async def feed(optional_identity: OptionalIdentity) -> str:
    return "stranger" if optional_identity is None else optional_identity.subject


@websocket("/news", optional_auth=True)
async def news(socket: WebSocket[Any, Any, State], optional_identity: OptionalIdentity) -> None:
    await socket.accept()
    await socket.send_text("stranger" if optional_identity is None else optional_identity.subject)
    await socket.close()


def optional(verifier: Verifier, handlers: list[Any], **options: Any) -> TestClient[Litestar]:
    plugin = AveAuthPlugin(verifier, **({"required": True} | options))
    return TestClient(Litestar(handlers, plugins=[plugin], logging_config=None))


def test_an_optional_handler_reads_a_token_if_there_is_one(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """HTP-036: optional is for requests without a token, never for a bad one."""
    client = optional(shared_verifier, [feed, page])
    good, expired = dict(bearer(tokens["good"])), dict(bearer(tokens["expired"]))

    assert [client.get("/feed", headers=headers).text for headers in ({}, good)] == ["stranger", "ada"]
    assert client.get("/feed", headers=expired).status_code == 401
    assert client.get("/feed", headers={"Authorization": "Basic x"}).text == "stranger"
    assert [client.get("/", headers=headers).status_code for headers in ({}, good)] == [401, 200]


def test_an_optional_websocket_may_be_opened_without_a_token(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    client = optional(shared_verifier, [news])

    for headers, text in (({}, "stranger"), (dict(bearer(tokens["good"])), "ada")):
        with client.websocket_connect("/news", headers=headers) as session:
            assert session.receive_text() == text
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/news", headers=dict(bearer(tokens["expired"]))) as session,
    ):
        session.receive_text()


@pytest.mark.parametrize("layer", LAYERS)
def test_the_option_may_stand_on_any_layer_and_a_nearer_one_counts(shared_verifier: Verifier, layer: str) -> None:
    on: dict[str, dict[str, Any]] = {name: {"optional_auth": True} if name == layer else {} for name in LAYERS}

    class Pages(Controller):
        opt = on["controller"]

        @get("/open", opt=on["handler"])
        async def opened(self) -> str:
            return "served"

        @get("/closed", optional_auth=False)
        async def closed(self) -> str:
            raise NotImplementedError

    router = Router("/", route_handlers=[Pages], opt=on["router"])
    plugin = AveAuthPlugin(shared_verifier, required=True)
    client = TestClient(Litestar([router], plugins=[plugin], opt=on["application"], logging_config=None))

    assert [client.get(path).status_code for path in ("/open", "/closed")] == [200, 401]


@pytest.mark.parametrize("value", [1, "yes", "false", [True], None], ids=repr)
def test_only_true_itself_makes_a_handler_optional(shared_verifier: Verifier, value: object) -> None:
    @get("/maybe", optional_auth=value)
    async def maybe() -> str:
        raise NotImplementedError

    assert optional(shared_verifier, [maybe]).get("/maybe").status_code == 401


@pytest.mark.parametrize("guard", [requires_authenticated, requires_scopes("read"), allow(is_pro)])
def test_a_guard_demands_a_token_at_an_optional_handler_too(shared_verifier: Verifier, guard: Any) -> None:
    @get("/maybe", optional_auth=True, guards=[guard])
    async def maybe() -> str:
        raise NotImplementedError

    assert optional(shared_verifier, [maybe]).get("/maybe").status_code == 401


def test_an_exempt_handler_reads_nothing_even_where_it_is_optional_too(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    @get("/open", optional_auth=True, exclude_from_auth=True)
    async def opened(optional_identity: OptionalIdentity) -> str:
        return str(optional_identity)

    for kind in ("good", "expired"):
        answer = optional(shared_verifier, [opened]).get("/open", headers=dict(bearer(tokens[kind])))
        assert (answer.status_code, answer.text) == (200, "None")


def test_an_optional_handler_meets_all_other_rules(shared_issuer: FakeIssuer, shared_verifier: Verifier) -> None:
    client = optional(shared_verifier, [feed], scopes=["read"], allow=is_pro)

    found = [
        client.get("/feed", headers=headers).status_code
        for headers in (
            headers_of(shared_issuer, scope="read", plan="pro"),
            headers_of(shared_issuer, scope="read"),
            headers_of(shared_issuer, plan="pro"),
            {},
        )
    ]

    assert found == [200, 403, 403, 200]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/posts", 200, id="the path itself"),
        pytest.param("/posts/7", 200, id="below"),
        pytest.param("/posts/7/edit", 401, id="beside"),
        pytest.param("/", 401, id="above"),
        pytest.param("/me", 401, id="another"),
        pytest.param("/api/posts", 401, id="HTP-026: a prefix that is none"),
        pytest.param("/posts/", 200, id="a slash that the router drops"),
        pytest.param("//posts", 200, id="HTP-014: a slash that the router drops, before any middleware"),
        pytest.param("/posts/../me", 404, id="HTP-013: dot segments are no path of the application"),
        pytest.param("/posts%2f7", 404, id="HTP-017: what is encoded twice"),
        pytest.param("/static/logo.txt", 200, id="a static file"),
        pytest.param("/static/secret.txt", 401, id="another static file"),
        pytest.param("/mount/open", 200, id="inside a mount"),
        pytest.param("/mount/posts", 401, id="HTP-026: inside a mount, its rest alone is not the path"),
    ],
)
def test_optional_paths_are_compared_as_the_router_got_them(
    shared_verifier: Verifier, tmp_path: Path, path: str, status: int
) -> None:
    (tmp_path / "logo.txt").write_text("logo", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")

    @get(["/posts", "/posts/{number:int}", "/posts/{number:int}/edit", "/api/posts", "/me"])
    async def posts() -> str:
        return "posts"

    @asgi("/mount", is_mount=True, copy_scope=True)
    async def mount(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    static = create_static_files_router("/static", directories=[tmp_path])
    paths = ["/posts", "/posts/7", "/static/logo.txt", "/mount/open"]
    app = optional(shared_verifier, [page, posts, mount, static], optional=paths).app
    client = Client({"type": "http.request"})

    client.call(app, http_scope(path=path))

    assert client.reply.status == status


def test_optional_paths_of_the_middleware_alone(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    middleware = AveAuthMiddleware.define(shared_verifier, required=True, optional=["/api/feed"])

    @get(["/feed", "/all"])
    async def pages(scope: Scope) -> str:
        return str(subject_of(scope))

    router = Router("/api", route_handlers=[pages], middleware=[middleware])
    client = TestClient(Litestar([router], logging_config=None))

    assert [client.get(path).status_code for path in ("/api/feed", "/api/all")] == [200, 401]
    assert client.get("/api/feed", headers=dict(bearer(tokens["good"]))).text == "ada"


@pytest.mark.parametrize("paths", ["/feed", ["feed"], [7]], ids=["text", "relative", "number"])
@pytest.mark.parametrize("name", ["optional", "exempt"])
def test_paths_that_cannot_be_right_are_refused_when_the_plugin_is_built(
    shared_verifier: Verifier, name: str, paths: Any
) -> None:
    """HTP-043."""
    options: dict[str, Any] = {name: paths}

    with pytest.raises(ConfigurationError) as caught:
        AveAuthPlugin(shared_verifier, required=True, **options)

    assert caught.value.field == name


def test_the_plugin_leads_to_the_verifier(shared_verifier: Verifier) -> None:
    app = Litestar([], plugins=[AveAuthPlugin(shared_verifier, required=True)], logging_config=None)

    assert app.plugins.get(AveAuthPlugin).verifier is shared_verifier
