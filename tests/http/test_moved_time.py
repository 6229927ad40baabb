"""A test of an application that moves the time gets what its users would get at that time, in every framework."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from freezegun import freeze_time

from aveverify import SystemClock, Verifier
from aveverify.testing import FakeIssuer
from tests.http.http_fixtures import Integration, Request, bearer

HOUR = 3600


@pytest.mark.parametrize("year", [2012, 2040])
def test_a_token_expires_when_freezegun_says_so(integration: Integration, year: int) -> None:
    issuer = FakeIssuer(clock=SystemClock())

    def ask(token: str) -> int:
        request = Request(bearer(token))
        return integration(verifier, lambda _: "seen", request, required=True).status

    with Verifier(issuer.provider, fetcher=issuer) as verifier:
        with freeze_time(datetime(year, 1, 2, tzinfo=UTC)) as frozen:
            token, unseen = issuer.token(), issuer.token(sub="grace")
            statuses = [ask(token), ask(token)]
            issuer.rotate(keep_old=False)
            statuses.append(ask(issuer.token()))
            frozen.tick(HOUR)
            statuses += [ask(token), ask(unseen), ask(issuer.token())]
        statuses.append(ask(issuer.token()))

    assert statuses == [200, 200, 200, 401, 401, 200, 200]
