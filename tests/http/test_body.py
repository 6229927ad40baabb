"""HTP-051: a request without good credentials is refused before its body is read, however large or broken that is.

Each integration gets a body of which nothing is read yet. What an application reads before the integration runs, and
what to do then, is on the page of its framework.
"""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Callable, Iterator
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import pytest
import uvicorn
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import APIRouter, Body, Depends, FastAPI, Request, Security
from fastapi.security import SecurityScopes  # noqa: TC002 - of a dependency
from flask import Flask
from flask import request as flask_request
from litestar import Litestar, post
from litestar.params import Body as LitestarBody
from pydantic import BaseModel
from rest_framework.response import Response as DrfResponse
from rest_framework.views import APIView
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection  # noqa: TC002 - of a dependency
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from aveverify import ConfigurationError, Identity, Verifier, asgi, forward_auth, wsgi
from aveverify import flask as ave_flask
from aveverify import starlette as ave_starlette
from aveverify.django import ave_required
from aveverify.drf import AveAuthentication
from aveverify.fastapi import AveAuth
from aveverify.litestar import AveAuthMiddleware, AveAuthPlugin, CurrentIdentity, requires_authenticated
from aveverify.testing import FakeIssuer
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.django_client import MIDDLEWARE
from tests.http.http_fixtures import Headers, Server, bearer, http_scope, wsgi_environ
from tests.http.http_fixtures import Request as Asked

if TYPE_CHECKING:
    from starlette.requests import Request as StarletteRequest

Posted = Annotated[dict[str, Any], LitestarBody()]
JSON = (("Content-Type", "application/json"),)
CHUNK_BYTES = 64 * 1024
HUGE_BYTES = 24 * 1024 * 1024

# Dependencies of a route are looked up in the module when annotations are text, so they stand here.
ISSUER = FakeIssuer()
ave = AveAuth(ISSUER.verifier())
other = AveAuth(ISSUER.verifier(), check=lambda identity: CHECKED.append(identity.subject))
CHECKED: list[str] = []
ADA = ISSUER.token(sub="ada")
EXPIRED = ISSUER.forge("expired")


class Upload:
    """The far side of a connection with a body: counts what is read of it.

    Args:
        chunks: The body, piece by piece.
    """

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.reads = 0
        self.sent: list[asgi.Message] = []

    async def receive(self) -> asgi.Message:
        """Give a piece of the body."""
        self.reads += 1
        return {"type": "http.request", "body": self.chunks.pop(0), "more_body": bool(self.chunks)}

    async def send(self, message: asgi.Message) -> None:
        """Keep a message."""
        self.sent.append(message)

    def post(self, app: Any, headers: Headers = (), url: str = "/") -> int:
        """Send the body to an ASGI application; return the status."""
        scope = http_scope(Asked((*JSON, *headers), "POST"), path=url, raw_path=url.encode())
        asyncio.run(app(scope, self.receive, self.send))
        status: int = self.sent[0]["status"]
        return status


class PatientUpload(Upload):
    """A client that stays connected: Django waits for the end of the connection while it serves."""

    async def receive(self) -> asgi.Message:
        """Give a piece of the body, or wait."""
        if not self.chunks:
            await asyncio.Event().wait()
        return await super().receive()


class Unread(io.BytesIO):
    """The body in an environ of WSGI: counts how often something is read of it."""

    reads = 0

    def read(self, *arguments: Any) -> bytes:
        """Read a piece."""
        self.reads += 1
        return super().read(*arguments)

    def readline(self, *arguments: Any) -> bytes:
        """Read a line."""
        self.reads += 1
        return super().readline(*arguments)


# --- every integration ------------------------------------------------------------------------------------------------


def make_asgi(verifier: Verifier) -> Any:
    async def app(_scope: asgi.Scope, receive: asgi.Receive, _send: asgi.Send) -> None:
        await receive()

    return asgi.AveAuthMiddleware(app, verifier, required=True)


async def read_all(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def make_starlette(verifier: Verifier) -> Any:
    middleware = [Middleware(ave_starlette.AveAuthMiddleware, verifier=verifier, required=True)]
    return Starlette(routes=[Route("/", read_all, methods=["POST"])], middleware=middleware)


def make_backend(verifier: Verifier) -> Any:
    backend = ave_starlette.AveAuthBackend(verifier, required=True)
    middleware = [Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error)]
    return Starlette(routes=[Route("/", read_all, methods=["POST"])], middleware=middleware)


@post("/")
async def take(data: Posted) -> int:
    return len(data)


