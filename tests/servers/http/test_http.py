"""The HTTP contract behind real servers, byte by byte: what a server normalises must not bypass authentication.

A server may refuse a malformed request before the middleware does; it must not let the request pass.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from aveverify.testing import FakeIssuer
from tests.missing import skip_missing
from tests.raw_http import TIMEOUT_SECONDS, Answer, ask, bearer, exchange, request
from tests.servers.http.servers import HTTP_SERVERS, PREFIX, PREFIXED_SERVERS, Running, run_server

# The server closes the connection without an answer, or says what is wrong with the request. `running` shows after
# every test that the server still serves, so a server that crashed does not pass for one that refused.
BY_SERVER = {0, 400, 431}


@pytest.fixture(scope="module", params=list(HTTP_SERVERS))
def server(
    request: pytest.FixtureRequest, live_issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    name: str = request.param
    if name == "uvicorn-httptools" and find_spec("httptools") is None:
        skip_missing("httptools")
    with run_server(name, HTTP_SERVERS[name], live_issuer.issuer, tmp_path_factory.mktemp(name)) as running:
        yield running


@pytest.fixture
def running(server: Running, tokens: dict[str, str]) -> Iterator[Running]:
    """A server that accepts a good token, also after the test."""
    yield server
    assert greeted(ask(server.port, bearer(tokens["good"]), target=b"/me")) == "ada"


@pytest.fixture(scope="module")
def tokens(live_issuer: FakeIssuer) -> dict[str, str]:
    kinds = ("expired", "bad_signature", "too_large")
    good = {"good": live_issuer.token(sub="ada"), "other": live_issuer.token(sub="grace")}
    return good | {kind: live_issuer.forge(kind) for kind in kinds}


def greeted(answer: Answer) -> str | None:
    """The user that the application greeted; None where it got no request."""
    found = re.match(rb"hello (\w+) at ", answer.body)
    return found[1].decode() if found and answer.status == 200 else None


def line(value: bytes, tokens: dict[str, str]) -> bytes:
    for kind, token in tokens.items():
        value = value.replace(b"{" + kind.encode() + b"}", token.encode())
    return value


def row(name: str, expected: set[int], *values: bytes, user: str | None = None) -> object:
    return pytest.param([b"Authorization:" + value for value in values], expected, user, id=name)


@pytest.mark.parametrize("prefix", [b"", b"/optional"], ids=["required", "optional"])
@pytest.mark.parametrize(
    ("lines", "expected", "user"),
    [
        row("a good token", {200}, b" Bearer {good}", user="ada"),
        row("HTP-003: lower case", {200}, b" bearer {good}", user="ada"),
        row("HTP-003: upper case, no blank after the colon", {200}, b"BEARER {good}", user="ada"),
        row("HTP-003: two blanks", {200}, b" Bearer  {good}", user="ada"),
        row("HTP-003: blanks around", {200}, b"  Bearer {good}  ", user="ada"),
        row("HTP-003: tabs around", {200}, b"\tBearer {good}\t", user="ada"),
        row("HTP-003: a tab after the scheme", {400}, b" Bearer\t{good}"),
        row("HTP-004: Bearer alone", {400}, b" Bearer"),
        row("HTP-004: Bearer and a blank", {400}, b" Bearer "),
        row("HTP-004: empty", {400}, b""),
        row("a trailing comma", {400}, b" Bearer {good},"),
        row("HTP-001: good and evil", {400}, b" Bearer {good}", b" Bearer {bad_signature}"),
        row("HTP-001: evil and good", {400}, b" Bearer {bad_signature}", b" Bearer {good}"),
        row("HTP-001: good and good", {400}, b" Bearer {good}", b" Bearer {good}"),
        row("HTP-001: Basic and good", {400}, b" Basic YTpi", b" Bearer {good}"),
        row("HTP-002: joined", {400}, b" Bearer {good},Bearer {other}"),
        row("HTP-006: latin-1", {400}, b" Bearer {good}\xfc"),
        row("HTP-006: UTF-8", {400}, b" Bearer {good}\xc3\xbc"),
        row("HTP-006: 0xff", {400}, b" \xff"),
        row("expired", {401}, b" Bearer {expired}"),
        row("bad signature", {401}, b" Bearer {bad_signature}"),
        row("20 KiB", {401} | BY_SERVER, b" Bearer {too_large}aaaa" + b"a" * 4096),
    ],
)
def test_the_contract_holds(  # noqa: PLR0913 - a row of the table
    running: Running,
    tokens: dict[str, str],
    *,
    lines: list[bytes],
    expected: set[int],
    user: str | None,
    prefix: bytes,
) -> None:
    """HTP-001 to HTP-004, HTP-006, HTP-034, HTP-036."""
    answer = ask(running.port, *(line(value, tokens) for value in lines), target=prefix + b"/me")

    assert answer.status in expected
    assert greeted(answer) == user
    if answer.status == 401:
        (challenge,) = answer.values("www-authenticate")
        assert challenge.startswith('Bearer error="invalid_token"')
        assert answer.values("cache-control") == ["no-store"]


def test_missing_credentials_are_refused_or_anonymous(running: Running) -> None:
    refused, anonymous = ask(running.port, target=b"/me"), ask(running.port, target=b"/optional/me")

    assert (refused.status, refused.values("www-authenticate")) == (401, ["Bearer"])
    assert greeted(anonymous) == "None"


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("Authorization: Bearer {a}\x00{b}", id="NUL"),
        pytest.param("Authorization: Bearer {a}\n{b}", id="bare LF"),
        pytest.param("Authorization: Bearer {a}\r{b}", id="bare CR"),
        pytest.param("Authorization: Bearer {a}\r\n {b}", id="obs-fold"),
        pytest.param("Authorization : Bearer {a}{b}", id="space before colon"),
        pytest.param("Authorization\x00: Bearer {a}{b}", id="NUL in the name"),
        pytest.param("X: y\nAuthorization: Basic YTpi\nX: Bearer {a}{b}", id="a line hidden by LF"),
    ],
)
def test_broken_header_lines_are_refused(running: Running, tokens: dict[str, str], place: str) -> None:
    """HTP-007: refused by server or middleware."""
    good = tokens["good"]

    answer = ask(running.port, place.format(a=good[:30], b=good[30:]).encode(), target=b"/me")

    assert answer.status in {401} | BY_SERVER
    assert greeted(answer) is None


@pytest.mark.parametrize(
    "name", [b"X_Auth_User", b"Aveverify.Identity", b"aveverify.identity", b"X-User-Id", b"Remote-User", b"REMOTE_USER"]
)
def test_no_header_sets_the_user(running: Running, name: bytes) -> None:
    """HTP-008, HTP-009, HTP-010."""
    answer = ask(running.port, name + b": ada", target=b"/optional/me")

    assert greeted(answer) in (None, "None")
    assert answer.status in {200} | BY_SERVER


def test_an_authorization_header_with_an_underscore_is_none(running: Running, tokens: dict[str, str]) -> None:
    """HTP-008: it does not replace the user of the good header beside it."""
    lines = (b"Authorization_: Bearer " + tokens["other"].encode(), bearer(tokens["good"]))

    answer = ask(running.port, *lines, target=b"/me")

    assert greeted(answer) == "ada" or answer.status in BY_SERVER


def test_a_connection_keeps_no_user(running: Running, tokens: dict[str, str]) -> None:
    """HTP-038: a user, no user, another user, refused, no user; over one connection, where the server keeps it."""
    questions = [(bearer(tokens["good"]),), (), (bearer(tokens["other"]),), (bearer(tokens["expired"]),), ()]
    requests = [request(*lines, target=b"/optional/me") for lines in questions]
    if running.name == "gunicorn-sync":
        # It closes the connection after each answer.
        answers = [exchange(running.port, data)[0] for data in requests]
    else:
        answers = exchange(running.port, *requests)

    assert [greeted(answer) for answer in answers] == ["ada", "None", "grace", None, "None"]
    assert [answer.status for answer in answers] == [200, 200, 200, 401, 200]


def test_a_request_past_the_middleware_has_no_user_of_the_connection(running: Running, tokens: dict[str, str]) -> None:
    """HTP-038: uvicorn begins the request after a large body in a copy of the context of the one before."""
    length = 400_000
    upload = request(bearer(tokens["good"]), b"Content-Length: %d" % length, method=b"POST", target=b"/me")
    # Twice: a remembered token takes a shorter path.
    requests = [upload + b"x" * length, upload + b"x" * length, request(target=b"/outside")]
    if running.name == "gunicorn-sync":
        # It closes the connection after each answer.
        *uploads, outside = (exchange(running.port, data)[0] for data in requests)
    else:
        *uploads, outside = exchange(running.port, *requests)

    assert [greeted(upload) for upload in uploads] == ["ada", "ada"]
    assert outside.body == b"no user"


def test_a_refused_head_request_leaves_the_connection_in_order(running: Running, tokens: dict[str, str]) -> None:
    """HTP-027, HTP-038: a body after HEAD would be read as the next answer."""
    if running.name == "gunicorn-sync":
        pytest.skip("gunicorn's sync worker keeps no connection")
    head, got = exchange(
        running.port,
        request(bearer(tokens["expired"]), target=b"/me", method=b"HEAD"),
        request(bearer(tokens["good"]), target=b"/me"),
    )

    assert head.status == 401
    assert greeted(got) == "ada"


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        pytest.param((b"Content-Length: {n}", b"Transfer-Encoding: chunked"), b"0\r\n\r\n{inner}", id="CL.TE"),
        pytest.param((b"Transfer-Encoding: chunked", b"Content-Length: 4"), b"5c\r\n{inner}\r\n0\r\n\r\n", id="TE.CL"),
        pytest.param((b"Transfer-Encoding: chunked",), b"1;x={\r\na\r\n0;y\r\n\r\n{inner}", id="chunk extensions"),
        pytest.param((b"Content-Length: 0", b"Content-Length: {n}"), b"{inner}", id="two lengths"),
        pytest.param((b"Transfer-Encoding: xchunked", b"Content-Length: {n}"), b"{inner}", id="unknown coding"),
    ],
)
def test_a_smuggled_request_has_no_identity_but_its_own(
    running: Running, tokens: dict[str, str], framing: tuple[bytes, ...], body: bytes
) -> None:
    """HTP-039: wherever the server sees the next request begin, it does not inherit the user ada."""
    inner = request(target=b"/optional/smuggled")
    body = body.replace(b"{inner}", inner)
    lines = [each.replace(b"{n}", str(len(body)).encode()) for each in framing]
    first = request(bearer(tokens["good"]), *lines, method=b"POST", target=b"/optional/first") + body
    last = request(bearer(tokens["other"]), b"Connection: close", target=b"/optional/last")

    greetings = re.findall(rb"hello (\w+) at /optional/(\w+)\n", converse(running.port, first + last))

    assert set(greetings) <= {(b"ada", b"first"), (b"None", b"smuggled"), (b"grace", b"last")}
    assert len(greetings) == len(set(greetings))


def converse(port: int, data: bytes) -> bytes:
    """Send everything at once, and read until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            return b""


