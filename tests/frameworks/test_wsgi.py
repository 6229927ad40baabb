"""What only WSGI has: iterables that must come back as they are, `start_response`, `write`, `close`, `exc_info`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper

import pytest

from aveverify import AveVerifyError, InvalidTokenError, Reason, Verifier, get_user_identity
from aveverify._http.request_identity import IDENTITY_KEY
from aveverify.wsgi import AveAuthMiddleware
from tests.http.http_fixtures import RecordingView, Request, Server, bearer, wsgi_app, wsgi_environ

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
OK = ("200 OK", [("content-type", "text/plain")])


def deferring(app: App, verifier: Verifier) -> AveAuthMiddleware:
    return AveAuthMiddleware(app, verifier, required=False, on_invalid="defer")


class Chunks:
    """An iterable that counts how often it is closed."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """Count."""
        self.closed += 1


# --- the environ and the good path ----------------------------------------------------------------------------------


@pytest.mark.parametrize("planted", [None, "ada", object()], ids=["None", "text", "object"])
def test_an_identity_that_stood_there_before_is_overwritten(
    planted: object, tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-010: at every request, anonymous ones too."""
    app = AveAuthMiddleware(wsgi_app(observer), shared_verifier, required=False)

    for headers in ((), bearer(tokens["other"])):
        Server().call(app, wsgi_environ(Request(headers), **{IDENTITY_KEY: planted}))

    assert observer.seen == [None, "grace"]


@pytest.mark.parametrize("kind", ["good", None], ids=["good", "anonymous"])
@pytest.mark.parametrize("on_invalid", ["reject", "defer"])
def test_the_application_gets_the_servers_own_and_the_server_the_applications(
    kind: str | None,
    on_invalid: Any,
    tokens: dict[str, str],
    shared_verifier: Verifier,
) -> None:
    """A file of `wsgi.file_wrapper` is not wrapped, so the server may send it in its own way."""
    calls: list[tuple[Any, Any]] = []
    file = FileWrapper(io.BytesIO(b"a file"))

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        calls.append((environ, start_response))
        return file

    server = Server()
    environ = wsgi_environ(Request(bearer(tokens[kind]) if kind else ())) | {"wsgi.file_wrapper": FileWrapper}
    middleware = AveAuthMiddleware(app, shared_verifier, required=False, on_invalid=on_invalid)

    assert middleware(environ, server.start_response) is file
    [(seen, start_response)] = calls
    assert seen is environ
    assert start_response == server.start_response


