"""Starlette: bare, behind us, and behind what else is usual."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aveverify import AveVerifyError, Verifier
from aveverify.asgi import AveAuthMiddleware
from benchmarks.contestants import Verify
from benchmarks.frameworks import BODY, PATH, Application, Kit, NoOpASGI, Variant, bearer
from benchmarks.frameworks.least import LeastASGI

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request


async def view(_request: Request) -> Response:
    """The one view."""
    return PlainTextResponse(BODY)


def refuse(*_arguments: object) -> Response:
    """The response of the alternatives to a wrong token."""
    return PlainTextResponse("unauthorized", 401)


class OurBackend(AuthenticationBackend):
    """Our verifier in Starlette's own authentication middleware."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        """Verify the header's token."""
        try:
            identity = await self._verifier.verify_header_async(conn.headers.get("authorization"))
        except AveVerifyError as error:
            raise AuthenticationError from error
        if identity is None:
            raise AuthenticationError
        return AuthCredentials(["authenticated"]), SimpleUser(identity.subject)


class PyJWTBackend(AuthenticationBackend):
    """PyJWT in Starlette's own authentication middleware."""

    def __init__(self, verify: Verify) -> None:
        self._verify = verify

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        """Verify the header's token."""
        try:
            claims: Any = self._verify(bearer(conn.headers.get("authorization")))
        except Exception as error:
            raise AuthenticationError from error
        return AuthCredentials(["authenticated"]), SimpleUser(claims["sub"])


class BaseNoOp(BaseHTTPMiddleware):
    """Starlette's convenient middleware, doing nothing."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        """Call the application unchanged."""
        answer: Response = await call_next(request)
        return answer


class BasePyJWT(BaseHTTPMiddleware):
    """PyJWT in Starlette's convenient middleware."""

    def __init__(self, app: Application, verify: Verify) -> None:
        super().__init__(app)
        self._verify = verify

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        """Verify the header's token."""
        try:
            request.state.claims = self._verify(bearer(request.headers.get("authorization")))
        except Exception:
            return refuse()
        answer: Response = await call_next(request)
        return answer


def app(*middleware: Middleware) -> Application:
    """The application, with its middleware stack built."""
    return Starlette(routes=[Route(PATH, view)], middleware=list(middleware))


def variants(kit: Kit) -> Iterator[Variant]:
    """Every application of this framework."""
    yield Variant("bare", "Starlette", app(), refuses=False)
    yield Variant("no-op", "ASGI middleware", app(Middleware(NoOpASGI)), refuses=False)
    yield Variant("no-op", "BaseHTTPMiddleware", app(Middleware(BaseNoOp)), refuses=False)
    yield Variant("warm", "the least, in one function", app(Middleware(LeastASGI, verifier=kit.warm)))
    for setting, verifier in (("warm", kit.warm), ("cold", kit.cold)):
        yield Variant(setting, "aveverify.asgi", app(Middleware(AveAuthMiddleware, verifier=verifier, required=True)))
        yield Variant(
            setting,
            "aveverify in AuthenticationMiddleware",
            app(Middleware(AuthenticationMiddleware, backend=OurBackend(verifier), on_error=refuse)),
        )
    yield Variant(
        "cold",
        "PyJWT in AuthenticationMiddleware",
        app(Middleware(AuthenticationMiddleware, backend=PyJWTBackend(kit.pyjwt), on_error=refuse)),
    )
    yield Variant("cold", "PyJWT in BaseHTTPMiddleware", app(Middleware(BasePyJWT, verify=kit.pyjwt)))
