"""FastAPI: bare, behind our middleware, and with a dependency that verifies."""

# No postponed annotations here: FastAPI reads them, and they name what is local to a function.
from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from aveverify import AveVerifyError
from aveverify.asgi import AveAuthMiddleware
from benchmarks.contestants import Verify
from benchmarks.frameworks import BODY, PATH, Application, Kit, NoOpASGI, Variant

scheme = HTTPBearer()


def app(middleware: Any = None, **options: Any) -> Application:
    """The application with a view without parameters."""
    application = FastAPI(openapi_url=None)

    @application.get(PATH, response_class=PlainTextResponse)
    async def view() -> str:
        return BODY

    if middleware is not None:
        application.add_middleware(middleware, **options)
    return application


def with_user(annotation: Any) -> Application:
    """The application with a view with the user as parameter."""
    application = FastAPI(openapi_url=None)

    async def view(**_user: object) -> str:
        return BODY

    parameter = Parameter("_user", Parameter.KEYWORD_ONLY, annotation=annotation)
    view.__signature__ = Signature([parameter])  # type: ignore[attr-defined]
    application.get(PATH, response_class=PlainTextResponse)(view)
    return application


def with_dependency(dependency: Callable[..., Any]) -> Application:
    """The application with a view with a dependency as parameter."""
    return with_user(Annotated[object, Depends(dependency)])


def our_dependency(kit: Kit, setting: str) -> Callable[..., Any]:
    """Our verifier as a dependency."""
    verifier = kit.warm if setting == "warm" else kit.cold

    async def user(request: Request) -> Any:
        try:
            return await verifier.verify_header_async(request.headers.get("authorization"))
        except AveVerifyError as error:
            raise HTTPException(401) from error

    return user


def pyjwt_dependency(verify: Verify) -> Callable[..., Any]:
    """PyJWT as a dependency, the way that tutorials show it."""

    async def user(
        credentials: Annotated[HTTPAuthorizationCredentials, Depends(scheme)],
    ) -> Any:
        try:
            return verify(credentials.credentials)
        except Exception as error:
            raise HTTPException(401) from error

    return user


def variants(kit: Kit) -> Iterator[Variant]:
    """Every application of this framework."""
    yield Variant("bare", "FastAPI", app(), refuses=False)
    yield Variant("no-op", "ASGI middleware", app(NoOpASGI), refuses=False)
    for setting, verifier in (("warm", kit.warm), ("cold", kit.cold)):
        yield Variant(setting, "aveverify.asgi", app(AveAuthMiddleware, verifier=verifier, required=True))
        yield Variant(setting, "aveverify in a dependency", with_dependency(our_dependency(kit, setting)))
    yield Variant("cold", "PyJWT in a dependency", with_dependency(pyjwt_dependency(kit.pyjwt)))
