"""How a refusal reaches the client of an ASGI application: at once, after the application, or from its error handler.

Knows scopes and messages, and no framework. ASGI 3.0; HTTP-09; HTP-044.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from aveverify._core.refusal import ErrorResponse
from aveverify._http.app_user import withhold
from aveverify._http.auth_record import record_outcome
from aveverify._http.policy import POLICY_KEY, REFUSALS, AuthPolicy, Denial
from aveverify._http.request_identity import IDENTITY_KEY, DeferredError
from aveverify.errors import AveVerifyError

if TYPE_CHECKING:
    from aveverify._http.asgi_types import ASGIApp, Message, Receive, Scope, Send

Meet = Callable[["Scope", Any], Awaitable[Callable[[], None]]]
# Answers a refused connection.
Refuse = Callable[[Denial, "Scope", "Receive", "Send"], Awaitable[None]]

# RFC 6455 §7.4.1: the endpoint received something that violates its policy.
POLICY_VIOLATION: Final = 1008
_DENIAL: Final = "websocket.http.response"


async def send_error_response(response: ErrorResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a refusal: to a WebSocket as a denial where the server can, else by closing it before it is accepted."""
    if scope["type"] == "http":
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.start", "status": response.status, "headers": _encode_headers(response)})
        await send({"type": "http.response.body", "body": body})
        return
    await receive()  # websocket.connect, which every response must follow
    await deny_websocket(response, scope, send)


async def deny_websocket(response: ErrorResponse, scope: Scope, send: Send) -> None:
    """Refuse a WebSocket whose `websocket.connect` was received, and that is not accepted; see above."""
    if can_deny(scope):
        await send({"type": f"{_DENIAL}.start", "status": response.status, "headers": _encode_headers(response)})
        await send({"type": f"{_DENIAL}.body", "body": response.body})
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})


async def send_denial(denial: Denial, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the response to a refusal, as it is; see `send_error_response`."""
    await send_error_response(denial.response, scope, receive, send)


def _encode_headers(response: ErrorResponse) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in response.headers]


def can_deny(scope: Scope) -> bool:
    """Tell whether the server can refuse this WebSocket with an HTTP response."""
    return _DENIAL in (scope.get("extensions") or {})


async def serve_deferred(  # noqa: PLR0913, PLR0917 - one connection
    app: ASGIApp,
    deferred: DeferredError,
    policy: AuthPolicy,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    refuse: Refuse = send_denial,
) -> None:
    """Serve an HTTP request whose refusal is deferred: the response to it, if it escapes before another one began.

    Args:
        app: The application, to which the scope shows the refusal.
        deferred: The refusal.
        policy: The rules that refused it.
        scope: The connection.
        receive: Gives the client's messages.
        send: Takes the messages of the response.
        refuse: Answers the refusal that escapes.
    """
    began = False

    async def watched_send(message: Message) -> None:
        nonlocal began
        began = began or message["type"] == "http.response.start"
        await send(message)

    try:
        await app(scope, receive, watched_send)
    except REFUSALS as error:
        if began or error is not deferred.error:
            raise
        await refuse(policy.make_denial(error), scope, receive, send)


async def introduce(meet: Meet, scope: Scope) -> AveVerifyError | None:
    """Make the identity of a connection known to its framework, if the application admits its user.

    Args:
        meet: Loads the user, and returns what shows it to the framework.
        scope: The connection, with the identity.

    Returns:
        None, or the refusal.

    Source: HTP-044.
    """
    try:
        show = await meet(scope, scope[IDENTITY_KEY])
    except REFUSALS as error:
        return error.with_traceback(None)
    show()
    return None


async def refuse_user(  # noqa: PLR0913 - one connection
    app: ASGIApp,
    error: AveVerifyError,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    refuse: Refuse = send_denial,
) -> None:
    """Deny a connection whose user the application does not admit, or defer that; behind the ASGI middleware.

    Args:
        app: The application.
        error: The refusal.
        scope: The connection; keeps nothing of the identity.
        receive: Gives the client's messages.
        send: Takes the messages of the response.
        refuse: Answers the refusal.

    Source: HTP-044.
    """
    policy: AuthPolicy = scope[POLICY_KEY]
    outcome = policy.deny_or_defer(error) if scope["type"] == "http" else policy.deny(error)
    record_outcome(scope, policy, outcome)
    if isinstance(outcome, Denial):
        await refuse(outcome, scope, receive, send)
        return
    withhold(scope, outcome)
    await serve_deferred(app, outcome, policy, scope, receive, send, refuse=refuse)


def find_deferred_denial(scope: Scope, error: Exception) -> Denial | None:
    """Return the deferred refusal that escaped a view, for the exception handlers of frameworks.

    Args:
        scope: The connection.
        error: The exception that escaped.

    Returns:
        The refusal; None where the error is not the deferred refusal of this connection: the refusal of some other
        token, which the application verified by itself, is not this client's.
    """
    outcome = scope.get(IDENTITY_KEY)
    if not isinstance(error, AveVerifyError) or not isinstance(outcome, DeferredError) or outcome.error is not error:
        return None
    policy: AuthPolicy = scope[POLICY_KEY]
    return policy.make_denial(error)


def may_hide_body(scope: Scope) -> bool:
    """Tell whether an HTTP request may have a body that none of its headers announces, as HTTP/2 allows (RFC 9113)."""
    is_old = scope.get("http_version", "1.1") in ("1.0", "1.1")
    return not is_old and not any(name.lower() == b"content-length" for name, _ in scope["headers"])


def without_body(receive: Receive) -> Receive:
    """Hide the body of a request from the application: it receives an empty one, and then only the end.

    The messages of the client are received and dropped, one at a time.

    Source: HTP-027: a preflight has no body, but HTTP/2 allows one that no header announces.
    """
    began = False

    async def receive_nothing() -> Message:
        nonlocal began
        if not began:
            began = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return receive_nothing
