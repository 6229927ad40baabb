"""Flask: bare, behind our middleware, and with `before_request`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask, abort, g, request

from aveverify import AveVerifyError, Verifier
from aveverify.wsgi import AveAuthMiddleware
from benchmarks.contestants import Verify
from benchmarks.frameworks import BODY, PATH, Application, Kit, NoOpWSGI, Variant, bearer
from benchmarks.frameworks.least import LeastWSGI


def app(before: Callable[[], None] | None = None) -> Flask:
    """The application with its one view."""
    application = Flask("benchmarks")
    if before is not None:
        application.before_request(before)

    @application.get(PATH)
    def view() -> str:
        return BODY

    return application


def behind(middleware: Any, **options: Any) -> Application:
    """The application behind a WSGI middleware."""
    application: Any = app()
    application.wsgi_app = middleware(application.wsgi_app, **options)
    return application


def our_hook(verifier: Verifier) -> Callable[[], None]:
    """Our verifier in `before_request`."""

    def verify() -> None:
        try:
            g.user = verifier.verify_header(request.headers.get("Authorization"))
        except AveVerifyError:
            abort(401)

    return verify


def pyjwt_hook(check: Verify) -> Callable[[], None]:
    """PyJWT in `before_request`."""

    def verify() -> None:
        try:
            g.user = check(bearer(request.headers.get("Authorization")))
        except Exception:
            abort(401)

    return verify


def variants(kit: Kit) -> Iterator[Variant]:
    """Every application of this framework."""
    yield Variant("bare", "Flask", app(), refuses=False)
    yield Variant("no-op", "WSGI middleware", behind(NoOpWSGI), refuses=False)
    yield Variant("warm", "the least, in one function", behind(LeastWSGI, verifier=kit.warm))
    for setting, verifier in (("warm", kit.warm), ("cold", kit.cold)):
        yield Variant(setting, "aveverify.wsgi", behind(AveAuthMiddleware, verifier=verifier, required=True))
        yield Variant(setting, "aveverify in before_request", app(our_hook(verifier)))
    yield Variant("cold", "PyJWT in before_request", app(pyjwt_hook(kit.pyjwt)))