@post("/", guards=[requires_authenticated])
async def guarded(data: Posted) -> int:
    return len(data)


def make_plugin(verifier: Verifier) -> Any:
    return Litestar([take], plugins=[AveAuthPlugin(verifier, required=True)], logging_config=None)


def make_middleware(verifier: Verifier) -> Any:
    middleware = [AveAuthMiddleware.define(verifier, required=True)]
    return Litestar([take], middleware=middleware, logging_config=None)


def make_guard(verifier: Verifier) -> Any:
    return Litestar([guarded], plugins=[AveAuthPlugin(verifier, required=False)], logging_config=None)


def make_fastapi(verifier: Verifier) -> Any:
    app, ave = FastAPI(), AveAuth(verifier)
    ave.install(app)

    @app.post("/", dependencies=[Security(ave)])
    async def taken(data: dict[str, Any]) -> int:
        return len(data)

    return app


ASGI_INTEGRATIONS: dict[str, Callable[[Verifier], Any]] = {
    "asgi": make_asgi,
    "starlette": make_starlette,
    "starlette-backend": make_backend,
    "litestar-plugin": make_plugin,
    "litestar-middleware": make_middleware,
    "litestar-guard": make_guard,
    "fastapi-install": make_fastapi,
}
MALFORMED: Headers = (("Authorization", "Bearer a b"),)
REFUSED: dict[str, Headers] = {"anonymous": (), "expired": bearer(EXPIRED), "malformed": MALFORMED}


@pytest.mark.parametrize("body", [b"{", b"x" * CHUNK_BYTES], ids=["malformed", "huge"])
@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("make", ASGI_INTEGRATIONS.values(), ids=ASGI_INTEGRATIONS)
def test_htp_051_an_asgi_middleware_refuses_before_the_body_is_read(
    make: Callable[[Verifier], Any], headers: Headers, body: bytes, shared_verifier: Verifier
) -> None:
    upload = Upload(body, b"more")
    status = upload.post(make(shared_verifier), headers)

    assert status == (400 if headers == MALFORMED else 401)
    assert upload.reads == 0


def test_htp_051_the_service_for_proxies_reads_no_body(shared_verifier: Verifier) -> None:
    upload = Upload(b"x" * CHUNK_BYTES, b"more")

    assert upload.post(forward_auth.make_app(shared_verifier), url="/auth") == 401
    assert upload.reads == 0


def make_wsgi(verifier: Verifier) -> Any:
    def app(environ: Any, _start_response: Any) -> list[bytes]:
        return [environ["wsgi.input"].read()]

    return wsgi.AveAuthMiddleware(app, verifier, required=True)


def make_flask(verifier: Verifier, *, required: bool) -> Flask:
    app = Flask(__name__)
    ave = ave_flask.AveAuth(app, verifier, required=required)

    def taken() -> str:
        return str(len(flask_request.get_data()))

    app.add_url_rule("/", view_func=taken if required else ave.required(taken), methods=["POST"])
    return app


def count_body(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(len(request.body)))


class Counting(APIView):
    """A view of REST framework."""

    authentication_classes = (AveAuthentication,)

    def post(self, request: Any) -> DrfResponse:
        """Count what came."""
        return DrfResponse(len(request.data))


WSGI_INTEGRATIONS: dict[str, Callable[[Verifier], Any]] = {
    "wsgi": make_wsgi,
    "flask": lambda verifier: make_flask(verifier, required=True),
    "flask-decorator": lambda verifier: make_flask(verifier, required=False),
    "django": lambda _verifier: WSGIHandler(),
}


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("make", WSGI_INTEGRATIONS.values(), ids=WSGI_INTEGRATIONS)
def test_htp_051_a_wsgi_middleware_refuses_before_the_body_is_read(
    make: Callable[[Verifier], Any], headers: Headers, shared_verifier: Verifier
) -> None:
    settings = {"VERIFIER": shared_verifier, "REQUIRED": True}
    with override_settings(AVEVERIFY=settings, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=(path("", count_body),)):
        status, reads = post_environ(make(shared_verifier), headers)

    assert status == (400 if headers == MALFORMED else 401)
    assert reads == 0


@pytest.mark.parametrize("view", [ave_required(count_body), Counting.as_view()], ids=["decorator", "drf"])
@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_htp_051_a_view_of_django_refuses_before_the_body_is_read(
    view: Callable[..., Any], headers: Headers, shared_verifier: Verifier
) -> None:
    with override_settings(
        AVEVERIFY={"VERIFIER": shared_verifier, "REQUIRED": True}, MIDDLEWARE=[], ROOT_URLCONF=(path("", view),)
    ):
        status, reads = post_environ(WSGIHandler(), headers)

    assert status == (400 if headers == MALFORMED else 401)
    assert reads == 0


