"""What the application has to say about a user, and who the current user is without a request at hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Iterable, Iterator
from contextvars import Context, copy_context
from threading import Thread
from typing import Any

import pytest

from aveverify import ConfigurationError, Identity, InvalidTokenError, Reason, Verifier, current_identity
from aveverify._http.auth_options import OnInvalid
from aveverify._http.policy import make_policy
from aveverify._http.request_auth import RequestAuth
from aveverify.asgi import AveAuthMiddleware as AsgiMiddleware
from aveverify.asgi import Message, Receive, Scope, Send
from aveverify.errors import Problem
from aveverify.wsgi import AveAuthMiddleware as WsgiMiddleware
from tests.http.http_fixtures import (
    Client,
    RecordingView,
    Request,
    Scenario,
    Server,
    asgi_app,
    bearer,
    http_scope,
    wsgi_app,
    wsgi_environ,
)

BODY: Message = {"type": "http.request", "body": b"", "more_body": False}


def ban_ada(identity: Identity) -> str | None:
    """Refuse one user."""
    return "banned since \r\n yesterday" if identity.subject == "ada" else None


def test_the_application_may_refuse_a_user(scenario: Scenario, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aveverify.http")

    ada = scenario.get(scenario.bearer("good"), required=True, check=ban_ada)
    grace = scenario.get(scenario.bearer("other"), required=True, check=ban_ada)
    nobody = scenario.get((), required=False, check=ban_ada)

    assert (ada.status, grace.status, nobody.status) == (401, 200, 200)
    assert ada.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert scenario.observer.seen == ["grace", None]
    # ERR-003: in the application's own words, quoted, on one line, and only in the log.
    [record] = [record for record in caplog.records if record.name == "aveverify.http"]
    assert Reason.REFUSED_BY_CHECK in record.getMessage()
    assert r"'banned since \r\n yesterday'" in record.getMessage()
    assert b"banned" not in ada.body


@pytest.mark.parametrize(
    "verdict", [False, "", True, 0, [], object()], ids=["False", "''", "True", "0", "[]", "object"]
)
def test_whatever_is_not_a_plain_yes_is_a_no(scenario: Scenario, verdict: object) -> None:
    reply = scenario.get(scenario.bearer("good"), required=True, check=lambda _identity: verdict)

    assert reply.status == 401
    assert scenario.observer.seen == []


def test_an_exception_of_the_check_lets_nobody_in(scenario: Scenario) -> None:
    def check(_identity: Identity) -> str | None:
        raise LookupError

    with pytest.raises(LookupError):
        scenario.get(scenario.bearer("good"), required=True, check=check)

    assert scenario.observer.seen == []


@pytest.mark.parametrize(("kind", "status"), [("good", 401), ("other", 200)])
def test_an_asynchronous_integration_awaits_the_check(
    kind: str, status: int, tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    async def check(identity: Identity) -> str | None:
        await asyncio.sleep(0)
        return ban_ada(identity)

    client = Client(BODY)
    client.call(
        AsgiMiddleware(asgi_app(observer), shared_verifier, required=True, check=check),
        http_scope(Request(bearer(tokens[kind]))),
    )

    assert client.reply.status == status


def test_a_synchronous_integration_cannot_await_and_says_so(
    tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """A function that gives a coroutine without being a coroutine function shows only when it is called."""

    async def answer() -> None:
        raise NotImplementedError

    app = WsgiMiddleware(wsgi_app(observer), shared_verifier, required=True, check=lambda _: answer())

    with pytest.raises(ConfigurationError) as caught:
        Server().call(app, wsgi_environ(Request(bearer(tokens["good"]))))

    assert caught.value.field == "check"
    assert observer.seen == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("check", "ban"), ("check", 1), ("token_sources", []), ("token_sources", "header"), ("token_sources", None)],
)
@pytest.mark.parametrize("middleware", [AsgiMiddleware, WsgiMiddleware], ids=["asgi", "wsgi"])
def test_an_argument_that_is_wrong_is_refused_by_name(
    middleware: Any,
    field: str,
    value: object,
    shared_verifier: Verifier,
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        middleware(None, shared_verifier, **({"required": True} | {field: value}))

    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, field)


# --- current_identity


def subject() -> str | None:
    """Who is current, in one word."""
    identity = current_identity.get()
    return None if identity is None else identity.subject


def test_outside_of_a_request_there_is_no_current_identity() -> None:
    with pytest.raises(ConfigurationError) as caught:
        current_identity.get()

    assert caught.value.problem is Problem.NO_REQUEST


@pytest.mark.parametrize(("kind", "expected"), [("good", "ada"), (None, None)], ids=["good", "anonymous"])
def test_the_current_identity_is_that_of_the_request(
    scenario: Scenario, kind: str | None, expected: str | None
) -> None:
    seen: list[str | None] = []
    headers = scenario.bearer(kind) if kind else ()

    def view(_request: object) -> str:
        seen.append(subject())
        return "seen"

    scenario.get(headers, view=view, required=False)

    assert seen == [expected]
    test_outside_of_a_request_there_is_no_current_identity()


def test_no_copy_of_a_context_knows_the_user_after_the_request(scenario: Scenario) -> None:
    """HTP-038: tasks that go on, and servers that begin the next request in such a copy."""
    copies: list[Context] = []

    def view(_request: object) -> str:
        copies.append(copy_context())
        return "seen"

    scenario.get(scenario.bearer("good"), view=view, required=False)

    (copy,) = copies
    copy.run(test_outside_of_a_request_there_is_no_current_identity)


def test_a_request_that_is_given_up_in_another_context_leaves_nobody_behind(
    tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """HTP-038: a task that is collected while it waits is closed wherever that happens."""
    copies: list[Context] = []

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        copies.append(copy_context())
        await receive()

    class Never:
        def __await__(self) -> Generator[None]:
            yield

    async def receive() -> Message:
        await Never()
        raise NotImplementedError

    middleware = AsgiMiddleware(app, shared_verifier, required=True)
    request = middleware(http_scope(Request(bearer(tokens["good"]))), receive, Client().send)
    copy_context().run(request.send, None)
    with pytest.raises(ValueError, match="different Context"):
        request.close()

    copies[0].run(test_outside_of_a_request_there_is_no_current_identity)


def test_a_deferred_refusal_is_raised_when_somebody_asks_for_the_current_identity(scenario: Scenario) -> None:
    def view(_request: object) -> str:
        with pytest.raises(InvalidTokenError):
            current_identity.get()
        return "public"

    assert scenario.get(scenario.bearer("expired"), view=view, required=False, on_invalid="defer").status == 200


def test_the_state_of_a_request_holds_the_identity(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    """HTP-010: a planted one is replaced; a deferred refusal leaves none."""
    seen: list[object] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["state"].get("identity", "absent"))

    middleware = AsgiMiddleware(app, shared_verifier, required=False, on_invalid="defer")
    for kind in ("good", None, "expired"):
        headers = bearer(tokens[kind]) if kind else ()
        Client().call(middleware, http_scope(Request(headers), state={"identity": "planted", "db": 1}))
    Client().call(middleware, {key: value for key, value in http_scope().items() if key != "state"})

    assert isinstance(seen[0], Identity)
    assert seen[1:] == [None, "absent", None]


def test_tasks_see_the_identity_of_the_request_that_began_them(
    tokens: dict[str, str], shared_verifier: Verifier
) -> None:
    """CON-001, HTP-037: background work of a request is that user's, and nobody's afterwards."""
    seen: list[str | None] = []

    async def work() -> None:
        await asyncio.sleep(0)
        seen.append(subject())

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.gather(*(asyncio.create_task(work()) for _ in range(3)))

    async def serve() -> None:
        middleware = AsgiMiddleware(app, shared_verifier, required=False)
        client = Client()
        scopes = [http_scope(Request(bearer(tokens[kind]))) for kind in ("good", "other")]
        await asyncio.gather(*(middleware(scope, client.receive, client.send) for scope in scopes))
        test_outside_of_a_request_there_is_no_current_identity()

    asyncio.run(serve())

    assert sorted(map(str, seen)) == ["ada"] * 3 + ["grace"] * 3


class Chunks:
    """An iterable that asks at every step, and when it is closed."""

    def __init__(self, *, closable: bool = True) -> None:
        self.seen: list[str | None] = []
        if closable:
            self.close = lambda: self.seen.append(subject())

    def __iter__(self) -> Iterator[bytes]:
        self.seen.append(subject())
        yield b"one"
        self.seen.append(subject())
        yield b"two"


@pytest.mark.parametrize("closable", [True, False], ids=["with close", "without close"])
def test_a_stream_of_wsgi_runs_under_the_identity_of_its_request(
    tokens: dict[str, str], shared_verifier: Verifier, *, closable: bool
) -> None:
    """CON-002, HTP-037: while it runs, and only then."""
    chunks = Chunks(closable=closable)

    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return chunks

    class Watching(Server):
        def write(self, data: bytes) -> None:
            super().write(data)
            test_outside_of_a_request_there_is_no_current_identity()

    server = Watching()
    server.call(WsgiMiddleware(app, shared_verifier, required=True), wsgi_environ(Request(bearer(tokens["good"]))))

    assert chunks.seen == ["ada", "ada", "ada"] if closable else ["ada", "ada"]
    assert server.reply.body == b"onetwo"


def test_a_list_is_given_to_the_server_as_it_is(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    body = [b"all"]

    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return body

    middleware = WsgiMiddleware(app, shared_verifier, required=True)

    assert middleware(wsgi_environ(Request(bearer(tokens["good"]))), Server().start_response) is body


def test_threads_have_no_identity_that_nobody_gave_them(tokens: dict[str, str], shared_verifier: Verifier) -> None:
    seen: list[Problem] = []

    def ask() -> None:
        with pytest.raises(ConfigurationError) as caught:
            current_identity.get()
        seen.append(caught.value.problem)

    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        thread = Thread(target=ask)
        thread.start()
        thread.join()
        start_response("200 OK", [])
        return []

    Server().call(WsgiMiddleware(app, shared_verifier, required=True), wsgi_environ(Request(bearer(tokens["good"]))))

    assert seen == [Problem.NO_REQUEST]


def test_a_refusal_keeps_no_frame_of_the_verification(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """A crash report shows the locals of every frame: the token would be among them."""
    environ = wsgi_environ(Request(bearer(tokens["bad_signature"])))
    modes: tuple[OnInvalid, ...] = ("reject", "defer")
    for on_invalid in modes:
        policy = make_policy(shared_verifier, required=True, on_invalid=on_invalid)
        request_auth = RequestAuth(policy, environ, "/")

        request_auth.authenticate()

        assert request_auth.error is not None
        assert request_auth.error.__traceback__ is None
