"""The requests that every example must answer: three pages, a few tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from aveverify.testing import FakeIssuer


class ExampleRequest(NamedTuple):
    """One request, and the expected response.

    Attributes:
        path: The page.
        token: `good`, `reader` (with the scope), a flaw that `FakeIssuer.forge` knows, or None for no token.
        status: The expected status.
        content: Members that the JSON body must have; None for any body.
    """

    path: str
    token: str | None
    status: int
    content: dict[str, Any] | None = None

    def headers(self, issuer: FakeIssuer) -> dict[str, str]:
        """Return the headers to send."""
        if self.token is None:
            return {}
        made = {"good": issuer.token, "reader": lambda: issuer.token(scope="openid reports:read")}
        token = made[self.token]() if self.token in made else issuer.forge(self.token)
        return {"Authorization": f"Bearer {token}"}

    def check(self, status: int, content: dict[str, Any] | None) -> None:
        """Compare the response with the expected one."""
        assert status == self.status
        if self.content is not None:
            assert content is not None
            assert self.content.items() <= content.items()


ADA = {"subject": "user_ada", "name": "Ada Lovelace", "pictureUrl": "https://images.test/ada.png"}
REQUESTS = {
    "a request without a token is greeted": ExampleRequest("/hello", None, 200, {"hello": "stranger"}),
    "a user is greeted by name": ExampleRequest("/hello", "good", 200, {"hello": "Ada Lovelace"}),
    "an expired token is not anonymous": ExampleRequest("/hello", "expired", 401),
    "a user sees what Convex sees": ExampleRequest("/me", "good", 200, ADA),
    "without a token there is no page": ExampleRequest("/me", None, 401),
    "an expired token gets no page": ExampleRequest("/me", "expired", 401),
    "a forged token gets no page": ExampleRequest("/me", "tampered_payload", 401),
    "a scope opens the reports": ExampleRequest("/reports", "reader", 200, {"for": "user_ada"}),
    "without the scope the reports are refused": ExampleRequest("/reports", "good", 403),
}
each_request = pytest.mark.parametrize("example", REQUESTS.values(), ids=list(REQUESTS))
