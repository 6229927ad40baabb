"""Tunnels, overridden methods and smuggled requests: real proxies in front of a Hypercorn that accepts them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from tests.processes import free_port
from tests.raw_http import ask, bearer, exchange, request
from tests.servers.proxies.obedient import OVERRIDES, serve_obediently
from tests.servers.proxies.scenario import Deployment, RunProxy, find_program, run_deployment, run_nginx
from tests.servers.proxies.tunnel import FORGED, TunnelResult, request_tunnel, speak_at_once
from tests.servers.websocket_client import open_websocket

PREFLIGHT = (b"Origin: https://app.test", b"Access-Control-Request-Method: POST")
H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c")

# Each requests, from some server, a protocol that is not WebSocket, or WebSocket and another one.
UPGRADES = [
    H2C,
    (b"Connection: upgrade,http2-settings", b"Upgrade: H2C"),
    (b"Upgrade: h2c",),
    (b"Connection: Upgrade", b"Upgrade: \th2c \t"),
    (b"Connection: keep-alive, Upgrade", b"Connection: HTTP2-Settings, X-Ave-Subject", b"Upgrade: h2c"),
    (b"Connection: Upgrade", b"Upgrade: h2c, websocket"),
    (b"Connection: Upgrade", b"Upgrade: websocket, h2c"),
    (b"Connection: Upgrade", b"Upgrade: websocket,h2c"),
    (b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"),
    (b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: websocket"),
    (b"Connection: Upgrade", b"Upgrade:", b"Upgrade: h2c"),
    (b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: h2c"),
    (b"Connection: Upgrade", b"Upgrade: WebSocket/13"),
    (b"Connection: Upgrade", b"Upgrade: websockets"),
    (b"Connection: Upgrade", b"Upgrade: xwebsocket"),
    (b"Connection: Upgrade", b"Upgrade: web socket"),
    (b"Connection: Upgrade", b'Upgrade: "websocket"'),
    (b"Connection: Upgrade", b"Upgrade: websocket;h2c"),
    (b"Connection: Upgrade", b"Upgrade: HTTP/2.0"),
    (b"Connection: Upgrade", b"Upgrade: TLS/1.0"),
    (b"Connection: Upgrade", b"Upgrade: connect-udp"),
]


@pytest.fixture(scope="module")
def deployment(run_proxy: RunProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("obedient")
    with run_deployment(run_proxy, folder, opens_healthz=True, serve_behind=serve_obediently) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def in_http_2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The nginx of a site that speaks HTTP/2, as most do that have a certificate."""
    find_program("nginx")
    port = free_port()
    listening = partial(run_nginx, additions={"    server {\n": f"listen 127.0.0.1:{port} http2;\n"})
    folder = tmp_path_factory.mktemp("http2")
    with run_deployment(listening, folder, opens_healthz=True, serve_behind=serve_obediently) as deployment:
        yield replace(deployment, port=port)


@pytest.fixture(autouse=True)
def _nothing_received(request: pytest.FixtureRequest) -> None:
    for name in {"deployment", "in_http_2"} & set(request.fixturenames):
        request.getfixturevalue(name).upstream.forget()


def check_no_tunnel(deployment: Deployment, told: TunnelResult, first: str | None) -> None:
    """At most the first request arrived, without any header that requests another protocol."""
    assert told.status not in (0, 101), told
    assert deployment.upstream.targets in ([], [first]), deployment.upstream.targets
    for pairs in deployment.upstream.received:
        headers = [(name.lower(), value.lower()) for name, value in pairs]
        assert "http2-settings" not in dict(headers)
        assert {value for name, value in headers if name == "upgrade"} <= {"websocket"}
        named = ",".join(value for name, value in headers if name == "connection")
        assert not {"http2-settings", "x-ave-subject"} & {word.strip() for word in named.split(",")}
        assert "mallory" not in str(headers)


# --- HTP-049: tunnels -----------------------------------------------------------------------------------------------


def test_htp_049_without_a_proxy_the_service_becomes_a_tunnel() -> None:
    """The other tests rely on it: the service accepts the upgrade, and obeys the requests in the tunnel."""
    with serve_obediently() as upstream:
        assert request_tunnel(upstream.port, *PREFLIGHT, *H2C) == (101, 200)

    assert upstream.targets == ["OPTIONS /", "DELETE /admin"]
    assert ("x-ave-subject", "mallory") in upstream.received[1]