def test_a_huge_upload_with_a_bad_token_is_refused_before_it_is_sent(running: Running, tokens: dict[str, str]) -> None:
    """HTP-040."""
    # A server that reads the whole body before it calls the application gets a smaller one.
    length = 1024 * 1024 if running.server.reads_body_first else 10_000_000_000
    lines = (bearer(tokens["expired"]), b"Expect: 100-continue", b"Content-Length: %d" % length)
    body = b"a" * length if running.server.reads_body_first else b""

    (answer,) = exchange(running.port, request(*lines, method=b"POST", target=b"/me") + body)

    assert answer.status == 401


BYPASSES = [
    pytest.param(b"//public", id="HTP-012: //public"),
    pytest.param(b"//admin", id="HTP-012: //admin"),
    pytest.param(b"/public/../admin", id="HTP-013: /public/../admin"),
    pytest.param(b"/open/../admin", id="HTP-013: /open/../admin"),
    pytest.param(b"/open/%2e%2e/admin", id="HTP-014: /open/%2e%2e/admin"),
    pytest.param(b"/open%2f..%2fadmin", id="HTP-015: /open%2f..%2fadmin"),
    pytest.param(b"/open/..%2fadmin", id="HTP-015: /open/..%2fadmin"),
    pytest.param(b"/public;x/admin", id="HTP-016: /public;x/admin"),
    pytest.param(b"/open/;x/../../admin", id="HTP-016: /open/;x/../../admin"),
    pytest.param(b"/publicadmin", id="HTP-017: /publicadmin"),
    pytest.param(b"/openadmin", id="HTP-017: /openadmin"),
    pytest.param(b"/PUBLIC", id="HTP-018: /PUBLIC"),
    pytest.param(b"/public/", id="HTP-019: /public/"),
    pytest.param(b"/public%00/admin", id="HTP-020: /public%00/admin"),
    pytest.param(b"/open/%00/admin", id="HTP-020: /open/%00/admin"),
    pytest.param(b"/%6fpen/../admin", id="HTP-021: /%6fpen/../admin"),
    pytest.param(b"/open\\..\\admin", id="HTP-022: /open\\..\\admin"),
    pytest.param(b"/open/..\\admin", id="HTP-022: /open/..\\admin"),
    pytest.param(b"/public%3f/admin", id="HTP-023: /public%3f/admin"),
    pytest.param(b"/admin?/public", id="HTP-023: /admin?/public"),
    pytest.param(b"/open/a%ff", id="HTP-024: /open/a%ff"),
    pytest.param(b"/open/%252e%252e/admin", id="encoded twice"),
    pytest.param(b"http://localhost/open/../admin", id="absolute form"),
    pytest.param(b"http://localhost/public?/../admin@/admin", id="absolute form with a query"),
]


