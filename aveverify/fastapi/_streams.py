"""FastAPI: a response that ends with the tokens which the dependencies of its request have found (HTP-042)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from aveverify._core.identity import Identity
from aveverify._http.ending_response import EndingResponse
from aveverify.fastapi._request_state import find_request_state, identity_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from aveverify._http.policy import AuthPolicy


class DependentResponse(EndingResponse):
    """A response that ends with its token, which a dependency finds once the request is served.

    Args:
        scope: The request.
        policy: The rules of the `AveAuth` that is installed.
        receive: Gives the client's messages.
        send: Takes the messages of the response.
    """

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope, policy: AuthPolicy, receive: Receive, send: Send) -> None:
        super().__init__(None, policy, receive, send)
        self._scope = scope

    def has_user(self, outcome: object) -> bool:
        """Tell whether a dependency has found the user that a scope shows, or may still find it.

        Args:
            outcome: What stands in the scope.

        Returns:
            Whether it has.
        """
        return outcome is None or any(outcome is identity for identity in self._find_identities())

    @property
    def identity(self) -> Identity | None:
        """The user that the first dependency has found; None without one, and from the end of the first token on."""
        return None if self.has_expired else next(iter(self._find_identities()), None)

    @property
    def _expires_at(self) -> float:
        return min((identity.expires_at for identity in self._find_identities()), default=inf)

    def _find_identities(self) -> list[Identity]:
        state = find_request_state(self._scope)
        results = () if state is None else state.results.values()
        return [identity for result in results if (identity := identity_of(result)) is not None]
