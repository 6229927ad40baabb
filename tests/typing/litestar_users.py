"""Litestar: the types of user and auth are those that a handler names."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from litestar import Litestar, Request, Response, get

from aveverify import AveVerifyError, Identity, Reason, Refusal, Verifier
from aveverify.litestar import (
    AveAuthMiddleware,
    AveAuthPlugin,
    CurrentIdentity,
    OptionalIdentity,
    RefusedError,
    allow,
    exception_handlers,
    provide_identity,
    provide_optional_identity,
    requires_any_scope,
    requires_authenticated,
    requires_scopes,
)

if TYPE_CHECKING:
    from litestar.datastructures import State
    from litestar.types import Scope


async def is_pro(identity: Identity) -> bool:
    return "plan" in identity


@get("/", guards=[requires_authenticated, requires_scopes("read"), requires_any_scope("a", "b"), allow(is_pro)])
async def endpoint(
    request: Request[Identity, frozenset[str], State], identity: CurrentIdentity, optional_identity: OptionalIdentity
) -> str:
    assert_type(identity, Identity)
    assert_type(optional_identity, Identity | None)
    assert_type(request.user, Identity)
    assert_type(request.auth, frozenset[str])
    return identity.subject


def answer(_request: Request[Identity, frozenset[str], State], error: RefusedError) -> Response[bytes]:
    assert_type(error.refusal, Refusal)
    assert_type(error.reason, Reason | None)
    assert_type(error.error, AveVerifyError | None)
    return error.response


async def find_later(_identity: Identity) -> str | None:
    return None


def check(verifier: Verifier, scope: Scope) -> None:
    assert_type(provide_identity(scope), Identity)
    assert_type(provide_optional_identity(scope), Identity | None)
    Litestar(
        [endpoint],
        plugins=[AveAuthPlugin(verifier, required=True, load_user=find_later, scopes=["read"])],
        middleware=[AveAuthMiddleware.define(verifier, required=True)],
        exception_handlers={**exception_handlers, RefusedError: answer},
    )
    assert_type(AveAuthPlugin(verifier, required=True).verifier, Verifier)
    allow("pro")  # type: ignore[arg-type]
    AveAuthPlugin(verifier)  # type: ignore[call-arg]
    AveAuthPlugin(verifier, required=True, scope=["read"])  # type: ignore[call-arg]