@pytest.mark.parametrize("method", ["options", "Options", "CONNECT", "TRACE", "HEAD", "PROPFIND", ""])
def test_no_other_method_passes_for_a_preflight(
    method: str, shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-027."""
    headers = (("Origin", "https://app.test"), ("Access-Control-Request-Method", "POST"))
    server = Server()

    server.call(
        AveAuthMiddleware(wsgi_app(observer), shared_verifier, required=True),
        wsgi_environ(Request(headers, method=method)),
    )

    assert server.reply.status == 401
    assert observer.seen == []


@pytest.mark.parametrize("control", ["\x00", "\n", "\r", "\r\n ", "\x7f", "\x0b"])
def test_control_characters_are_refused(
    control: str, tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-007, should a server let them through."""
    value = f"Bearer {tokens['good']}"

    for place in (len(value), 20, 7):
        server = Server()
        environ = wsgi_environ(Request((("Authorization", value[:place] + control + value[place:]),)))
        server.call(AveAuthMiddleware(wsgi_app(observer), shared_verifier, required=False), environ)
        assert server.reply.status == 400

    assert observer.seen == []


@pytest.mark.parametrize("value", [None, "Bearer refused", "Bearer"], ids=["none", "refused", "malformed"])
def test_a_refusal_does_not_wait_for_the_body(
    value: str | None, shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-040."""
    environ = wsgi_environ(Request((("Authorization", value),) if value else (), method="POST"))
    # There is no body to read: touching it would fail.
    environ["wsgi.input"] = None
    server = Server()

    server.call(AveAuthMiddleware(wsgi_app(observer), shared_verifier, required=True), environ)

    assert server.reply.status in (400, 401)
    assert observer.seen == []


def test_exceptions_of_start_response_pass(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    def start_response(*_arguments: object) -> Any:
        raise OSError

    for headers in (bearer(tokens["good"]), bearer(tokens["expired"])):
        with pytest.raises(OSError, match=r"^$"):
            AveAuthMiddleware(wsgi_app(RecordingView()), shared_verifier, required=True)(
                wsgi_environ(Request(headers)), start_response
            )


# --- deferred refusals ----------------------------------------------------------------------------------------------


def raises_at_once(environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
    get_user_identity(environ)
    raise NotImplementedError


def raises_after_the_head(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response(*OK)
    get_user_identity(environ)
    raise NotImplementedError


def raises_at_the_first_chunk(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    get_user_identity(environ)
    start_response(*OK)
    yield b"never"


def raises_at_the_first_chunk_after_the_head(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response(*OK)
    get_user_identity(environ)
    yield b"never"


def raises_after_an_empty_chunk(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response(*OK)
    yield b""
    get_user_identity(environ)


class RaisesWhenIterated:
    """An iterable whose iterator cannot be had."""

    def __init__(self, environ: dict[str, Any], _start_response: Any) -> None:
        self._environ = environ

    def __iter__(self) -> Iterator[bytes]:
        get_user_identity(self._environ)
        raise NotImplementedError


def raises_after_a_chunk(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response(*OK)
    yield b"begun"
    get_user_identity(environ)


def raises_after_a_write(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response(*OK)(b"begun")
    get_user_identity(environ)
    raise NotImplementedError


BEFORE = [
    raises_at_once,
    raises_after_the_head,
    raises_at_the_first_chunk,
    raises_at_the_first_chunk_after_the_head,
    RaisesWhenIterated,
]


def app_name(app: object) -> str:
    """The id of a case."""
    return str(getattr(app, "__name__", app))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("app", [*BEFORE, raises_after_an_empty_chunk], ids=app_name)
def test_a_deferred_refusal_that_escapes_before_the_response_began_becomes_the_answer(
    app: App, method: str, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    rejected, deferred = Server(), Server()
    request = Request(bearer(tokens["expired"]), method=method)

    rejected.call(AveAuthMiddleware(app, shared_verifier, required=False), wsgi_environ(request))
    deferred.call(deferring(app, shared_verifier), wsgi_environ(request))

    assert deferred.reply == rejected.reply
    assert deferred.reply.status == 401


@pytest.mark.parametrize("app", [raises_after_a_chunk, raises_after_a_write], ids=app_name)
def test_a_deferred_refusal_propagates_once_the_response_began(
    app: App, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    server = Server()

    with pytest.raises(InvalidTokenError) as caught:
        server.call(deferring(app, shared_verifier), wsgi_environ(Request(bearer(tokens["expired"]))))

    assert caught.value.reason is Reason.EXPIRED
    assert server.reply.status == 200
    assert server.sent == [b"begun"]


@pytest.mark.parametrize("app", [*BEFORE, raises_after_a_chunk, raises_after_a_write], ids=app_name)
def test_deferral_behind_the_server_of_the_standard_library(
    app: App, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    environ = wsgi_environ(Request(bearer(tokens["expired"])))
    output, errors = io.BytesIO(), io.StringIO()

    SimpleHandler(io.BytesIO(), output, errors, environ).run(deferring(app, shared_verifier))

    status = output.getvalue().split(b"\r\n")[0]
    assert status == (b"HTTP/1.0 200 OK" if app not in BEFORE else b"HTTP/1.0 401 Unauthorized")
    # The server of the standard library writes down what propagates, and nothing else.
    assert ("EXPIRED" in errors.getvalue()) == (app not in BEFORE)
    assert not any(segment in errors.getvalue() for segment in tokens["expired"].split("."))


@pytest.mark.parametrize("when", ["call", "iteration"])
@pytest.mark.parametrize("kind", ["good", "expired"])
def test_only_the_deferred_refusal_becomes_the_answer(
    kind: str, when: str, tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """The refusal of some other token, which the application verified by itself, is not this client's."""

    def chunks() -> Iterator[bytes]:
        shared_verifier.verify(tokens["bad_signature"])
        yield b"never"

    def app(_environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
        return chunks() if when == "iteration" else list(chunks())

    server = Server()
    with pytest.raises(InvalidTokenError) as caught:
        server.call(deferring(app, shared_verifier), wsgi_environ(Request(bearer(tokens[kind]))))

    assert caught.value.reason is Reason.BAD_SIGNATURE
    assert server.head is None


def test_the_iterable_of_the_application_is_closed_once(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    """Read to the end, refused, broken off, and never begun."""
    environ = wsgi_environ(Request(bearer(tokens["expired"])))
    server = Server()
    given: list[Chunks] = []

    def refused() -> Iterator[bytes]:
        get_user_identity(environ)
        yield b"never"

    def app_with(chunks: Iterator[bytes]) -> App:
        def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response(*OK)
            given.append(Chunks(chunks))
            return given[-1]

        return app

    server.call(deferring(app_with(iter([b"one", b"two"])), shared_verifier), environ)
    assert server.sent == [b"one", b"two"]
    Server().call(deferring(app_with(refused()), shared_verifier), environ)
    for taken in (1, 0):
        body = deferring(app_with(iter([b"one", b"two"])), shared_verifier)(environ, Server().start_response)
        assert [chunk for chunk, _ in zip(body, range(taken), strict=False)] == [b"one"][:taken]
        body.close()  # type: ignore[attr-defined]

    assert [chunks.closed for chunks in given] == [1, 1, 1, 1]


def test_an_iterable_without_close_is_left_alone(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    server = Server()

    server.call(
        deferring(wsgi_app(lambda _: "public"), shared_verifier), wsgi_environ(Request(bearer(tokens["expired"])))
    )

    assert server.reply.body == b"public"


def test_the_application_may_replace_its_own_head(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    """Its `exc_info` reaches the server while a refusal is deferred."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(*OK)
        try:
            get_user_identity(environ)
        except AveVerifyError as error:
            start_response("418 I'm a teapot", [("content-type", "text/plain")], (type(error), error, None))
        return [b"short and stout"]

    server = Server()
    server.call(deferring(app, shared_verifier), wsgi_environ(Request(bearer(tokens["expired"]))))

    assert server.reply.status == 418