@pytest.mark.parametrize("lines", UPGRADES, ids=lambda lines: b" | ".join(lines).decode())
def test_htp_049_a_preflight_makes_no_tunnel(deployment: Deployment, lines: tuple[bytes, ...]) -> None:
    check_no_tunnel(deployment, request_tunnel(deployment.port, *PREFLIGHT, *lines), "OPTIONS /")


@pytest.mark.parametrize("lines", UPGRADES, ids=lambda lines: b" | ".join(lines).decode())
def test_htp_049_an_open_path_makes_no_tunnel(deployment: Deployment, lines: tuple[bytes, ...]) -> None:
    check_no_tunnel(
        deployment, request_tunnel(deployment.port, *lines, method=b"GET", target=b"/healthz"), "GET /healthz"
    )


@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS", b"DELETE"], ids=bytes.decode)
@pytest.mark.parametrize("lines", UPGRADES, ids=lambda lines: b" | ".join(lines).decode())
def test_htp_049_a_good_token_makes_no_tunnel(deployment: Deployment, lines: tuple[bytes, ...], method: bytes) -> None:
    """Through a tunnel, requests would pass after the token has expired, and as another user."""
    token = bearer(deployment.issuer.token(sub="ada"))

    check_no_tunnel(deployment, request_tunnel(deployment.port, token, *lines, method=method), f"{method.decode()} /")


@pytest.mark.parametrize("lines", UPGRADES, ids=lambda lines: b" | ".join(lines).decode())
def test_htp_049_without_a_token_nothing_is_passed_on(deployment: Deployment, lines: tuple[bytes, ...]) -> None:
    check_no_tunnel(deployment, request_tunnel(deployment.port, *lines, method=b"GET"), None)

    assert deployment.upstream.targets == []


@pytest.mark.parametrize("target", [b"/", b"/healthz"], ids=bytes.decode)
def test_htp_049_a_preflight_is_no_websocket(deployment: Deployment, target: bytes) -> None:
    lines = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: eA==")
    told = request_tunnel(deployment.port, *PREFLIGHT, *lines, target=target)

    check_no_tunnel(deployment, told, f"OPTIONS {target.decode()}")
    assert not any(name.lower() == "upgrade" for pairs in deployment.upstream.received for name, _ in pairs)


def test_htp_049_a_refused_websocket_leaves_no_tunnel(deployment: Deployment) -> None:
    """The service refuses the version: the next request on that connection is verified like any other."""
    lines = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 7", b"Sec-WebSocket-Key: eA==")
    token = bearer(deployment.issuer.token(sub="ada"))

    first, *_ = answers = exchange(
        deployment.port,
        request(token, *lines),
        request(b"X-Ave-Subject: mallory", method=b"DELETE", target=b"/admin"),
    )

    assert first.status not in (0, 101, 200)
    assert answers[1].status in (0, 401)
    assert "DELETE /admin" not in deployment.upstream.targets


def test_htp_049_http_2_without_an_upgrade_passes_no_check_by(deployment: Deployment) -> None:
    """A proxy that speaks HTTP/2 itself verifies every request."""
    assert speak_at_once(deployment.port, FORGED) in (0, 401)

    assert deployment.upstream.targets == []


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([*FORGED, ("upgrade", "h2c")], id="Upgrade"),
        pytest.param([*FORGED, ("connection", "Upgrade, HTTP2-Settings")], id="Connection"),
        pytest.param([(":method", "CONNECT"), (":authority", "localhost")], id="CONNECT"),
        pytest.param([(":method", "CONNECT"), (":protocol", "websocket"), *FORGED[1:]], id="extended CONNECT"),
        pytest.param([(":method", "CONNECT"), (":protocol", "connect-udp"), *FORGED[1:]], id="connect-udp"),
    ],
)
def test_htp_049_http_2_makes_no_tunnel(deployment: Deployment, headers: list[tuple[str, str]]) -> None:
    token = ("authorization", f"Bearer {deployment.issuer.token(sub='ada')}")

    assert speak_at_once(deployment.port, headers) != 200
    assert speak_at_once(deployment.port, [*headers, token]) != 200

    assert deployment.upstream.targets == []


