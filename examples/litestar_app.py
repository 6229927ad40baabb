"""Litestar: an optional greeting, a page for signed-in users, and one that requires a scope.

    pip install "aveverify[litestar]" uvicorn
    AVEVERIFY_ISSUER=https://aveid.net AVEVERIFY_APPLICATION_ID=app_123 python examples/litestar_app.py

Without an issuer of your own: `python examples/local_issuer.py` in another terminal.
"""

import os
from typing import Any

import uvicorn
from litestar import Litestar, Request, get

from aveverify import Identity, Verifier
from aveverify.litestar import AveAuthPlugin, requires_authenticated, requires_scopes


@get("/me", guards=[requires_authenticated])
async def me(request: Request[Identity, Any, Any]) -> dict[str, Any]:
    return dict(request.user.to_convex())


def make_app(verifier: Verifier) -> Litestar:
    return Litestar([me, hello, reports], plugins=[AveAuthPlugin(verifier, required=False)])


@get("/hello")
async def hello(request: Request[Identity | None, Any, Any]) -> dict[str, str | None]:
    return {"hello": request.user.name if request.user else "stranger"}


@get("/reports", guards=[requires_scopes("reports:read")])
async def reports(request: Request[Identity, Any, Any]) -> dict[str, Any]:
    return {"for": request.user.subject, "reports": []}


if __name__ == "__main__":
    uvicorn.run(make_app(Verifier.from_env()), port=int(os.environ.get("PORT", "8000")))
