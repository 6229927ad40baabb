"""FastAPI: the types of dependencies, and their options."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Annotated, assert_type

from fastapi import APIRouter, FastAPI, Security

from aveverify import Identity, Reason, Refusal, Verifier
from aveverify.fastapi import AuthorizedIdentity, AveAuth, OptionalAveAuth, RefusedError, UserDependency

if TYPE_CHECKING:
    from fastapi.security import SecurityScopes
    from starlette.requests import HTTPConnection


class User:
    """A user of an application."""


def find(_identity: Identity) -> User | None:
    return None


async def find_later(_identity: Identity) -> User | None:
    return None


async def is_pro(identity: Identity) -> bool:
    return identity.email_verified is True


def check(verifier: Verifier, error: RefusedError, connection: HTTPConnection, scopes: SecurityScopes) -> None:
    ave = AveAuth(verifier, scopes=["read"], realm="here", check=lambda identity: identity.email)
    assert_type(ave.optional, OptionalAveAuth)
    assert_type(ave.user(find), UserDependency[User])
    assert_type(ave.user(find_later), UserDependency[User])
    assert_type(ave.optional.user(find), UserDependency[User | None])
    assert_type(ave.optional.user(find_later), UserDependency[User | None])
    assert_type(ave.allow(is_pro), AuthorizedIdentity[Identity])
    assert_type(ave.optional.allow(lambda identity: identity.email), AuthorizedIdentity[Identity | None])
    assert_type(ave.any_scope("a", "b"), AuthorizedIdentity[Identity])
    assert_type(ave.optional.any_scope("a"), AuthorizedIdentity[Identity | None])
    assert_type((error.reason, error.refusal), tuple[Reason | None, Refusal])
    awaited: Awaitable[Identity] = ave(connection, scopes)
    wrong: Awaitable[Identity] = ave.optional(connection, scopes)  # type: ignore[assignment]
    AveAuth(verifier, required=True)  # type: ignore[call-arg]
    app = FastAPI(dependencies=[Security(ave)])
    ave.install(app)
    router = APIRouter(responses=ave.responses)

    @router.get("/")
    def endpoint(
        identity: Annotated[Identity, Security(ave)], user: Annotated[User, Security(ave.user(find))]
    ) -> tuple[str | None, User, object]:
        return identity.email, user, (awaited, wrong)
