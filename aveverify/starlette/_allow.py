"""Starlette: `allow`, a decorator for endpoints that only some users may reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketState

from aveverify._core.identity import Identity
from aveverify._http.asgi_response import POLICY_VIOLATION, can_deny
from aveverify._http.auth_options import Allow
from aveverify._http.auth_record import record_outcome
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.option_checks import check_view, is_coroutine_function
from aveverify._http.policy import POLICY_KEY, REFUSALS, AuthPolicy, Denial, require_allowed
from aveverify._http.request_identity import get_user_identity
from aveverify._http.view_demand import ViewDemand, make_demand
from aveverify._http.websocket import LiveConnection
from aveverify.errors import ConfigurationError, Problem
from aveverify.starlette._refusals import RefusedResponse, make_response

if TYPE_CHECKING:
    from starlette.types import Scope

ParametersT = ParamSpec("ParametersT")

_CLASS_ADVICE: Final = "decorate its methods, such as `get`"


def any_identity(_identity: Identity) -> bool:
    """Allow every verified identity: what `allow` asks by default, so that None is refused as a mistake."""
    return True


def allow(
    predicate: Allow = any_identity, *, scopes: Sequence[str] = (), any_scopes: Sequence[str] = ()
) -> Callable[[Callable[ParametersT, Any]], Callable[ParametersT, Any]]:
    """Let only some users reach an endpoint: `@allow(lambda identity: identity.get("plan") == "pro")`.

    `@allow()` lets every verified user reach it. For functions, plain or coroutine functions, of requests and
    WebSockets, and for methods of `HTTPEndpoint`, behind `AveAuthMiddleware` or `AveAuthBackend`. Starlette runs a
    plain endpoint in a thread, as without the decorator.

    Args:
        predicate: Called with the identity; a false value refuses with 403 (`NOT_ALLOWED`). It may be a coroutine
            function. By default every identity is allowed.
        scopes: Scopes that the token must hold, all of them.
        any_scopes: Scopes of which the token must hold one.

    Returns:
        The decorator. A bad token is refused before the endpoint runs, even with `on_invalid="defer"`. A refused
        request is answered as by the middleware: 401 without credentials, 403 with the challenge, or what the
        application's exception handlers make of the `RefusedError`. A WebSocket is refused before it is accepted; after
        that, it is closed with code 1008.

    Raises:
        ConfigurationError: An argument is not what it must be, such as None for the predicate, or a class is decorated.

    Source: RFC 6750 §3.1; HTP-030; HTP-036; HTP-043.
    """
    if predicate is None:
        # Such as what a function without `return` makes.
        raise ConfigurationError(Problem.OUT_OF_RANGE, "allow", "a function of an identity")
    demand = make_demand(scopes, any_scopes, predicate, required=True, uses_identity=True)

    def decorate(endpoint: Callable[ParametersT, Any]) -> Callable[ParametersT, Any]:
        check_view(endpoint, _CLASS_ADVICE)
        is_async = is_coroutine_function(endpoint)

        @wraps(endpoint)
        async def guarded(*args: ParametersT.args, **kwargs: ParametersT.kwargs) -> object:
            connection = _find_connection((*args, *kwargs.values()))
            denial = await _decide(demand, connection.scope)
            if denial is None:
                return await (endpoint(*args, **kwargs) if is_async else run_in_threadpool(endpoint, *args, **kwargs))
            if isinstance(connection, WebSocket):
                await _refuse_websocket(connection, denial)
                return None
            return RefusedResponse(denial, _policy_of(demand, connection.scope), hides_user=False)

        return guarded

    return decorate


def _policy_of(demand: ViewDemand, scope: Scope) -> AuthPolicy:
    """Return the rules of the middleware in front, with those of the endpoint."""
    policy: AuthPolicy = scope[POLICY_KEY]
    policy = policy.with_scopes(demand.scopes, demand.any_scopes)
    return policy if demand.allow is None else policy.with_allow(demand.allow)


async def _decide(demand: ViewDemand, scope: Scope) -> Denial | None:
    """Decide whether a request may reach the endpoint; a refusal is logged and recorded.

    A refusal that the middleware has deferred is decided here: between the middleware and the endpoint of a mounted
    application, Starlette would make a failure of what the endpoint raises (HTP-036).
    """
    try:
        identity = get_user_identity(scope)
    except REFUSALS as error:
        # The middleware has logged what it deferred.
        policy = _policy_of(demand, scope)
        denial = policy.make_denial(error)
        record_outcome(scope, policy, denial)
        return denial
    policy = _policy_of(demand, scope)
    if identity is None:
        denial = policy.deny(None)
    else:
        try:
            policy.scopes.check(identity)
            require_allowed(await policy.calls.call_async(demand.allow or any_identity, identity))
            live = scope.get(LIVE_KEY)
            if isinstance(live, LiveConnection):
                # HTP-030: a further token of a WebSocket must meet these rules, too.
                await live.add_identity(identity, policy)
        except REFUSALS as error:
            denial = policy.deny(error)
        else:
            return None
    record_outcome(scope, policy, denial)
    return denial


def _find_connection(arguments: Iterable[object]) -> HTTPConnection:
    for argument in arguments:
        if isinstance(argument, HTTPConnection):
            return argument
    raise ConfigurationError(Problem.NOT_A_VIEW, "what `allow` decorates", "it must take the request or WebSocket")


async def _refuse_websocket(websocket: WebSocket, denial: Denial) -> None:
    if websocket.application_state is WebSocketState.CONNECTING and can_deny(websocket.scope):
        await websocket.send_denial_response(make_response(denial))
    else:
        await websocket.close(POLICY_VIOLATION)
