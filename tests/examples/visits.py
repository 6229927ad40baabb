"""What every example answers: the same three pages, asked with the same few tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from aveverify.testing import FakeIssuer


class Visit(NamedTuple):
    """One request, and what must come back.

    Attributes:
        path: The page.
        token: Which token is sent: none, a good one, one with the scope, or one with a flaw.
        status: The status.
        content: What the JSON body must hold; None for any.
    """

    path: str
    token: str | None
    status: int
    content: dict[str, Any] | None = None

    def headers(self, issuer: FakeIssuer) -> dict[str, str]:
        """The headers to send."""
        if self.token is None:
            return {}
        made = {"good": issuer.token, "reader": lambda: issuer.token(scope="openid reports:read")}
        token = made[self.token]() if self.token in made else issuer.forge(self.token)
        return {"Authorization": f"Bearer {token}"}

    def check(self, status: int, content: Any) -> None:  # noqa: ANN401 - JSON
        """Compare what came back."""
        assert status == self.status
        if self.content is not None:
            assert self.content.items() <= content.items()


ADA = {"subject": "user_ada", "name": "Ada Lovelace", "pictureUrl": "https://images.test/ada.png"}
VISITS = {
    "a stranger is greeted": Visit("/hello", None, 200, {"hello": "stranger"}),
    "a user is greeted by name": Visit("/hello", "good", 200, {"hello": "Ada Lovelace"}),
    "an expired token is no stranger": Visit("/hello", "expired", 401),
    "a user sees what Convex sees": Visit("/me", "good", 200, ADA),
    "a stranger has no page": Visit("/me", None, 401),
    "nor has an expired token": Visit("/me", "expired", 401),
    "nor has a forged one": Visit("/me", "tampered_payload", 401),
    "a scope opens the reports": Visit("/reports", "reader", 200, {"for": "user_ada"}),
    "without it they stay shut": Visit("/reports", "good", 403),
}
each_visit = pytest.mark.parametrize("visit", VISITS.values(), ids=list(VISITS))
