"""What the scope of a WebSocket shows of its user: the identity, and what a framework makes of it, at every moment.

Knows no framework. HTP-041; HTP-046.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aveverify._core.identity import Identity
from aveverify._http.ending_connection import EndingConnection
from aveverify._http.websocket_scope import LiveValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from aveverify._http.asgi_types import Receive, Scope, Send
    from aveverify._http.policy import AuthPolicy


class ShownIdentity(EndingConnection):
    """The user of a WebSocket, as scopes show it.

    Args:
        identity: The user when the WebSocket was opened.
        policy: The rules that every further token must meet; None until the first dependency adds them.
        receive: Gives the messages of the server.
        send: Takes messages for the server.
        closes: Whether the connection ends by itself when its token expires.
    """

    __slots__ = ("_absent", "_places", "_shown")

    def __init__(
        self, identity: Identity | None, policy: AuthPolicy | None, receive: Receive, send: Send, *, closes: bool
    ) -> None:
        super().__init__(identity, policy, receive, send, closes=closes)
        # What scopes show of the user, what they show where there is none, and where they show it.
        self._shown: dict[str, Any] = {"identity": identity}
        self._absent: dict[str, Any] = {"identity": None}
        self._places: list[tuple[Scope, str, str]] = []

    def show(self, scope: Scope, members: dict[str, Any], absent: dict[str, Any]) -> None:
        """Let a scope show what a framework makes of the user; for its middleware.

        Args:
            scope: The framework's scope.
            members: What it makes of the present user, by the name of the member.
            absent: What it shows where there is no user.
        """
        self._shown |= members
        self._absent |= absent
        for name in members:
            self.show_in(scope, name, name)

    def show_in(self, mapping: Scope, key: str, name: str = "identity") -> None:
        """Let a scope, or its state, show a member of the present user, by whatever token that changes.

        Args:
            mapping: The scope or its state.
            key: The key there.
            name: What to show.
        """
        place = (mapping, key, name)
        if not any(known[0] is mapping and known[1] == key for known in self._places):
            self._places.append(place)
        self._fill(*place)

    def _fill(self, mapping: Scope, key: str, name: str) -> None:
        # None stays None: nothing that stands for it could pass for it (`is None`) in a copy.
        mapping[key] = None if self._shown[name] is None else LiveValue(partial(self._look, name))

    def _look(self, name: str) -> Any:  # noqa: ANN401 - the framework's own
        return (self._absent if self.has_expired else self._shown)[name]

    def _show_new(self, identity: Identity, introduce: Callable[[], None] | None) -> None:
        if introduce is not None:
            introduce()
        self._identity = self._shown["identity"] = identity
        for place in self._places:
            self._fill(*place)
