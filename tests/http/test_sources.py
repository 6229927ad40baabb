"""Where a token may stand: each source alone, several at once, and what the application sees of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from aveverify import ConfigurationError, InvalidRequestError, Reason, Verifier
from aveverify.asgi import AveAuthMiddleware as AsgiMiddleware
from aveverify.asgi import Message, Receive, Scope, Send
from aveverify.errors import Problem
from aveverify.sources import AuthorizationHeader, Cookie, QueryParameter, RequestHead, TokenSource, WebSocketProtocol
from aveverify.wsgi import AveAuthMiddleware as WsgiMiddleware
from tests.http.http_fixtures import (
    Client,
    Headers,
    RecordingView,
    Request,
    Server,
    asgi_app,
    bearer,
    http_scope,
    subject_of,
    websocket_scope,
    wsgi_app,
    wsgi_environ,
)

CONNECT: Message = {"type": "websocket.connect"}
BODY: Message = {"type": "http.request", "body": b"", "more_body": False}
APP = "https://app.test"
COOKIE = Cookie("id_token", allowed_origins=[APP])
EVERYWHERE: tuple[TokenSource, ...] = (AuthorizationHeader(), WebSocketProtocol(), QueryParameter(), COOKIE)


class Seen(NamedTuple):
    """What the application saw of a WebSocket, and what the server was sent."""

    subject: str | None
    scope: Scope
    sent: list[Message]


def open_websocket(
    verifier: Verifier,
    headers: Headers,
    *,
    query: str = "",
    subprotocol: str | None = None,
    **options: Any,
) -> Seen | int:
    """Open a WebSocket and accept it; the status where it is refused."""
    seen: list[tuple[str | None, Scope]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        seen.append((subject_of(scope), scope))
        await send({"type": "websocket.accept", "subprotocol": subprotocol})

    client = Client(CONNECT)
    offered = [text.strip() for name, value in headers if name == "Sec-WebSocket-Protocol" for text in value.split(",")]
    scope = websocket_scope(
        headers, query_string=query.encode(), subprotocols=offered, extensions={"websocket.http.response": {}}
    )
    client.call(AsgiMiddleware(app, verifier, required=True, **options), scope)
    if not seen:
        return int(client.sent[0]["status"])
    [(subject, inner)] = seen
    return Seen(subject, {**inner, "server's query": scope["query_string"]}, client.sent)


def protocols(*values: str) -> Headers:
    """So many headers that offer protocols."""
    return tuple(("Sec-WebSocket-Protocol", value) for value in values)


# --- Sec-WebSocket-Protocol


@pytest.mark.parametrize(
    ("values", "rest"),
    [
        pytest.param(["bearer, {good}"], [], id="alone"),
        pytest.param(["bearer,{good}"], [], id="without a blank"),
        pytest.param(["chat, bearer, {good}"], ["chat"], id="behind another"),
        pytest.param(["bearer, {good}, chat, v2"], ["chat", "v2"], id="before others"),
        pytest.param(["chat", "bearer, {good}"], ["chat"], id="in a second header"),
    ],
)
def test_a_websocket_may_carry_its_token_as_a_protocol(
    values: list[str], rest: list[str], tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """HTP-029: and the application sees neither the word nor the token."""
    headers = protocols(*(value.format_map(tokens) for value in values))

    seen = open_websocket(shared_verifier, (("Host", "api.test"), *headers))

    assert isinstance(seen, Seen)
    assert seen.subject == "ada"
    assert seen.scope["subprotocols"] == rest
    assert tokens["good"].encode() not in b"".join(value for _, value in seen.scope["headers"])
    assert (b"sec-websocket-protocol" in dict(seen.scope["headers"])) is bool(rest)
    assert seen.sent == [{"type": "websocket.accept", "subprotocol": "bearer"}]


@pytest.mark.parametrize("spelt", ["Bearer", "BEARER", "bEARER"])
def test_bearer_counts_in_any_case_and_is_answered_as_it_was_offered(
    spelt: str, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """HTP-029: the application sees neither the word nor the token."""
    seen = open_websocket(shared_verifier, protocols(f"chat, {spelt}, {tokens['good']}"))

    assert isinstance(seen, Seen)
    assert seen.subject == "ada"
    assert seen.scope["subprotocols"] == ["chat"]
    assert tokens["good"] not in repr(seen.scope)
    assert seen.sent == [{"type": "websocket.accept", "subprotocol": spelt}]


def test_every_offer_of_a_token_is_hidden_where_none_is_read(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    """HTP-029: on an exempt path."""
    headers = protocols(f"Bearer, {tokens['good']}, chat", f"bearer, {tokens['expired']}, BEARER")

    seen = open_websocket(shared_verifier, headers, exempt=["/*"])

    assert isinstance(seen, Seen)
    assert seen.subject is None
    assert seen.scope["subprotocols"] == ["chat"]
    assert not any(tokens[kind] in repr(seen.scope) for kind in ("good", "expired"))


def test_the_application_may_choose_another_protocol(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    seen = open_websocket(shared_verifier, protocols(f"chat, bearer, {tokens['good']}"), subprotocol="chat")

    assert isinstance(seen, Seen)
    assert seen.sent == [{"type": "websocket.accept", "subprotocol": "chat"}]


@pytest.mark.parametrize(
    ("values", "status"),
    [
        pytest.param(["bearer"], 400, id="bearer alone"),
        pytest.param(["chat, bearer"], 400, id="bearer last"),
        pytest.param(["bearer, {good}, bearer, {good}"], 400, id="twice"),
        pytest.param(["bearer, {good}", "bearer, {good}"], 400, id="twice, in two headers"),
        pytest.param(["bearer, "], 400, id="empty"),
        pytest.param(["bearer, {expired}"], 401, id="expired"),
        pytest.param(["Bearer"], 400, id="Bearer alone"),
        pytest.param(["Bearer, {good}, bearer, {good}"], 400, id="twice, in two spellings"),
        pytest.param(["Bearer, {expired}"], 401, id="expired, in capitals"),
        pytest.param(["BEARER, {bad_signature}"], 401, id="bad signature, in capitals"),
        pytest.param(["Bearer {good}"], 401, id="one protocol with a blank"),
        pytest.param(["{good}"], 401, id="without the word"),
        pytest.param(["chat"], 401, id="other protocols"),
    ],
)
def test_what_is_no_token_among_the_protocols_is_refused(
    values: list[str], status: int, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    headers = protocols(*(value.format_map(tokens) for value in values))

    assert open_websocket(shared_verifier, headers) == status


def test_other_protocols_reach_the_application_as_they_are(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    seen = open_websocket(shared_verifier, bearer(tokens["good"]) + protocols("chat, v2"))

    assert isinstance(seen, Seen)
    assert seen.scope["subprotocols"] == ["chat", "v2"]
    assert seen.sent == [{"type": "websocket.accept", "subprotocol": None}]


def test_protocols_are_no_credentials_where_nobody_chose_them(
    tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    seen = open_websocket(
        shared_verifier,
        bearer(tokens["good"]) + protocols(f"bearer, {tokens['other']}"),
        token_sources=[AuthorizationHeader()],
    )

    assert isinstance(seen, Seen)
    assert seen.subject == "ada"
    assert seen.scope["subprotocols"] == ["bearer", tokens["other"]]


# --- the query


def test_a_token_in_the_query_counts_by_choice_and_is_taken_out(
    tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """HTP-033; what the application sees, and what servers log."""
    query = f"room=1&access_token={tokens['good']}&x=%20"

    seen = open_websocket(shared_verifier, (), query=query, token_sources=[QueryParameter()])

    assert isinstance(seen, Seen)
    assert seen.subject == "ada"
    assert seen.scope["query_string"] == seen.scope["server's query"] == b"room=1&x=%20"
    assert tokens["good"] not in repr(seen.scope)
    assert open_websocket(shared_verifier, (), query=query) == 401


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("access_token={good}&access_token={good}", 400, id="twice"),
        pytest.param("access_token={good}&access%5Ftoken={other}", 400, id="twice, once with escapes"),
        pytest.param("access_token=", 400, id="empty"),
        pytest.param("access_token", 400, id="without a value"),
        pytest.param("access_token={good}%20{good}", 400, id="two in one"),
        pytest.param("access_token={good}%ff", 400, id="no ASCII"),
        pytest.param("token={good}", 401, id="another name"),
        pytest.param("access_token={expired}", 401, id="expired"),
    ],
)
def test_what_is_no_token_in_the_query_is_refused_and_taken_out_all_the_same(
    query: str, status: int, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    scope = websocket_scope(query_string=query.format_map(tokens).encode(), extensions={"websocket.http.response": {}})
    client = Client(CONNECT)

    client.call(AsgiMiddleware(_never, shared_verifier, required=True, token_sources=[QueryParameter()]), scope)

    assert client.sent[0]["status"] == status
    assert b"access" not in scope["query_string"]


def test_a_token_in_the_query_is_taken_out_where_none_is_needed_too(
    tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """HTP-033: nothing is read there, and nothing is logged."""
    query = f"room=1&access_token={tokens['good']}"

    seen = open_websocket(shared_verifier, (), query=query, token_sources=[QueryParameter()], exempt=["/*"])

    assert isinstance(seen, Seen)
    assert seen.subject is None
    assert seen.scope["query_string"] == seen.scope["server's query"] == b"room=1"


@pytest.mark.parametrize(
    ("raw_path", "left"),
    [
        pytest.param(b"/?room=1&access_token={good}", b"/?room=1", id="among others"),
        pytest.param(b"/?access_token={good}", b"/", id="alone"),
        pytest.param(b"/access_token={good}", b"/access_token={good}", id="in the path, which is no query"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_token_is_taken_out_of_a_raw_path_that_holds_the_query(
    raw_path: bytes | None, left: bytes | None, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """HTP-033: some servers and test clients put it there, too."""
    good = tokens["good"].encode()
    query = b"access_token=" + good
    scope = websocket_scope(query_string=query, raw_path=raw_path and raw_path.replace(b"{good}", good))

    Client(CONNECT).call(
        AsgiMiddleware(_accept, shared_verifier, required=True, token_sources=[QueryParameter()]), scope
    )

    assert scope["raw_path"] == (left and left.replace(b"{good}", good))
    assert scope["query_string"] == b""


async def _accept(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})


async def _never(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise NotImplementedError


def test_the_query_of_a_request_is_never_read(
    tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-033; RFC 9700 §4.3.2."""
    client = Client(BODY)
    scope = http_scope(Request(query=f"access_token={tokens['good']}"))

    client.call(AsgiMiddleware(asgi_app(observer), shared_verifier, required=False, token_sources=EVERYWHERE), scope)

    assert observer.seen == [None]
    assert scope["query_string"] == f"access_token={tokens['good']}".encode()


