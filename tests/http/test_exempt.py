"""Which paths need no credentials: the same answer at every integration, and no way around it."""

from __future__ import annotations

import pytest

from aveverify import ConfigurationError, Verifier
from aveverify._http.exempt_paths import ExemptPaths
from aveverify.asgi import AveAuthMiddleware as AsgiMiddleware
from aveverify.asgi import Message
from aveverify.errors import Problem
from aveverify.wsgi import AveAuthMiddleware as WsgiMiddleware
from tests.http.http_fixtures import (
    Client,
    RecordingView,
    Request,
    Server,
    asgi_app,
    bearer,
    http_scope,
    wsgi_app,
    wsgi_environ,
)

BODY: Message = {"type": "http.request", "body": b"", "more_body": False}
EXACT = ("/public", "/public/index.html", "/")
BELOW = ("/public/*",)


@pytest.mark.parametrize("path", EXACT)
def test_a_path_stands_for_itself(path: str) -> None:
    assert path in ExemptPaths(EXACT)


@pytest.mark.parametrize(
    "path", ["/public/", "/public/a", "/public/a/b.css", "/public/Ä", "/public/a:b@c,d+e=f~g", "/public/..a/.b/c.."]
)
def test_a_star_stands_for_everything_below(path: str) -> None:
    assert path in ExemptPaths(BELOW)
    assert path not in ExemptPaths(EXACT)


# As the router sees them, which is decoded once.
BYPASSES = [
    pytest.param("//admin", id="HTP-012"),
    pytest.param("//public/admin", id="HTP-012: of the prefix"),
    pytest.param("/public//admin", id="HTP-012: inside"),
    pytest.param("/public/../admin", id="HTP-013, HTP-014, HTP-015, HTP-021"),
    pytest.param("/public/./admin", id="HTP-013: one dot"),
    pytest.param("/public/..", id="HTP-013: at the end"),
    pytest.param("/public/%2e%2e/admin", id="HTP-014: encoded twice"),
    pytest.param("/public/%2fadmin", id="HTP-015: encoded twice"),
    pytest.param("/public;x/admin", id="HTP-016"),
    pytest.param("/public/;x/../admin", id="HTP-016: below"),
    pytest.param("/public/a;x", id="HTP-016: parameters"),
    pytest.param("/publicadmin", id="HTP-017"),
    pytest.param("/PUBLIC", id="HTP-018"),
    pytest.param("/Public/a", id="HTP-018: below"),
    pytest.param("/public\x00/admin", id="HTP-020"),
    pytest.param("/public/\x00", id="HTP-020: below"),
    pytest.param("/public\\..\\admin", id="HTP-022"),
    pytest.param("/public/\\..\\admin", id="HTP-022: below"),
    pytest.param("/public?/admin", id="HTP-023"),
    pytest.param("/public/?/admin", id="HTP-023: below"),
    pytest.param("/public/#", id="fragment"),
    pytest.param("/a\ufffd", id="HTP-024"),
    pytest.param("/public/\ufffd", id="HTP-024: below"),
    pytest.param("/public/\udcff", id="HTP-024: a lone surrogate"),
    pytest.param("/public/a b", id="a blank"),
    pytest.param("/public/a\r\nb", id="a line break"),
    pytest.param("public", id="no slash"),
    pytest.param("", id="nothing"),
    pytest.param("*", id="of OPTIONS"),
    pytest.param("/api/public", id="below another path"),
]


@pytest.mark.parametrize("path", BYPASSES)
def test_a_path_that_could_be_read_in_two_ways_is_not_exempt(
    path: str, shared_verifier: Verifier, observer: RecordingView
) -> None:
    exempt = ["/public", "/public/*"]
    one, two = Client(BODY), Server()

    one.call(AsgiMiddleware(asgi_app(observer), shared_verifier, required=True, exempt=exempt), http_scope(path=path))
    wsgi_path = path.encode("utf-8", "surrogateescape").decode("latin-1")
    two.call(
        WsgiMiddleware(wsgi_app(observer), shared_verifier, required=True, exempt=exempt),
        wsgi_environ(PATH_INFO=wsgi_path),
    )

    assert (one.reply.status, two.reply.status) == (401, 401)
    assert observer.seen == []


def test_a_trailing_slash_is_another_path() -> None:
    """HTP-019."""
    assert "/public/" not in ExemptPaths(["/public"])
    assert "/public" not in ExemptPaths(["/public/"])
    assert "/public" not in ExemptPaths(["/public/*"])


def test_bytes_that_are_no_utf8_are_not_exempt(shared_verifier: Verifier, observer: RecordingView) -> None:
    """HTP-024: a PATH_INFO of /public/%ff."""
    server = Server()

    server.call(
        WsgiMiddleware(wsgi_app(observer), shared_verifier, required=True, exempt=BELOW),
        wsgi_environ(PATH_INFO="/public/\xff"),
    )

    assert server.reply.status == 401


@pytest.mark.parametrize("host", ["localhost/public?x=", "localhost/public", "api.test"])
def test_the_host_header_has_no_say(host: str, shared_verifier: Verifier, observer: RecordingView) -> None:
    """HTP-011: only the path decides, never an address built from Host."""
    request = Request((("Host", host),))
    one, two = Client(BODY), Server()

    one.call(
        AsgiMiddleware(asgi_app(observer), shared_verifier, required=True, exempt=BELOW),
        http_scope(request, path="/api/admin"),
    )
    two.call(
        WsgiMiddleware(wsgi_app(observer), shared_verifier, required=True, exempt=BELOW),
        wsgi_environ(request, PATH_INFO="/api/admin"),
    )

    assert (one.reply.status, two.reply.status) == (401, 401)


@pytest.mark.parametrize("kind", [None, "good", "expired", "malformed"])
def test_nothing_is_read_where_nothing_is_needed(
    kind: str | None, tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """A health check answers whatever it carries, and whoever asks there is anonymous."""
    headers = bearer(tokens.get(kind, "")) if kind else ()
    one, two = Client(BODY), Server()

    one.call(
        AsgiMiddleware(asgi_app(observer), shared_verifier, required=True, exempt=["/"]), http_scope(Request(headers))
    )
    two.call(
        WsgiMiddleware(wsgi_app(observer), shared_verifier, required=True, exempt=["/"]), wsgi_environ(Request(headers))
    )

    assert (one.reply.status, two.reply.status) == (200, 200)
    assert observer.seen == [None, None]


@pytest.mark.parametrize(
    "value",
    [None, "/public", b"/", ["public"], [""], ["*"], ["/*/a"], ["/a*"], ["/a/../b"], ["/a//b"], ["/a;b"], ["/a%20b"],
     ["/a?b"], ["/a b"], ["//*"], [None], [b"/a"], {"/a": 1}],
    ids=repr,
)  # fmt: skip
def test_a_pattern_that_could_mean_more_than_one_thing_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ExemptPaths(value)  # type: ignore[arg-type]

    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, "exempt")