@pytest.mark.parametrize("target", [b"localhost:80", b"127.0.0.1:3000", b"/", b"*"], ids=bytes.decode)
def test_htp_049_connect_makes_no_tunnel(deployment: Deployment, target: bytes) -> None:
    told = request_tunnel(deployment.port, bearer(deployment.issuer.token()), method=b"CONNECT", target=target)

    assert told.status >= 400
    assert deployment.upstream.targets == []


def test_htp_049_websockets_go_on(deployment: Deployment) -> None:
    headers = {
        "Authorization": f"Bearer {deployment.issuer.token(sub='ada')}",
        "X-Ave-Subject": "mallory",
        "HTTP2-Settings": "AAMAAABk",
    }

    with open_websocket(deployment.port, headers=headers) as websocket:
        assert websocket.recv() == "hello ada"

    assert deployment.upstream.targets == ["WEBSOCKET /"]
    assert "http2-settings" not in {name.lower() for name, _ in deployment.upstream.received[0]}


# --- HTP-027: methods that are overridden ---------------------------------------------------------------------------

SPELLINGS = [
    *OVERRIDES,
    *(name.replace("-", "_") for name in OVERRIDES),
    *(name.lower() for name in OVERRIDES),
    "X-HTTP_Method-Override",
    "X_HTTP-Method_Override",
    "X-HTTP-Method_Override",
    "X_HTTP-Method",
    "X-HTTP_Method",
    "X-Method_Override",
    "X_Method-Override",
]


def test_htp_027_without_a_proxy_the_service_overrides() -> None:
    """The other tests rely on it."""
    with serve_obediently() as upstream:
        for name in SPELLINGS:
            ask(upstream.port, *PREFLIGHT, f"{name}: DELETE".encode(), method=b"OPTIONS", target=b"/admin")
        ask(upstream.port, *PREFLIGHT, method=b"OPTIONS", target=b"/admin?%5fmethod=DELETE")

    assert upstream.targets == ["DELETE /admin"] * (len(SPELLINGS) + 1)


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("first", [(), ("",)], ids=["once", "after an empty one"])
def test_htp_027_a_header_of_a_preflight_overrides_no_method(
    deployment: Deployment, name: str, first: tuple[str, ...]
) -> None:
    lines = [f"{name}: {value}".encode() for value in (*first, "DELETE")]
    answer = ask(deployment.port, *PREFLIGHT, *lines, method=b"OPTIONS", target=b"/admin")

    assert (answer.status, deployment.upstream.targets) in ((401, []), (200, ["OPTIONS /admin"]))
    assert "DELETE" not in str(deployment.upstream.received)


@pytest.mark.parametrize("name", OVERRIDES)
def test_htp_027_a_preflight_that_overrides_its_method_needs_a_token(deployment: Deployment, name: str) -> None:
    line = f"{name}: DELETE".encode()

    assert ask(deployment.port, *PREFLIGHT, line, method=b"OPTIONS").status == 401
    assert ask(deployment.port, *PREFLIGHT, line, bearer(deployment.issuer.token()), method=b"OPTIONS").status == 200
    assert deployment.upstream.targets == ["DELETE /"]


@pytest.mark.parametrize(
    "query",
    [
        "_method=DELETE",
        "_method=OPTIONS&_method=DELETE",
        "a=b&_method=DELETE",
        "a=b;_method=DELETE",
        "%5fmethod=DELETE",
        "%5Fm%65thod=DELETE",
        "%5f%6d%65%74%68%6f%64=DELETE",
        "_%4d%45%54%48%4f%44=DELETE&_method=DELETE",
    ],
)
def test_htp_027_the_query_of_a_preflight_overrides_no_method(deployment: Deployment, query: str) -> None:
    answer = ask(deployment.port, *PREFLIGHT, method=b"OPTIONS", target=f"/admin?{query}".encode())

    assert (answer.status, deployment.upstream.targets) == (401, [])