# --- cookies


class CookieCase(NamedTuple):
    """A request with a cookie, and whom it counts for."""

    id: str
    headers: Headers
    subject: str | None
    method: str = "GET"


ORIGIN = ("Origin", APP)
SAME = ("Sec-Fetch-Site", "same-origin")
COUNTS = ("Cookie", "theme=dark; id_token={good}")
COOKIES = [
    CookieCase("a GET from an allowed origin", (COUNTS, ORIGIN), "ada"),
    CookieCase("a POST from an allowed origin", (COUNTS, ORIGIN), "ada", "POST"),
    CookieCase("a GET of the same origin", (COUNTS, SAME), "ada"),
    CookieCase("a POST of the same origin without Origin", (COUNTS, SAME), None, "POST"),
    CookieCase("a GET without any word of its origin", (COUNTS,), None),
    CookieCase("HTP-031: an evil origin", (COUNTS, ("Origin", "https://evil.test")), None),
    CookieCase("HTP-031: evil, and says same-origin", (COUNTS, ("Origin", "https://evil.test"), SAME), None),
    CookieCase("an origin that only begins so", (COUNTS, ("Origin", f"{APP}.evil.test")), None),
    CookieCase("the same host without TLS", (COUNTS, ("Origin", "http://app.test")), None),
    CookieCase("origin null", (COUNTS, ("Origin", "null")), None),
    CookieCase("same-site", (COUNTS, ("Sec-Fetch-Site", "same-site")), None),
    CookieCase("another cookie", (("Cookie", "id_token2={good}"), ORIGIN), None),
    CookieCase("no cookie", (ORIGIN,), None),
    CookieCase("a token in a header as well", (COUNTS, ORIGIN, ("Authorization", "Bearer {other}")), "grace"),
]