def post_environ(app: Any, headers: Headers) -> tuple[int, int]:
    """Send a body that is none of JSON; return the status and how often it was read."""
    body, server = Unread(b"{" * CHUNK_BYTES), Server()
    environ = wsgi_environ(Asked(headers, "POST")) | {
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(CHUNK_BYTES),
        "wsgi.input": body,
    }
    server.call(app, environ)
    return int(cast("tuple[str, Any]", server.head)[0][:3]), body.reads


@post("/")
async def depending(data: Posted, identity: CurrentIdentity) -> str:
    return f"{identity.subject}: {len(data)}"


@pytest.mark.parametrize(("required", "status", "reads"), [(True, 401, 0), (False, 400, 2)], ids=["plugin", "alone"])
def test_htp_051_litestars_dependency_alone_is_solved_after_the_body_as_its_page_says(
    required: bool,  # noqa: FBT001 - of the plugin
    status: int,
    reads: int,
    shared_verifier: Verifier,
) -> None:
    plugin, upload = AveAuthPlugin(shared_verifier, required=required), Upload(b"{", b"more")

    assert upload.post(Litestar([depending], plugins=[plugin], logging_config=None)) == status
    assert upload.reads == reads


def test_htp_051_django_under_asgi_reads_first_but_behind_the_asgi_middleware_as_its_page_says(
    shared_verifier: Verifier,
) -> None:
    alone, behind = PatientUpload(b"x", b"y"), PatientUpload(b"x", b"y")
    settings = {"VERIFIER": shared_verifier, "REQUIRED": True}
    with override_settings(AVEVERIFY=settings, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=(path("", count_body),)):
        app = cast("asgi.ASGIApp", ASGIHandler())
        assert (alone.post(app), alone.reads) == (401, 2)
        integration = asgi.AveAuthMiddleware(app, shared_verifier, required=True)
        assert (behind.post(integration), behind.reads) == (401, 0)


# --- FastAPI --------------------------------------------------------------------------------------------------------


class Note(BaseModel):
    """What is posted."""

    text: str


class Caller(NamedTuple):
    """A user of the application."""

    name: str


def load_caller(identity: Identity) -> Caller:
    return Caller(identity.subject)


def find_tenant(identity: Annotated[Identity, Security(ave)]) -> str:
    return f"tenant of {identity.subject}"


def find_deeper(tenant: Annotated[str, Depends(find_tenant)]) -> str:
    return tenant


async def count_first(request: Request) -> int:
    return len(await request.body())


async def post_note(note: Note) -> str:
    return note.text


async def post_own(note: Note, identity: Annotated[Identity, Security(ave)]) -> str:
    return f"{identity.subject}: {note.text}"


async def post_bytes(data: Annotated[bytes, Body()], _identity: Annotated[Identity, Security(ave)]) -> int:
    return len(data)


async def post_deep(note: Note, tenant: Annotated[str, Depends(find_deeper)]) -> str:
    return f"{tenant}: {note.text}"


async def post_as_user(note: Note, caller: Annotated[Caller, Security(ave.user(load_caller))]) -> str:
    return f"{caller.name}: {note.text}"


async def post_counted(_size: Annotated[int, Depends(count_first)], _me: Annotated[Identity, Security(ave)]) -> None:
    return None


async def post_raw(request: Request, _identity: Annotated[Identity, Security(ave)]) -> int:
    return len(await request.body())


def of_route(endpoint: Callable[..., Any], **settings: Any) -> Callable[[FastAPI], None]:
    """An application with one route."""
    return lambda app: app.add_api_route("/", endpoint, methods=["POST"], **settings)


def of_router(app: FastAPI) -> None:
    router = APIRouter(dependencies=[Security(ave)])
    router.add_api_route("/", post_note, methods=["POST"])
    app.include_router(router)


def of_include(app: FastAPI) -> None:
    router = APIRouter()
    router.add_api_route("/", post_note, methods=["POST"])
    app.include_router(router, dependencies=[Depends(ave)])


def of_nested_include(app: FastAPI) -> None:
    inner, outer = APIRouter(), APIRouter()
    inner.add_api_route("/", post_note, methods=["POST"])
    outer.include_router(inner)
    app.include_router(outer, dependencies=[Security(ave)])