@pytest.mark.parametrize("query", ["payment_method=card", "method=x", "_methods=x", "a=_method"])
def test_another_query_is_no_method(deployment: Deployment, query: str) -> None:
    assert ask(deployment.port, *PREFLIGHT, method=b"OPTIONS", target=f"/admin?{query}".encode()).status == 200

    assert deployment.upstream.targets == ["OPTIONS /admin"]


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        pytest.param((b"Content-Length: 14",), b"_method=DELETE", id="length"),
        pytest.param((b"Content-Length: 014",), b"_method=DELETE", id="length with a zero"),
        pytest.param((b"Transfer-Encoding: chunked",), b"e\r\n_method=DELETE\r\n0\r\n\r\n", id="chunked"),
        pytest.param((b"Transfer-Encoding: CHUNKED",), b"e\r\n_method=DELETE\r\n0\r\n\r\n", id="chunked in capitals"),
    ],
)
def test_htp_027_a_preflight_with_a_body_is_none(deployment: Deployment, lines: tuple[bytes, ...], body: bytes) -> None:
    (answer,) = exchange(deployment.port, request(*PREFLIGHT, *lines, method=b"OPTIONS", target=b"/admin") + body)

    assert answer.status in (400, 401, 413), answer
    assert deployment.upstream.targets == []


def test_a_preflight_that_says_that_it_has_no_body_is_one(deployment: Deployment) -> None:
    assert ask(deployment.port, *PREFLIGHT, b"Content-Length: 0", method=b"OPTIONS").status == 200


def test_htp_027_a_preflight_with_a_body_is_none_in_http_2(deployment: Deployment) -> None:
    """With HTTP/2 between client and proxy: there no header announces a body."""
    headers = [(":method", "OPTIONS"), *FORGED[1:4], ("origin", "x"), ("access-control-request-method", "DELETE")]

    assert speak_at_once(deployment.port, headers, b"_method=DELETE") in (0, 403, 413)
    assert deployment.upstream.targets == []
    assert speak_at_once(deployment.port, headers) in (0, 200)


def test_htp_027_a_form_is_no_preflight_in_the_http_2_of_nginx(in_http_2: Deployment) -> None:
    preflight = [(":method", "OPTIONS"), *FORGED[1:4], ("origin", "x"), ("access-control-request-method", "POST")]
    form = ("content-type", "application/x-www-form-urlencoded")

    assert speak_at_once(in_http_2.port, preflight) == 200
    assert speak_at_once(in_http_2.port, [*preflight, form], b"_method=DELETE") == 401
    assert speak_at_once(in_http_2.port, [*preflight, ("x-http-method-override", "DELETE")]) == 401
    assert speak_at_once(in_http_2.port, FORGED) == 401
    assert in_http_2.upstream.targets == ["OPTIONS /admin"]


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_htp_049_no_upgrade_goes_on_in_the_http_2_of_nginx(in_http_2: Deployment, protocol: str) -> None:
    """RFC 9113 §8.2.2: HTTP/2 has no Upgrade; this nginx accepts it nevertheless."""
    token = ("authorization", f"Bearer {in_http_2.issuer.token(sub='ada')}")
    key = [("sec-websocket-key", "eA=="), ("sec-websocket-version", "13")]
    asked = [(":method", "GET"), *FORGED[1:], token, ("upgrade", protocol), ("http2-settings", "AAMAAABk"), *key]

    assert speak_at_once(in_http_2.port, asked) == 200

    (received,) = in_http_2.upstream.received
    assert in_http_2.upstream.targets == ["GET /admin"]
    assert not {"upgrade", "connection", "http2-settings"} & dict(received).keys()
    assert dict(received)["x-ave-subject"] == "ada"


@pytest.mark.parametrize(
    "lines",
    [(b"Authorization: Bearer x",), (b"Authorization:", b"Authorization: Bearer x"), (b"Authorization: Basic eA==",)],
    ids=str,
)
def test_htp_027_a_preflight_with_credentials_is_none(deployment: Deployment, lines: tuple[bytes, ...]) -> None:
    """Or the credentials, which were not verified, are not forwarded."""
    answer = ask(deployment.port, *PREFLIGHT, *lines, method=b"OPTIONS")

    assert answer.status in (200, 400, 401)
    assert all("authorization" not in dict(pairs) for pairs in deployment.upstream.received)
    assert answer.status == 401 or len(lines) > 1


