"""Starlette: an optional greeting, a page for signed-in users, and one that requires a scope.

    pip install "aveverify[starlette]" uvicorn
    AVEVERIFY_ISSUER=https://aveid.net AVEVERIFY_APPLICATION_ID=app_123 python examples/starlette_app.py

Without an issuer of your own: `python examples/local_issuer.py` in another terminal.
"""

from __future__ import annotations

import os

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from aveverify import Verifier, get_user_identity
from aveverify.starlette import AveAuthMiddleware, allow


async def hello(request: Request) -> JSONResponse:
    identity = get_user_identity(request)
    return JSONResponse({"hello": identity.name if identity else "stranger"})


async def me(request: Request) -> JSONResponse:
    return JSONResponse(request.user.to_convex())


@allow(scopes=["reports:read"])
async def reports(request: Request) -> JSONResponse:
    return JSONResponse({"for": request.user.subject, "reports": []})


def make_app(verifier: Verifier) -> Starlette:
    return Starlette(
        routes=[Route("/hello", hello), Route("/me", me), Route("/reports", reports)],
        middleware=[Middleware(AveAuthMiddleware, verifier=verifier, required=True, optional=["/hello"])],
    )


if __name__ == "__main__":
    uvicorn.run(make_app(Verifier.from_env()), port=int(os.environ.get("PORT", "8000")))