@pytest.mark.parametrize("target", BYPASSES)
def test_no_other_path_is_exempt(running: Running, target: bytes) -> None:
    """HTP-012 to HTP-024."""
    answer = ask(running.port, target=target)

    if answer.status == 200:
        # The server has normalised the path to an exempt one, and the application gets that path.
        assert answer.body == b"hello None at /public\n"
    else:
        assert answer.status in {401, 404} | BY_SERVER


@pytest.mark.parametrize("target", [b"/public", b"/public?x=1", b"/open/a/b", b"/%70ublic"])
def test_exempt_paths_need_no_credentials(running: Running, target: bytes) -> None:
    assert greeted(ask(running.port, target=target)) == "None"


@pytest.mark.parametrize(
    "host", [b"localhost/public?x=", b"localhost/open/", b"/public", b"localhost#/public", b"localhost:80/public"]
)
def test_the_host_header_makes_no_path_exempt(running: Running, host: bytes) -> None:
    """HTP-011."""
    assert ask(running.port, target=b"/admin", host=host).status in {401} | BY_SERVER


@pytest.mark.parametrize("name", [b"SCRIPT_NAME", b"X-Forwarded-Prefix", b"Daphne-Root-Path"])
def test_a_prefix_that_a_client_sends_makes_no_path_exempt(
    running: Running, tokens: dict[str, str], name: bytes
) -> None:
    """HTP-026: gunicorn cuts the value of a header SCRIPT_NAME off the path, if a local client or proxy sends it."""
    prefix = name + b": /open"

    known = ask(running.port, prefix, bearer(tokens["good"]), target=b"/open/admin")
    answer = ask(running.port, prefix, target=b"/open/admin")

    if running.name.startswith("gunicorn") and name == b"SCRIPT_NAME":
        assert known.body == b"hello ada at /admin\n"
        assert answer.status == 401
    else:
        # The server ignored the header, or refuses it.
        assert answer.body == b"hello None at /open/admin\n" or answer.status in BY_SERVER