def test_a_preflight_with_a_good_token_is_that_user_s(deployment: Deployment) -> None:
    ask(deployment.port, *PREFLIGHT, bearer(deployment.issuer.token(sub="ada")), method=b"OPTIONS")

    assert dict(deployment.upstream.received[0])["x-ave-subject"] == "ada"


# --- HTP-039: smuggled requests -------------------------------------------------------------------------------------

_HIDDEN = b"DELETE /admin HTTP/1.1\r\nHost: localhost\r\nX-Ave-Subject: mallory\r\nContent-Length: 0\r\n\r\n"
_CHUNKED = b"0\r\n\r\n" + _HIDDEN


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        pytest.param((b"Content-Length: 4", b"Transfer-Encoding: chunked"), _CHUNKED, id="CL.TE"),
        pytest.param((b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(_CHUNKED)), _CHUNKED, id="TE.CL"),
        pytest.param((b"Transfer-Encoding: xchunked", b"Content-Length: %d" % len(_CHUNKED)), _CHUNKED, id="xchunked"),
        pytest.param((b"Transfer-Encoding : chunked", b"Content-Length: 5"), _CHUNKED, id="space before the colon"),
        pytest.param((b"Transfer-Encoding:\x0bchunked", b"Content-Length: 5"), _CHUNKED, id="vertical tab"),
        pytest.param((b"Transfer-Encoding: chunked, identity",), _CHUNKED, id="chunked, identity"),
        pytest.param((b"Transfer-Encoding: identity", b"Content-Length: 5"), _CHUNKED, id="identity"),
        pytest.param((b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), _CHUNKED, id="two codings"),
        pytest.param((b"Transfer_Encoding: chunked", b"Content-Length: 5"), _CHUNKED, id="underscore"),
        pytest.param((b"X: y\nTransfer-Encoding: chunked", b"Content-Length: 5"), _CHUNKED, id="bare line feed"),
        pytest.param((b"X:\r\n Transfer-Encoding: chunked", b"Content-Length: 5"), _CHUNKED, id="folded line"),
        pytest.param((b"Content-Length: 0", b"Content-Length: %d" % len(_HIDDEN)), _HIDDEN, id="two lengths"),
        pytest.param((b"Content-Length: +0",), _HIDDEN, id="length with a sign"),
        pytest.param((b"Content_Length: %d" % len(_HIDDEN),), _HIDDEN, id="length with an underscore"),
        pytest.param((b"Transfer-Encoding: chunked",), b"0;x=\n\r\n\r\n" + _HIDDEN, id="chunk extension"),
        pytest.param((b"Transfer-Encoding: chunked",), b"0\n\n" + _HIDDEN, id="chunk without carriage return"),
        pytest.param((b"Expect: 100-continue", b"Content-Length: 0"), _HIDDEN, id="Expect"),
        pytest.param((b"Connection: Content-Length", b"Content-Length: %d" % len(_HIDDEN)), _HIDDEN, id="Connection"),
        pytest.param(
            (b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked"),
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(_HIDDEN), _HIDDEN),
            id="Connection and chunked",
        ),
    ],
)
@pytest.mark.parametrize("branch", ["token", "preflight", "open path"])
def test_htp_039_no_request_is_hidden_in_another(
    deployment: Deployment, branch: str, lines: tuple[bytes, ...], body: bytes
) -> None:
    """However the proxy parses it: it verifies everything that the service treats as a request."""
    opened = {
        "token": request(bearer(deployment.issuer.token(sub="ada")), *lines, method=b"POST"),
        "preflight": request(*PREFLIGHT, *lines, method=b"OPTIONS"),
        "open path": request(*lines, method=b"POST", target=b"/healthz"),
    }[branch]
    with socket.create_connection(("127.0.0.1", deployment.port), timeout=2) as connection:
        # Last, bytes that no proxy accepts as a request: its response shows that everything before was read.
        connection.sendall(opened + body + b"\0\r\n\r\n")
        received = b""
        while b"HTTP/1.1 4" not in received and (more := connection.recv(65536)):
            received += more

    assert "DELETE /admin" not in deployment.upstream.targets
    assert "mallory" not in str(deployment.upstream.received)
