"""One issuer and one warm verifier for all tables; a test that breaks its world gets one of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from aveverify import Verifier
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW
from tests.http import (
    django_client,
    drf_client,
    fastapi_client,
    flask_client,
    http_fixtures,
    litestar_client,
    starlette_client,
)
from tests.http.http_fixtures import Integration, LeftOut, RecordingView, Scenario, make_tokens

INTEGRATIONS = (
    http_fixtures.INTEGRATIONS
    | starlette_client.INTEGRATIONS
    | fastapi_client.INTEGRATIONS
    | litestar_client.INTEGRATIONS
    | flask_client.INTEGRATIONS
    | django_client.INTEGRATIONS
    | drf_client.INTEGRATIONS
)
# What is asked about a request and told nothing of its end cannot set its context: it would stay for the next one.
WITHOUT_CONTEXT = ("starlette-backend", "drf")
USERS = (
    "test_only_users_that_the_application_admits_reach_a_view",
    "test_a_user_is_loaded_once_and_only_for_a_token",
    "test_a_user_that_is_not_admitted_is_logged_once_with_its_reason",
    "test_a_deferred_refusal_of_a_user_is_raised_when_a_view_asks",
    "test_nothing_knows_the_identity_if_the_loader_fails",
)
LEFT_OUT_REASONS = pytest.StashKey[Counter[str]]()
LEFT_OUT = [
    *flask_client.LEFT_OUT,
    *django_client.LEFT_OUT,
    *drf_client.LEFT_OUT,
    *fastapi_client.LEFT_OUT,
    *litestar_client.LEFT_OUT,
    *(
        LeftOut(integration, test, {}, "a raw middleware knows no user of the application, so it takes no load_user")
        for integration in http_fixtures.INTEGRATIONS
        for test in USERS
    ),
    *(
        LeftOut(integration, test, {}, "the framework does not tell it when the request ends")
        for integration in WITHOUT_CONTEXT
        for test in (
            "test_the_current_identity_is_that_of_the_request",
            "test_a_deferred_refusal_is_raised_when_somebody_asks_for_the_current_identity",
            "test_no_copy_of_a_context_knows_the_user_after_the_request",
            "test_a_block_within_a_request_has_its_own_identity_until_it_ends",
        )
    ),
]


@pytest.fixture(scope="session")
def shared_issuer() -> FakeIssuer:
    return FakeIssuer(clock=FakeClock(now=NOW))


@pytest.fixture(scope="session")
def shared_verifier(shared_issuer: FakeIssuer) -> Iterator[Verifier]:
    """A verifier with its keys, whichever test of a process comes first."""
    with shared_issuer.verifier() as verifier:
        verifier.warm_up()
        yield verifier


@pytest.fixture(scope="session")
def tokens(shared_issuer: FakeIssuer) -> dict[str, str]:
    return make_tokens(shared_issuer)


@pytest.fixture
def issuer() -> FakeIssuer:
    """An issuer that the test may take down."""
    return FakeIssuer(clock=FakeClock(now=NOW))


@pytest.fixture
def verifier(issuer: FakeIssuer) -> Iterator[Verifier]:
    """A cold verifier."""
    with issuer.verifier() as verifier:
        yield verifier


@pytest.fixture(params=list(INTEGRATIONS))
def integration(request: pytest.FixtureRequest) -> Integration:
    """Each integration: what the contract says holds for all of them, except where the table leaves a row out."""
    return INTEGRATIONS[request.param]


def reason_to_leave_out(item: pytest.Item) -> str | None:
    """Why a row does not apply to its integration; None where it does, or where a test has no such table."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    given: dict[str, object] = dict(item.callspec.params)
    options = given.get("options")
    # A row of a table is named by its id.
    parameters = {name: getattr(value, "id", value) for name, value in given.items()}
    parameters |= options if isinstance(options, dict) else {}
    return next((row.reason for row in LEFT_OUT if row.names(item.originalname, parameters)), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out the rows that can never apply; `test_rows_that_do_not_apply_are_left_out` says how many, and why."""
    reasons = {item: reason for item in items if (reason := reason_to_leave_out(item)) is not None}
    config.stash[LEFT_OUT_REASONS] = Counter(reasons.values())
    items[:] = [item for item in items if item not in reasons]


@pytest.fixture
def scenario(integration: Integration, shared_verifier: Verifier, tokens: dict[str, str]) -> Scenario:
    """Each way to ask, before a warm verifier."""
    return Scenario(integration, shared_verifier, tokens)


@pytest.fixture
def observer() -> RecordingView:
    return RecordingView()
