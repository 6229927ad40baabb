"""Litestar: a request that the middleware refuses is answered by Litestar's own exception handlers.

They are called where the middleware stands, so that all middleware in front of it sees the response. HTP-034; HTP-044.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from litestar._asgi.utils import wrap_in_exception_handler
from litestar.types import Empty
from litestar.utils.scope.state import ScopeState

from aveverify._http.app_user import withhold
from aveverify._http.asgi_response import send_denial
from aveverify._http.current_identity import serving
from aveverify._http.policy import POLICY_KEY, REFUSALS
from aveverify._http.rate_limited_log import ESCAPED_REFUSAL
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify._http.shared_scope import PRIVATE, SharedScope, SharedState, copy_scope, copy_state
from aveverify.litestar._refusals import exception_handlers, make_exception

if TYPE_CHECKING:
    from aveverify._http.asgi_types import Receive, Scope, Send
    from aveverify._http.policy import AuthPolicy, Denial

# What the middleware sets for the application behind it, and what nothing in front sees.
OWN_MEMBERS: Final = PRIVATE.union(("auth", "user"))


async def answer_refused(policy: AuthPolicy, denial: Denial, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a refused connection by the exception handlers of its route, or as they are all answered.

    Litestar has no exception handlers for a WebSocket, which is denied or closed. A handler that reads the identity of
    a refused token gets the refusal as an exception; where it lets that pass, the response is ours, and the log has a
    warning.

    Args:
        policy: The rules that refuse.
        denial: The refusal.
        scope: The connection.
        receive: Receives the messages of the client.
        send: Sends the messages of the response.
    """
    state = ScopeState.from_scope(scope)  # type: ignore[arg-type] # Litestar's scope is a typed dictionary
    handlers = state.exception_handlers
    # The middleware may also stand around a Litestar application, where no router has found the handlers.
    if scope["type"] != "http" or handlers is Empty:
        await send_denial(denial, scope, receive, send)
        return
    state.exception_handlers = {**exception_handlers, **handlers}
    exception = make_exception(denial, "http")

    async def refuse(_scope: object, _receive: object, _send: object) -> NoReturn:
        raise exception

    answer: Any = wrap_in_exception_handler(refuse)
    shown = _withhold_user(scope, policy, denial)
    try:
        # HTP-044: `current_identity`, too, gives the refusal, not the user of a middleware further in front.
        with serving(shown):
            await answer(shown, receive, send)
    except REFUSALS as error:
        if error is not denial.error:
            raise
        policy.log.warning(ESCAPED_REFUSAL)
        await send_denial(denial, scope, receive, send)


def _withhold_user(scope: Scope, policy: AuthPolicy, denial: Denial) -> Scope:
    """Return a copy of a scope in which an exception handler finds no user, but the refusal."""
    state = copy_state(scope, SharedState)
    # HTP-010: that of a middleware in front is no identity of this request.
    dict.update(state, identity=None)
    members: Scope = {IDENTITY_KEY: None, POLICY_KEY: policy, "auth": frozenset(), "user": None, "state": state}
    shown = copy_scope(scope, members, SharedScope, OWN_MEMBERS)
    if denial.error is not None:
        # HTP-044: not the refused user that the middleware has found.
        withhold(shown, DeferredError(denial.error))
    return shown
