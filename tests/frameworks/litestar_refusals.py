"""Requests that a Litestar application refuses, for the tests of what answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from litestar import Litestar, Request, Response, asgi, get
from litestar.datastructures import State  # noqa: TC002 - Litestar evaluates annotations

from aveverify import Identity, Reason, Refusal, Verifier, get_user_identity
from aveverify.errors import AveVerifyError
from aveverify.litestar import (
    AveAuthPlugin,
    CurrentIdentity,
    OptionalIdentity,
    RefusedError,
    requires_authenticated,
    requires_scopes,
)

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send


@get("/")
async def index(optional_identity: OptionalIdentity) -> str:
    return "anonymous" if optional_identity is None else optional_identity.subject


@get("/me")
async def me(identity: CurrentIdentity) -> str:
    return identity.subject


@get("/members", guards=[requires_authenticated])
async def members() -> str:
    raise NotImplementedError


@get("/readers", guards=[requires_scopes("read")])
async def readers() -> str:
    raise NotImplementedError


@get("/user")
async def user_of(request: Request[Identity, frozenset[str], State]) -> str:
    return request.user.subject


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    del receive, send
    get_user_identity(scope)


HANDLERS = [index, me, members, readers, user_of, mounted]


class Case(NamedTuple):
    """A request that is refused.

    Attributes:
        path: Where it goes.
        token: The kind of its token.
        status: That of the refusal.
        reason: Its reason.
        options: Those of the plugin.
    """

    path: str
    token: str | None
    status: int
    reason: Reason | None
    options: dict[str, Any]


def nobody(_identity: Identity) -> None:
    """Find no user of any identity."""


def defer(**options: Any) -> dict[str, Any]:
    return {"on_invalid": "defer", "required": False} | options


CASES = {
    "no credentials": Case("/", None, 401, None, {}),
    "refused": Case("/", "expired", 401, Reason.EXPIRED, {}),
    "malformed": Case("/", "two words", 400, Reason.MALFORMED_AUTHORIZATION, {}),
    "scope missing": Case("/", "good", 403, Reason.INSUFFICIENT_SCOPE, {"scopes": ["write"]}),
    "not allowed": Case("/", "good", 403, Reason.NOT_ALLOWED, {"allow": lambda _identity: False}),
    "unknown user": Case("/", "good", 401, Reason.UNKNOWN_USER, {"load_user": nobody}),
    "banned": Case("/", "good", 401, Reason.REFUSED_BY_CHECK, {"check": lambda _identity: "banned"}),
    "guard": Case("/members", None, 401, None, {"required": False}),
    "guard, scope": Case("/readers", "good", 403, Reason.INSUFFICIENT_SCOPE, {"required": False}),
    "dependency": Case("/me", None, 401, None, {"required": False}),
    "deferred, dependency": Case("/me", "expired", 401, Reason.EXPIRED, defer()),
    "deferred, guard": Case("/members", "expired", 401, Reason.EXPIRED, defer()),
    "deferred, user": Case("/user", "expired", 401, Reason.EXPIRED, defer()),
    "deferred, unknown user": Case("/user", "good", 401, Reason.UNKNOWN_USER, defer(load_user=nobody)),
    "deferred, scope missing": Case("/user", "good", 403, Reason.INSUFFICIENT_SCOPE, defer(scopes=["write"])),
    "deferred, mounted application": Case("/mounted", "expired", 401, Reason.EXPIRED, defer()),
}
each_case = pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
# A few, where the kind of the refusal makes no difference.
some_cases = pytest.mark.parametrize(
    "case",
    [pytest.param(CASES[name], id=name) for name in ("no credentials", "refused", "guard, scope", "deferred, user")],
)


class Handler:
    """An exception handler that answers 418, and remembers the errors."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def __call__(self, _request: Request[Any, Any, Any], error: Exception) -> Response[str]:
        self.errors.append(error)
        return Response("own", status_code=418, media_type="text/plain")

    def __deepcopy__(self, _memo: object) -> Handler:
        # Litestar copies the handlers of a layer.
        return self

    @property
    def refused(self) -> RefusedError:
        """The one error, a refusal."""
        (error,) = self.errors
        assert isinstance(error, RefusedError)
        return error


def make_app(verifier: Verifier, case: Case, *, handlers: Any = HANDLERS, **settings: Any) -> Litestar:
    plugin = AveAuthPlugin(verifier, **({"required": True} | case.options))
    return Litestar(handlers, plugins=[plugin], **({"logging_config": None} | settings))


def headers_of(tokens: dict[str, str], kind: str | None) -> dict[str, str]:
    return {} if kind is None else {"Authorization": f"Bearer {tokens.get(kind, kind)}"}


def check(refused: RefusedError, case: Case) -> None:
    """What an exception handler finds at a refusal."""
    assert refused.reason is case.reason
    assert isinstance(refused.refusal, Refusal)
    assert refused.refusal.reason is case.reason
    assert refused.refusal.status == refused.status_code == case.status
    assert refused.detail == refused.refusal.description
    assert refused.headers == dict(refused.refusal.headers)
    if case.reason is None:
        assert refused.error is None
    else:
        assert isinstance(refused.error, AveVerifyError)
        assert refused.error.reason is case.reason
