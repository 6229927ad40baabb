"""Many requests through one middleware: each sees its own user, and none sees the user of another."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

from aveverify import Verifier, asgi, wsgi
from aveverify.testing import FakeIssuer
from tests.http.http_fixtures import (
    Client,
    RecordingView,
    Request,
    Server,
    asgi_app,
    bearer,
    http_scope,
    subject_of,
    wsgi_app,
    wsgi_environ,
)

USERS = [f"user_{number}" for number in range(50)]


def test_interleaved_tasks_see_their_own_user(shared_issuer: FakeIssuer, shared_verifier: Verifier) -> None:
    """CON-001: 1,000 tasks, each with a token of its own or none, torn apart at random awaits."""
    issued = {user: shared_issuer.token(sub=user) for user in USERS}
    chance = random.Random(1)  # noqa: S311 - an order, not a secret
    wrong: list[tuple[str | None, str | None]] = []

    async def app(scope: asgi.Scope, _receive: asgi.Receive, _send: asgi.Send) -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        found = subject_of(scope)
        if found != scope["expected"]:
            wrong.append((scope["expected"], found))
        served.append(found)

    served: list[str | None] = []
    middleware = asgi.AveAuthMiddleware(app, shared_verifier, required=False)

    async def ask(user: str | None) -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        client = Client()
        headers = bearer(issued[user]) if user is not None else ()
        await middleware(http_scope(Request(headers), expected=user), client.receive, client.send)

    async def ask_all() -> None:
        await asyncio.gather(*(ask(chance.choice([*USERS, None])) for _ in range(1000)))

    asyncio.run(ask_all())

    assert wrong == []
    assert len(served) == 1000
    assert len(set(served)) > len(USERS) // 2


def test_threads_that_serve_one_after_the_other_keep_nothing(
    shared_issuer: FakeIssuer, shared_verifier: Verifier
) -> None:
    """CON-002: a pool of 4 threads, 10,000 requests, every other one anonymous."""
    issued = {user: shared_issuer.token(sub=user) for user in USERS}
    middleware = wsgi.AveAuthMiddleware(
        wsgi_app(lambda environ: str(subject_of(environ))), shared_verifier, required=False
    )

    def ask(number: int) -> bool:
        user = USERS[number % len(USERS)] if number % 2 else None
        server = Server()
        server.call(middleware, wsgi_environ(Request(bearer(issued[user]) if user is not None else ())))
        return server.reply.body.decode() == str(user)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(10_000)))


def test_an_anonymous_request_after_a_user_is_anonymous(
    tokens: dict[str, str], shared_verifier: Verifier, observer: RecordingView
) -> None:
    """HTP-037, HTP-038: also when the server uses the very same scope or environ again."""
    body: asgi.Message = {"type": "http.request", "body": b"", "more_body": False}
    over_asgi = asgi.AveAuthMiddleware(asgi_app(observer), shared_verifier, required=False)
    over_wsgi = wsgi.AveAuthMiddleware(wsgi_app(observer), shared_verifier, required=False)
    scope, environ = http_scope(Request(bearer(tokens["good"]))), wsgi_environ(Request(bearer(tokens["good"])))

    Client(body).call(over_asgi, scope)
    scope["headers"] = []
    Client(body).call(over_asgi, scope)
    Server().call(over_wsgi, environ)
    del environ["HTTP_AUTHORIZATION"]
    Server().call(over_wsgi, environ)

    assert observer.seen == ["ada", None, "ada", None]
