"""ASGI responses that tell caches by which request headers they differ. HTP-050; RFC 9110 §12.5.5."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import cache
from typing import TYPE_CHECKING, Final

from aveverify._http.asgi_request import AsgiRequest
from aveverify._http.caching import mark
from aveverify._http.policy import POLICY_KEY, AuthPolicy
from aveverify._http.request_identity import IDENTITY_KEY

if TYPE_CHECKING:
    from aveverify._http.asgi_types import ASGIApp, Message, Receive, Scope, Send

_MARKS: Final = frozenset({b"vary", b"cache-control"})


class MarkedApp:
    """An application whose HTTP responses tell caches by which request headers they differ (HTP-050).

    It stands behind a middleware, and in front of every cache of the application. Responses for which the middleware
    read no credentials stay as they are.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection.

        Args:
            scope: The connection, from the middleware.
            receive: Gives the client's messages.
            send: Takes the messages of the response.

        Returns:
            What the application returns, to be awaited.
        """
        policy = scope.get(POLICY_KEY)
        if (
            scope["type"] != "http"
            or not isinstance(policy, AuthPolicy)
            or (policy.exempt and AsgiRequest(scope).is_at(policy.exempt))
        ):
            return self._app(scope, receive, send)
        is_personal = scope[IDENTITY_KEY] is not None

        def send_marked(message: Message) -> Awaitable[None]:
            # No coroutine of its own, which would cost each message.
            return send(mark_message(message, policy, is_personal=is_personal))

        return self._app(scope, receive, send_marked)


def mark_message(message: Message, policy: AuthPolicy, *, is_personal: bool) -> Message:
    """Return a message; where a response begins, one that tells caches by which request headers it differs.

    Args:
        message: A message to the server.
        policy: Says which headers decide.
        is_personal: Whether the request had credentials.

    Returns:
        The same message, or a copy with further headers.
    """
    if message["type"] != "http.response.start":
        return message
    headers: list[tuple[bytes, bytes]] = [*message.get("headers", ())]
    if _MARKS.isdisjoint([name.lower() for name, _ in headers]):
        # Most responses have neither header yet.
        return {**message, "headers": [*headers, *_new_marks(policy.parameters.vary, is_personal=is_personal)]}
    said = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    marked = mark(said, policy.parameters.vary, is_personal=is_personal)
    return {**message, "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in marked]}


@cache
def _new_marks(vary: str, *, is_personal: bool) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in mark((), vary, is_personal=is_personal)]
