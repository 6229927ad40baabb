"""Starlette: the type of the user flows from `load_user`."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse, Response

from aveverify import Identity, Reason, Verifier, get_user_identity
from aveverify.starlette import AveAuthBackend, AveAuthMiddleware, RefusedError, allow, exception_handlers

if TYPE_CHECKING:
    from starlette.requests import Request


class User:
    """A user of an application."""


def load(_identity: Identity) -> User:
    return User()


def find(_identity: Identity) -> User | None:
    return None


async def load_later(_identity: Identity) -> User:
    return User()


async def find_later(_identity: Identity) -> User | None:
    return None


@allow(lambda identity: identity.email_verified, scopes=["read"], any_scopes=["a", "b"])
async def endpoint(request: Request, number: int) -> Response:
    return PlainTextResponse(f"{request.user.name} {number}")


def check(verifier: Verifier, request: Request, error: RefusedError) -> None:
    assert_type((error.reason, error.response), tuple[Reason | None, Response])
    endpoint(request, "text")  # type: ignore[arg-type]
    assert_type(get_user_identity(request), Identity | None)
    assert_type(AveAuthBackend(verifier, required=True), AveAuthBackend[Identity])
    assert_type(AveAuthBackend(verifier, required=True).get_user(request), Identity | None)
    assert_type(AveAuthBackend(verifier, required=True, load_user=load).get_user(request), User | None)
    assert_type(AveAuthBackend(verifier, required=True, load_user=find).get_user(request), User | None)
    assert_type(AveAuthBackend(verifier, required=True, load_user=load_later).get_user(request), User | None)
    assert_type(AveAuthBackend(verifier, required=True, load_user=find_later).get_user(request), User | None)
    AveAuthBackend(verifier)  # type: ignore[call-overload]
    AveAuthBackend(verifier, required=True, scope=["read"])  # type: ignore[call-overload]

    backend = AveAuthBackend(verifier, required=False, load_user=load, scopes=["read"], realm="here")
    Starlette(
        middleware=[
            Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.on_error),
            Middleware(AveAuthMiddleware, verifier=verifier, required=True, load_user=find_later),
        ],
        exception_handlers=exception_handlers,
    )
    Middleware(AveAuthMiddleware, verifier=verifier)  # type: ignore[call-arg]