ORIGIN, ASKS = b"Origin: https://app.test", b"Access-Control-Request-Method: POST"


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        pytest.param(b"HEAD", (), id="HEAD"),
        pytest.param(b"OPTIONS", (), id="OPTIONS"),
        pytest.param(b"OPTIONS", (ORIGIN,), id="OPTIONS with Origin"),
        pytest.param(b"OPTIONS", (ASKS,), id="OPTIONS asking for a method"),
        pytest.param(b"TRACE", (ORIGIN, ASKS), id="TRACE"),
        pytest.param(b"options", (ORIGIN, ASKS), id="lower case"),
        pytest.param(b"POST", (ORIGIN, ASKS, b"X-HTTP-Method-Override: OPTIONS"), id="method override"),
        pytest.param(b"OPTIONS", (ORIGIN, ASKS, b"X-HTTP-Method-Override: DELETE"), id="preflight, method override"),
        pytest.param(b"OPTIONS", (ORIGIN, ASKS, b"x-method-override: PUT"), id="preflight, another override"),
        pytest.param(b"OPTIONS", (ORIGIN, ASKS, b"Authorization: Basic YTpi"), id="preflight, Authorization"),
        pytest.param(b"DELETE", (b"X-HTTP-Method-Override: OPTIONS",), id="DELETE that says OPTIONS"),
    ],
)
def test_no_method_bypasses_authentication(running: Running, method: bytes, lines: tuple[bytes, ...]) -> None:
    """HTP-027."""
    answer = ask(running.port, *lines, method=method, target=b"/admin")

    if running.name.startswith("hypercorn") and method == b"options":
        # It converts every method to capitals, so the middleware gets a preflight.
        assert greeted(answer) == "None"
    else:
        # 405 and 501: a server that does not know the method.
        assert answer.status in {401, 405, 501} | BY_SERVER