def of_application(app: FastAPI) -> None:
    app.router.dependencies.append(Security(ave))
    app.add_api_route("/", post_note, methods=["POST"])


def of_mounted(app: FastAPI) -> None:
    mounted = FastAPI()
    mounted.add_api_route("/", post_own, methods=["POST"])
    app.mount("/", mounted)


PLACES: dict[str, Callable[[FastAPI], None]] = {
    "parameter": of_route(post_own),
    "route": of_route(post_note, dependencies=[Security(ave)]),
    "bytes": of_route(post_bytes),
    "deep": of_route(post_deep),
    "user": of_route(post_as_user),
    "dependency-that-reads": of_route(post_counted),
    "view-that-reads": of_route(post_raw),
    "optional": of_route(post_note, dependencies=[Security(ave.optional), Security(ave)]),
    "router": of_router,
    "include": of_include,
    "nested-include": of_nested_include,
    "application": of_application,
    "mounted": of_mounted,
}


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    ave.install(app)
    return app


@pytest.mark.parametrize("body", [b"{", b"x" * CHUNK_BYTES], ids=["malformed", "huge"])
@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_htp_051_fastapi_refuses_before_the_body_is_read_wherever_the_dependency_stands(
    place: Callable[[FastAPI], None], headers: Headers, body: bytes, app: FastAPI
) -> None:
    place(app)
    upload = Upload(body, b"more")

    assert upload.post(app, headers) == (400 if headers == MALFORMED else 401)
    assert upload.reads == 0


@pytest.mark.parametrize("name", [name for name in PLACES if name != "bytes"])
def test_a_good_token_gets_the_whole_body_read(name: str, app: FastAPI) -> None:
    PLACES[name](app)
    upload = Upload(b'{"te', b'xt": "hel', b'lo"}')

    assert upload.post(app, bearer(ADA)) == 200
    assert upload.reads >= 3


@pytest.mark.parametrize("headers", [(), bearer(ADA)], ids=["anonymous", "ada"])
def test_htp_051_an_optional_dependency_lets_anonymous_posts_pass_and_refuses_a_bad_token_early(
    headers: Headers, app: FastAPI
) -> None:
    of_route(post_note, dependencies=[Security(ave.optional)])(app)
    good, bad = Upload(b'{"text": "hello"}'), Upload(b"{")

    assert good.post(app, headers) == 200
    assert bad.post(app, bearer(EXPIRED)) == 401
    assert bad.reads == 0


@pytest.mark.parametrize(
    "rule",
    [ave.allow(lambda identity: identity.subject != "ada"), ave.any_scope("read", "write")],
    ids=["predicate", "one of several scopes"],
)
def test_htp_051_a_rule_of_one_view_refuses_before_the_body_is_read(rule: Any, app: FastAPI) -> None:
    of_route(post_note, dependencies=[Security(rule)])(app)
    bad, good = Upload(b"{"), Upload(b'{"text": "hello"}')

    assert bad.post(app, bearer(ADA)) == 403
    assert bad.reads == 0
    assert good.post(app, bearer(ISSUER.token(sub="grace", scope="write"))) == 200


@pytest.mark.parametrize("scopes", [["read"], ["read", "write"]], ids=["one", "two"])
def test_htp_051_a_missing_scope_is_refused_before_the_body_is_read(scopes: list[str], app: FastAPI) -> None:
    of_route(post_note, dependencies=[Security(find_tenant, scopes=scopes)])(app)
    reader = bearer(ISSUER.token(sub="ada", scope="openid read"))
    bad, good = Upload(b"{"), Upload(b'{"text": "hello"}')

    assert bad.post(app, bearer(ADA)) == 403
    assert bad.reads == 0
    assert good.post(app, reader) == (200 if scopes == ["read"] else 403)


def test_a_token_that_is_looked_at_early_is_judged_once(app: FastAPI) -> None:
    CHECKED.clear()
    of_route(post_note, dependencies=[Security(other)])(app)

    assert Upload(b'{"text": "hello"}').post(app, bearer(ADA)) == 200
    assert CHECKED == ["ada"]


def test_what_a_test_puts_in_place_of_the_dependency_is_asked_alone(app: FastAPI) -> None:
    of_route(post_own)(app)
    identity = ISSUER.verifier().verify(ISSUER.token(sub="grace"))
    app.dependency_overrides[ave] = lambda: identity
    upload = Upload(b'{"text": "hello"}')

    assert upload.post(app) == 200
    assert upload.sent[1]["body"] == b'"grace: hello"'


