"""Litestar: the types of user and auth are those that a handler names."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from litestar import Litestar, Request, get

from aveverify import Identity, Verifier
from aveverify.litestar import (
    AveAuthMiddleware,
    AveAuthPlugin,
    CurrentIdentity,
    OptionalIdentity,
    exception_handlers,
    provide_identity,
    provide_optional_identity,
    requires_authenticated,
    requires_scopes,
)

if TYPE_CHECKING:
    from litestar.datastructures import State
    from litestar.types import Scope


@get("/", guards=[requires_authenticated, requires_scopes("read")])
async def endpoint(
    request: Request[Identity, frozenset[str], State], identity: CurrentIdentity, optional_identity: OptionalIdentity
) -> str:
    assert_type(identity, Identity)
    assert_type(optional_identity, Identity | None)
    assert_type(request.user, Identity)
    assert_type(request.auth, frozenset[str])
    return identity.subject


async def find_later(_identity: Identity) -> str | None:
    return None


def check(verifier: Verifier, scope: Scope) -> None:
    assert_type(provide_identity(scope), Identity)
    assert_type(provide_optional_identity(scope), Identity | None)
    Litestar(
        [endpoint],
        plugins=[AveAuthPlugin(verifier, required=True, load_user=find_later, scopes=["read"])],
        middleware=[AveAuthMiddleware.define(verifier, required=True)],
        exception_handlers=exception_handlers,
    )
    AveAuthPlugin(verifier)  # type: ignore[call-arg]
    AveAuthPlugin(verifier, required=True, scope=["read"])  # type: ignore[call-arg]