def test_a_real_preflight_passes(running: Running) -> None:
    """HTP-027."""
    answer = ask(running.port, ORIGIN, ASKS, method=b"OPTIONS", target=b"/admin")

    assert greeted(answer) == "None"


def test_the_first_token_after_a_rotation_is_accepted(running: Running, live_issuer: FakeIssuer) -> None:
    """ROT-002: under every server and event loop. The first request of all had found no keys."""
    live_issuer.rotate()

    assert greeted(ask(running.port, bearer(live_issuer.token(sub="grace")), target=b"/me")) == "grace"


def test_no_log_has_a_token_in_it(running: Running, tokens: dict[str, str]) -> None:
    """ERR-002: and no request made the application raise; h11 may log that a connection ended too late."""
    ask(running.port, bearer(tokens["good"]), target=b"/me")
    ask(running.port, bearer(tokens["expired"]), target=b"/me")

    output = running.program.output
    assert not any(token.rpartition(".")[2] in output for token in tokens.values())
    assert output.count("Traceback") == output.count("h11._util.LocalProtocolError")


@pytest.fixture(scope="module", params=list(PREFIXED_SERVERS))
def prefixed(
    request: pytest.FixtureRequest, live_issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    name: str = request.param
    with run_server(name, PREFIXED_SERVERS[name], live_issuer.issuer, tmp_path_factory.mktemp(name)) as running:
        yield running


def test_a_configured_prefix_neither_hides_nor_adds_an_exempt_path(prefixed: Running) -> None:
    """HTP-026: `--root-path`, with the path that a proxy forwards after it has removed the prefix."""
    exempt, refused = ask(prefixed.port, target=b"/open/a"), ask(prefixed.port, target=b"/me")

    assert exempt.body.startswith(b"hello None at /")
    assert exempt.body.endswith(b"/open/a\n")
    assert refused.status == 401


def test_a_prefix_that_a_server_leaves_in_the_path_hides_no_exempt_path(prefixed: Running) -> None:
    """HTP-026: hypercorn, behind a proxy that has not removed the prefix."""
    answer = ask(prefixed.port, target=f"{PREFIX}/open/a".encode())

    if prefixed.name.startswith("hypercorn"):
        assert answer.body == b"hello None at /api/open/a\n"
    else:
        # uvicorn has added the prefix a second time, so the path of the application is not exempt.
        assert answer.status == 401