def test_what_a_test_puts_in_place_of_a_dependency_further_out_is_asked_alone(app: FastAPI) -> None:
    of_route(post_deep)(app)
    app.dependency_overrides[find_tenant] = lambda: "tenant of the test"

    assert Upload(b'{"text": "hello"}').post(app) == 200


def test_an_override_on_an_including_application_is_honoured(app: FastAPI) -> None:
    of_include(app)
    app.dependency_overrides[ave] = lambda: None

    assert Upload(b'{"text": "hello"}').post(app) == 200


def test_htp_051_middleware_that_copies_the_scope_does_not_hide_the_route(shared_verifier: Verifier) -> None:
    app = FastAPI(middleware=[Middleware(asgi.AveAuthMiddleware, verifier=shared_verifier, required=False)])
    ave.install(app)
    app.add_middleware(asgi.AveAuthMiddleware, verifier=shared_verifier, required=False)
    of_route(post_own)(app)
    upload = Upload(b"{")

    assert upload.post(app) == 401
    assert upload.reads == 0


def test_htp_051_an_application_in_starlette_refuses_early_by_itself(app: FastAPI) -> None:
    of_route(post_own)(app)
    upload = Upload(b"{")

    assert upload.post(Starlette(routes=[Mount("/notes", app)]), url="/notes/") == 401
    assert upload.reads == 0


def test_a_route_without_the_dependency_reads_its_body_as_before(app: FastAPI) -> None:
    of_route(post_note)(app)

    async def count(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app.add_route("/plain", count, methods=["POST"])

    assert Upload(b'{"text": "hello"}').post(app, bearer(EXPIRED)) == 200
    assert Upload(b"hello").post(app, bearer(EXPIRED), url="/plain") == 200


class Otherwise(AveAuth):
    """A dependency with a call of its own, whose parameters are for FastAPI to find."""

    async def __call__(self, connection: HTTPConnection, security_scopes: SecurityScopes) -> Identity:  # type: ignore[override]
        """Return who makes the request."""
        return await super().__call__(connection, security_scopes)


def test_a_class_with_a_call_of_its_own_is_asked_by_fastapi_alone(app: FastAPI) -> None:
    of_route(post_note, dependencies=[Security(Otherwise(ISSUER.verifier()))])(app)
    upload = Upload(b'{"text": "hello"}')

    assert upload.post(app) == 401
    assert upload.reads == 1


def test_htp_051_an_error_of_check_is_no_error_of_the_body(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    def fail(_identity: Identity) -> str | None:
        raise LookupError

    auth, app = AveAuth(shared_verifier, check=fail), FastAPI()
    auth.install(app)

    @app.post("/", dependencies=[Security(auth)])
    def view(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        return body

    with pytest.raises(LookupError):
        TestClient(app).post("/", json={}, headers=dict(bearer(tokens["good"])))


@pytest.mark.parametrize("app", [None, FastAPI, Starlette(), APIRouter()])
def test_htp_043_only_an_application_of_fastapi_is_installed_in(app: Any, shared_verifier: Verifier) -> None:
    with pytest.raises(ConfigurationError, match="a FastAPI application"):
        AveAuth(shared_verifier).install(app)


def test_htp_043_a_misspelt_option_of_install_is_named(shared_verifier: Verifier) -> None:
    options: dict[str, Any] = {"cache_header": True}
    with pytest.raises(ConfigurationError, match="cache_headers"):
        AveAuth(shared_verifier).install(FastAPI(), **options)


def test_without_install_fastapi_reads_first_as_its_page_says() -> None:
    app = FastAPI()
    of_route(post_own)(app)
    upload = Upload(b'{"text": ', b'"hello"}')

    assert upload.post(app) == 401
    assert upload.reads == 2


# --- a real server --------------------------------------------------------------------------------------------------


@pytest.fixture
def address(app: FastAPI) -> Iterator[tuple[str, int]]:
    """A server that lives for one test; it listens before it starts, so that no test has to wait."""
    of_route(post_own)(app)
    server = uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()
        server.should_exit = True
        thread.join()


def test_htp_051_uvicorn_and_fastapi_answer_24_mib_before_the_first_byte_of_them(address: tuple[str, int]) -> None:
    lines = ("POST / HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {HUGE_BYTES}")
    with socket.create_connection(address, timeout=10) as connection, connection.makefile("rb") as stream:
        connection.sendall("\r\n".join((*lines, "", "")).encode())

        assert stream.readline().split()[1] == b"401"