@pytest.mark.parametrize("case", COOKIES, ids=lambda case: case.id)
def test_a_cookie_counts_where_an_allowed_origin_asks(
    case: CookieCase, tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    headers = tuple((name, value.format_map(tokens)) for name, value in case.headers)
    request = Request(headers, method=case.method)
    options: dict[str, Any] = {"required": False, "token_sources": EVERYWHERE}

    Client(BODY).call(AsgiMiddleware(asgi_app(observer), shared_verifier, **options), http_scope(request))
    Server().call(WsgiMiddleware(wsgi_app(observer), shared_verifier, **options), wsgi_environ(request))

    assert observer.seen == [case.subject, case.subject]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param((COUNTS, ORIGIN), "ada", id="allowed"),
        pytest.param((COUNTS, SAME), 401, id="HTP-031: no Origin, which every browser sends"),
        pytest.param((COUNTS, ("Origin", "https://evil.test")), 401, id="HTP-031: evil"),
        pytest.param((COUNTS, ORIGIN, ORIGIN), 401, id="two origins"),
    ],
)
def test_a_websocket_needs_an_allowed_origin_for_its_cookie(
    headers: Headers, expected: str | int, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    filled = tuple((name, value.format_map(tokens)) for name, value in headers)

    seen = open_websocket(shared_verifier, filled, token_sources=[COOKIE])

    assert (seen.subject if isinstance(seen, Seen) else seen) == expected
    assert open_websocket(shared_verifier, filled) == 401


@pytest.mark.parametrize(
    "value",
    [
        "id_token={good}; id_token={other}",
        "id_token=",
        "id_token={good} {good}",
        'id_token="{good}"',
        "id_token={good}\xff",
    ],
    ids=["twice", "empty", "two in one", "quoted", "no ASCII"],
)
def test_a_cookie_that_is_no_token_is_refused(value: str, tokens: dict[str, str]) -> None:
    text = value.format_map(tokens).encode("latin-1")
    head = RequestHead("http", "GET", [(b"Cookie", text), (b"ORIGIN", APP.encode())], b"")

    with pytest.raises(InvalidRequestError):
        COOKIE.read(head)


# --- several at once


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        pytest.param((("Authorization", "Bearer {good}"), *protocols("bearer, {good}")), "", id="header and protocol"),
        pytest.param((("Authorization", "Bearer {good}"),), "access_token={good}", id="header and query"),
        pytest.param(protocols("bearer, {good}"), "access_token={other}", id="protocol and query"),
    ],
)
def test_two_tokens_are_refused_even_if_they_are_one(
    headers: Headers, query: str, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """RFC 6750 §2: not more than one method in each request; HTP-001."""
    filled = tuple((name, value.format_map(tokens)) for name, value in headers)

    assert (
        open_websocket(shared_verifier, filled, query=query.format_map(tokens), token_sources=list(EVERYWHERE)) == 400
    )


def test_the_refusal_of_several_says_so() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        AuthorizationHeader().read(
            RequestHead("http", "GET", [(b"authorization", b"a"), (b"Authorization", b"b")], b"")
        )

    assert caught.value.reason is Reason.REPEATED_AUTHORIZATION


# --- arguments


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        pytest.param(lambda: Cookie("", allowed_origins=[APP]), Problem.EMPTY, id="a cookie without a name"),
        pytest.param(lambda: Cookie("t", allowed_origins=[]), Problem.OUT_OF_RANGE, id="no origins"),
        pytest.param(lambda: Cookie("t", allowed_origins=APP), Problem.OUT_OF_RANGE, id="text"),
        pytest.param(lambda: Cookie("t", allowed_origins=["null"]), Problem.OUT_OF_RANGE, id="null"),
        pytest.param(lambda: Cookie("t", allowed_origins=["*"]), Problem.OUT_OF_RANGE, id="any"),
        pytest.param(lambda: Cookie("t", allowed_origins=[f"{APP}/"]), Problem.OUT_OF_RANGE, id="a path"),
        pytest.param(lambda: Cookie("t", allowed_origins=["https://äpp.test"]), Problem.OUT_OF_RANGE, id="no ASCII"),
        pytest.param(lambda: QueryParameter(""), Problem.EMPTY, id="a parameter without a name"),
    ],
)
def test_a_source_that_could_mean_anything_is_refused(make: Any, problem: Problem) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()

    assert caught.value.problem is problem
