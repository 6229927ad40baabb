"""The HTTP contract: one table of requests, asked at every integration, with and without `required`.

The raw middlewares have no framework that could help them; the others show that nothing is lost on the way. A row that
cannot apply to an integration is left out by a table (`LeftOut`), with the reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from aveverify import (
    AveVerifyError,
    ConfigurationError,
    Identity,
    KeysUnavailableError,
    Reason,
    Verifier,
    get_user_identity,
)
from aveverify.errors import Problem
from aveverify.testing import FakeIssuer
from tests.http.conftest import LEFT_OUT_REASONS
from tests.http.http_fixtures import Headers, Integration, Reply, Request, Scenario, bearer

Logged = Callable[[], list[logging.LogRecord]]


class Expected(NamedTuple):
    """What one request must lead to.

    Attributes:
        status: The status.
        challenge: How `WWW-Authenticate` begins; None where there is none.
        error: `error` in the body; None where the application answers.
        seen: Whom the application served, if it ran.
    """

    status: int
    challenge: str | None = None
    error: str | None = None
    seen: tuple[str | None, ...] = ()


ADA = Expected(200, seen=("ada",))
ANONYMOUS = Expected(200, seen=(None,))
NO_CREDENTIALS = Expected(401, "Bearer", "unauthorized")
INVALID_TOKEN = Expected(401, 'Bearer error="invalid_token"', "invalid_token")
INVALID_REQUEST = Expected(400, 'Bearer error="invalid_request"', "invalid_request")
INSUFFICIENT_SCOPE = Expected(403, 'Bearer error="insufficient_scope"', "insufficient_scope")
UNAVAILABLE = Expected(503, None, "temporarily_unavailable")


def check(reply: Reply, scenario: Scenario, expected: Expected) -> None:
    """Compare all that came back, and whom the application saw."""
    assert reply.status == expected.status
    assert tuple(scenario.observer.seen) == expected.seen
    if expected.error is None:
        assert "www-authenticate" not in reply.headers
        return
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["vary"] == "Authorization"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert set(reply.content) == {"error", "error_description"}
    assert reply.content["error"] == expected.error
    if expected.challenge is None:
        assert "www-authenticate" not in reply.headers
        assert int(reply.headers["retry-after"]) >= 1
    else:
        challenge = reply.headers["www-authenticate"]
        assert challenge.split(",")[0] == expected.challenge
        assert "retry-after" not in reply.headers


class Case(NamedTuple):
    """A row: a request, in which {good} and the like stand for tokens, and its two outcomes."""

    id: str
    request: Request
    optional: Expected
    required: Expected


def same(name: str, expected: Expected, *headers: tuple[str, str], **request: Any) -> Case:
    """A row whose outcome does not depend on `required`."""
    return Case(name, Request(headers, **request), expected, expected)


def without_credentials(name: str, *headers: tuple[str, str], **request: Any) -> Case:
    """A row of a request that carries no bearer token."""
    return Case(name, Request(headers, **request), ANONYMOUS, NO_CREDENTIALS)


def authorization(*values: str) -> Headers:
    """So many Authorization headers."""
    return tuple(("Authorization", value) for value in values)


# Every flaw that can be told from the token, not from the header.
FLAWS = [flaw for flaw in FakeIssuer.FLAWS if flaw != "padded_base64"]
ORIGIN = ("Origin", "https://app.test")
ASKS_FOR_METHOD = ("Access-Control-Request-Method", "POST")

TABLE = [
    without_credentials("no header"),
    same("a good token", ADA, *authorization("Bearer {good}")),
    # Scheme and spacing.
    same("HTP-003: lower case", ADA, *authorization("bearer {good}")),
    same("HTP-003: upper case", ADA, *authorization("BEARER {good}")),
    same("HTP-003: two blanks", ADA, *authorization("Bearer  {good}")),
    same("HTP-003: blanks around", ADA, *authorization(" Bearer {good} ")),
    same("HTP-003: a tab after the scheme", INVALID_REQUEST, *authorization("Bearer\t{good}")),
    same("HTP-003: a blank inside", INVALID_REQUEST, *authorization("Bearer {good} {good}")),
    same("HTP-004: Bearer alone", INVALID_REQUEST, *authorization("Bearer")),
    same("HTP-004: Bearer and a blank", INVALID_REQUEST, *authorization("Bearer ")),
    same("HTP-004: empty", INVALID_REQUEST, *authorization("")),
    without_credentials("HTP-004: Bearer:", *authorization("Bearer: {good}")),
    without_credentials("HTP-004: grown together", *authorization("Bearer{good}")),
    without_credentials("HTP-004: Bear", *authorization("Bear {good}")),
    same("a trailing comma", INVALID_REQUEST, *authorization("Bearer {good},")),
    same("quoted", INVALID_REQUEST, *authorization('Bearer "{good}"')),
    # Other schemes are never read as a token.
    without_credentials("HTP-005: Basic", *authorization("Basic YWRhOnNlY3JldA==")),
    without_credentials("HTP-005: Digest", *authorization('Digest username="ada", realm="x", response="{good}"')),
    without_credentials("HTP-005: DPoP", *authorization("DPoP {good}")),
    without_credentials("HTP-005: Token", *authorization("Token {good}")),
    without_credentials("HTP-005: Negotiate", *authorization("Negotiate {good}")),
    without_credentials("HTP-005: Convex", *authorization("Convex {good}")),
    # Two headers, in whatever way they arrive.
    same("HTP-001: good and evil", INVALID_REQUEST, *authorization("Bearer {good}", "Bearer {bad_signature}")),
    same("HTP-001: evil and good", INVALID_REQUEST, *authorization("Bearer {bad_signature}", "Bearer {good}")),
    same("HTP-001: good and good", INVALID_REQUEST, *authorization("Bearer {good}", "Bearer {good}")),
    same("HTP-001: basic and good", INVALID_REQUEST, *authorization("Basic YTpi", "Bearer {good}")),
    same("HTP-001: good and basic", INVALID_REQUEST, *authorization("Bearer {good}", "Basic YTpi")),
    same("HTP-001: good and empty", INVALID_REQUEST, *authorization("Bearer {good}", "")),
    same("HTP-001: empty and good", INVALID_REQUEST, *authorization("", "Bearer {good}")),
    same("HTP-002: joined", INVALID_REQUEST, *authorization("Bearer {good},Bearer {other}")),
    same("HTP-002: joined with a blank", INVALID_REQUEST, *authorization("Bearer {good}, Bearer {other}")),
    # Bytes that are no ASCII.
    same("HTP-006: latin-1", INVALID_REQUEST, *authorization("Bearer {good}\xfc")),
    same("HTP-006: UTF-8", INVALID_REQUEST, *authorization("Bearer {good}\xc3\xbc")),
    same("HTP-006: 0xff", INVALID_REQUEST, *authorization("\xff")),
    same("HTP-006: in the scheme", INVALID_REQUEST, *authorization("B\xe9arer {good}")),
    # Nothing but the Authorization header says who somebody is.
    without_credentials("HTP-008: underscores", ("X_Auth_User", "ada"), ("X-Auth_User", "ada")),
    without_credentials("HTP-008: our key as a header", ("Aveverify.Identity", "ada"), ("Aveverify-Identity", "ada")),
    without_credentials("HTP-009: X-User-Id", ("X-User-Id", "ada"), ("X-Forwarded-User", "ada")),
    without_credentials("HTP-009: Remote-User", ("Remote-User", "ada"), ("X-Jwt-Payload", "{good}")),
    without_credentials("Proxy-Authorization", ("Proxy-Authorization", "Bearer {good}")),
    without_credentials("HTP-033: query", query="access_token={good}"),
    without_credentials("HTP-033: cookie", ("Cookie", "access_token={good}")),
    without_credentials("HTP-033: form", method="POST", body=b"access_token={good}"),
    # Only a real preflight passes without a token, and only without one.
    same(
        "HTP-027: preflight, good token",
        ADA,
        ORIGIN,
        ASKS_FOR_METHOD,
        *authorization("Bearer {good}"),
        method="OPTIONS",
    ),
    same(
        "HTP-027: preflight, bad token",
        INVALID_TOKEN,
        ORIGIN,
        ASKS_FOR_METHOD,
        *authorization("Bearer {bad_signature}"),
        method="OPTIONS",
    ),
    without_credentials("HTP-027: plain OPTIONS", method="OPTIONS"),
    without_credentials("HTP-027: OPTIONS with Origin", ORIGIN, method="OPTIONS"),
    without_credentials("HTP-027: OPTIONS asking for a method", ASKS_FOR_METHOD, method="OPTIONS"),
    without_credentials("HTP-027: GET like a preflight", ORIGIN, ASKS_FOR_METHOD),
    without_credentials("HTP-027: TRACE like a preflight", ORIGIN, ASKS_FOR_METHOD, method="TRACE"),
    without_credentials(
        "HTP-027: method override", ORIGIN, ASKS_FOR_METHOD, ("X-HTTP-Method-Override", "OPTIONS"), method="POST"
    ),
    *(
        without_credentials(f"HTP-027: preflight with {name}", ORIGIN, ASKS_FOR_METHOD, (name, value), method="OPTIONS")
        for name, value in (
            ("X-HTTP-Method-Override", "DELETE"),
            ("x-http-method-override", "OPTIONS"),
            ("X-HTTP-Method", "DELETE"),
            ("X-Method-Override", "DELETE"),
            ("X-Method", "DELETE"),
            ("X-Original-Method", "DELETE"),
            ("X-HTTP-Verb", "DELETE"),
            ("X-Override", "DELETE"),
            ("Authorization", "Basic YWRhOnNlY3JldA=="),
            ("Transfer-Encoding", "chunked"),
        )
    ),
    *(
        without_credentials(f"HTP-027: preflight with ?{query}", ORIGIN, ASKS_FOR_METHOD, method="OPTIONS", query=query)
        for query in ("_method=DELETE", "page=1&%5Fmethod=DELETE", "_METHOD=DELETE", "X-HTTP-Method-Override=DELETE")
    ),
    *(
        without_credentials(f"HTP-027: plain {method} with {name}", (name, override), method=method)
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
        for method, override in (("POST", "DELETE"), ("POST", "OPTIONS"), ("GET", "DELETE"))
    ),
    without_credentials("HTP-027: plain POST with ?_method", method="POST", query="_method=OPTIONS"),
    # HTP-036: optional is for those who show nothing, never for those who show something bad.
    *(same(f"HTP-036: {flaw}", INVALID_TOKEN, *authorization(f"Bearer {{{flaw}}}")) for flaw in FLAWS),
    same("HTP-036: padded_base64, which is no b64token", INVALID_REQUEST, *authorization("Bearer {padded_base64}")),
]


AT_THE_VIEW = ("flask_decorators", "django_decorators", "django_decorators_async", "fastapi-dependency")
either = pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
both_ways = pytest.mark.parametrize("on_invalid", ["reject", "defer"])


@either
@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.id)
def test_every_integration_keeps_the_contract(scenario: Scenario, case: Case, *, required: bool) -> None:
    """HTP-001 to HTP-006, HTP-008, HTP-009, HTP-027, HTP-033, HTP-034, HTP-036."""
    request = case.request._replace(
        headers=tuple((name, value.format_map(scenario.tokens)) for name, value in case.request.headers),
        query=case.request.query.format_map(scenario.tokens),
        body=case.request.body.replace(b"{good}", scenario.tokens["good"].encode()),
    )

    reply = scenario.send(request, required=required)

    check(reply, scenario, case.required if required else case.optional)


@either
def test_a_preflight_without_a_token_passes_a_middleware_and_reaches_no_view_that_needs_somebody(
    request: pytest.FixtureRequest, scenario: Scenario, *, required: bool
) -> None:
    """HTP-027: browsers send it without credentials; whoever runs a view by it would be nobody at all."""
    stands_at_the_view = request.node.callspec.params["integration"] in AT_THE_VIEW

    reply = scenario.send(Request((ORIGIN, ASKS_FOR_METHOD), method="OPTIONS"), required=required)

    check(reply, scenario, NO_CREDENTIALS if required and stands_at_the_view else ANONYMOUS)


@pytest.mark.parametrize("kind", [None, "expired"], ids=["without credentials", "refused"])
def test_a_refused_head_request_gets_no_body(scenario: Scenario, kind: str | None) -> None:
    headers = scenario.bearer(kind) if kind else ()

    got = scenario.get(headers, required=True)
    head = scenario.send(Request(headers, method="HEAD"), required=True)

    assert head == got._replace(body=b"")
    assert scenario.observer.seen == []


@both_ways
@either
def test_an_issuer_that_cannot_be_reached_is_no_refusal_of_the_token(
    integration: Integration, issuer: FakeIssuer, verifier: Verifier, *, required: bool, on_invalid: str
) -> None:
    """HTP-035: 503 with Retry-After; never anonymous, never 500."""
    scenario = Scenario(integration, verifier, {"good": issuer.token()})
    issuer.go_down()

    reply = scenario.get(scenario.bearer("good"), required=required, on_invalid=on_invalid)

    check(reply, scenario, UNAVAILABLE)


# --- scopes ---------------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        pytest.param("read write", ADA, id="both"),
        pytest.param("write openid read", ADA, id="more, in another order"),
        pytest.param("read", INSUFFICIENT_SCOPE, id="one of two"),
        pytest.param("", INSUFFICIENT_SCOPE, id="empty"),
        pytest.param(None, INSUFFICIENT_SCOPE, id="null"),
        pytest.param("readwrite", INSUFFICIENT_SCOPE, id="grown together"),
        pytest.param("read,write", INSUFFICIENT_SCOPE, id="by comma"),
        pytest.param("read\twrite", INSUFFICIENT_SCOPE, id="by tab"),
        pytest.param("READ WRITE", INSUFFICIENT_SCOPE, id="upper case"),
        pytest.param("reads writes", INSUFFICIENT_SCOPE, id="longer names"),
        pytest.param(["read", "write"], ADA, id="array"),
        pytest.param(["read write"], INSUFFICIENT_SCOPE, id="array of one text"),
        pytest.param(["read", ["write"]], INSUFFICIENT_SCOPE, id="array in an array"),
        pytest.param({"read": True, "write": True}, INSUFFICIENT_SCOPE, id="object"),
        pytest.param(True, INSUFFICIENT_SCOPE, id="boolean"),
    ],
)
def test_a_token_must_carry_every_scope_that_is_demanded(
    scenario: Scenario, shared_issuer: FakeIssuer, *, scope: object, expected: Expected, on_invalid: str
) -> None:
    headers = bearer(shared_issuer.token(sub="ada", scope=scope))

    reply = scenario.get(headers, required=True, scopes=("read", "write"), on_invalid=on_invalid)

    check(reply, scenario, expected)


def test_a_token_without_scope_lacks_every_scope(scenario: Scenario) -> None:
    reply = scenario.get(scenario.bearer("good"), required=True, scopes=["read"])

    check(reply, scenario, INSUFFICIENT_SCOPE)
    assert reply.headers["www-authenticate"].endswith(', scope="read"')


def test_the_scope_claim_of_a_custom_jwt_counts_too(integration: Integration, shared_issuer: FakeIssuer) -> None:
    token = shared_issuer.token(sub="ada", scope="read")
    with shared_issuer.verifier(shared_issuer.custom_jwt_provider("RS256")) as verifier:
        scenario = Scenario(integration, verifier, {"reader": token})
        check(scenario.get(scenario.bearer("reader"), required=True, scopes=["read"]), scenario, ADA)
        scenario.observer.seen.clear()
        check(scenario.get(scenario.bearer("reader"), required=True, scopes=["write"]), scenario, INSUFFICIENT_SCOPE)


def test_scopes_are_demanded_of_tokens_not_of_anonymous_visitors(scenario: Scenario) -> None:
    check(scenario.get(required=False, scopes=["read"]), scenario, ANONYMOUS)


# --- what a refusal says --------------------------------------------------------------------------------------------


def test_a_refusal_says_the_same_whatever_was_wrong_with_the_token(scenario: Scenario) -> None:
    """ERR-004: unknown kid, bad signature, expired and wrong audience cannot be told apart from outside."""
    replies = [scenario.get(scenario.bearer(flaw), required=True) for flaw in FLAWS]

    assert replies == [replies[0]] * len(FLAWS)


def test_a_refusal_in_full(scenario: Scenario) -> None:
    """HTP-034: the one place that pins every byte."""
    reply = scenario.get(scenario.bearer("expired"), required=True)

    description = "The access token is invalid, expired or not meant for this service"
    body = f'{{"error": "invalid_token", "error_description": "{description}"}}'.encode()
    assert reply == Reply(
        401,
        {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "vary": "Authorization",
            "www-authenticate": f'Bearer error="invalid_token", error_description="{description}"',
        },
        body,
    )


@pytest.mark.parametrize(
    ("options", "challenge"),
    [
        pytest.param({}, "Bearer", id="bare"),
        pytest.param({"realm": "our place"}, 'Bearer realm="our place"', id="realm"),
        pytest.param({"scopes": ["read", "write"]}, 'Bearer scope="read write"', id="scopes"),
        pytest.param(
            {"resource_metadata": "https://api.test/.well-known/oauth-protected-resource"},
            'Bearer resource_metadata="https://api.test/.well-known/oauth-protected-resource"',
            id="resource metadata",
        ),
        pytest.param(
            {"realm": "", "scopes": ["read"], "resource_metadata": "https://api.test/"},
            'Bearer realm="", scope="read", resource_metadata="https://api.test/"',
            id="all",
        ),
    ],
)
def test_a_challenge_says_what_the_service_says_of_itself(
    scenario: Scenario, options: dict[str, Any], challenge: str
) -> None:
    """RFC 6750 §3.1: without credentials there is no error code."""
    reply = scenario.get(required=True, **options)

    assert reply.status == 401
    assert reply.headers["www-authenticate"] == challenge


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    """What the integrations have logged so far."""
    caplog.set_level(logging.INFO, "aveverify")
    return lambda: [record for record in caplog.records if record.name == "aveverify.http"]


@both_ways
def test_a_refusal_is_logged_once_with_its_reason_and_without_the_token(
    scenario: Scenario, on_invalid: str, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    scenario.get(scenario.bearer("expired"), required=True, on_invalid=on_invalid)

    [record] = logged()
    assert record.levelno == logging.INFO
    assert Reason.EXPIRED in record.getMessage()
    assert not any(segment in caplog.text for segment in scenario.tokens["expired"].split("."))


def test_missing_credentials_are_logged_where_they_are_required(scenario: Scenario, logged: Logged) -> None:
    scenario.get(required=False)
    assert logged() == []

    scenario.get(required=True)
    assert len(logged()) == 1


@pytest.mark.parametrize(
    "kid",
    [
        pytest.param("\r\nERROR root: all is lost", id="line breaks"),
        pytest.param("\x1b[2J\x1b[31mred", id="ANSI escapes"),
        pytest.param("\u2028\u202e\x85", id="Unicode breaks"),
        pytest.param("k" * 9000, id="long"),
        pytest.param("%s %(name)s {0}", id="format directives"),
    ],
)
def test_nothing_of_a_token_can_write_into_the_log(
    scenario: Scenario, kid: str, shared_issuer: FakeIssuer, logged: Logged
) -> None:
    """ERR-003: escaped and shortened, on one line."""
    reply = scenario.get(bearer(shared_issuer.token(header={"kid": kid})), required=True)

    check(reply, scenario, INVALID_TOKEN)
    [record] = logged()
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 500


# --- the users of the application -----------------------------------------------------------------------------------


class Account:
    """A user of the application."""

    def __init__(self, *, is_active: object) -> None:
        self.is_active = is_active


class Stranger:
    """What Django and Flask-Login show in the place of a user."""

    is_anonymous = True
    is_authenticated = False
    is_active = False


class UserCase(NamedTuple):
    """A row: what the loader finds behind a good token, and what becomes of the request."""

    id: str
    user: object
    reason: Reason | None = None


USERS = [
    UserCase("HTP-044: active user", Account(is_active=True)),
    UserCase("HTP-044: a user that says nothing of it", "ada"),
    UserCase("HTP-044: a row that says nothing of it", {"name": "ada"}),
    UserCase("HTP-044: active by a method", Account(is_active=lambda: True)),
    UserCase("HTP-044: active by 1", Account(is_active=1)),
    UserCase("HTP-044: unknown user", None, Reason.UNKNOWN_USER),
    UserCase("HTP-044: an anonymous user", Stranger(), Reason.UNKNOWN_USER),
    UserCase("HTP-044: inactive user", Account(is_active=False), Reason.INACTIVE_USER),
    UserCase("HTP-044: inactive by a method", Account(is_active=lambda: False), Reason.INACTIVE_USER),
    UserCase("HTP-044: inactive by null", Account(is_active=None), Reason.INACTIVE_USER),
    UserCase("HTP-044: an inactive row", {"is_active": False}, Reason.INACTIVE_USER),
]


class Loader:
    """Finds one user, and remembers how often it was asked."""

    def __init__(self, user: object) -> None:
        self._user = user
        self.asked: list[str] = []

    def now(self, identity: Identity) -> object:
        """Load it."""
        self.asked.append(identity.subject)
        return self._user

    async def later(self, identity: Identity) -> object:
        """Load it in an event loop."""
        await asyncio.sleep(0)
        return self.now(identity)

    def soon(self, identity: Identity) -> object:
        """Return a coroutine, and do not look like it."""
        return self.later(identity)


loading = pytest.mark.parametrize("way", ["now", "later", "soon"])


def blind(scenario: Scenario) -> Callable[[object], str]:
    """A view that looks at nothing of its request."""

    def view(_request: object) -> str:
        scenario.observer.seen.append("served")
        return "served"

    return view


@either
@loading
@pytest.mark.parametrize("case", USERS, ids=lambda case: case.id)
def test_only_users_that_the_application_admits_reach_a_view(
    scenario: Scenario, case: UserCase, way: str, *, required: bool
) -> None:
    """HTP-044: also a view that never looks at its user, under either kind of loader."""
    loader = Loader(case.user)

    reply = scenario.get(
        scenario.bearer("good"), view=blind(scenario), required=required, load_user=getattr(loader, way)
    )

    check(reply, scenario, Expected(200, seen=("served",)) if case.reason is None else INVALID_TOKEN)
    assert loader.asked == ["ada"]


@loading
def test_a_user_is_loaded_once_and_only_for_a_token(scenario: Scenario, way: str) -> None:
    """HTP-044: anonymous requests have no user to load, and refused ones must not cost the application anything."""
    loader = Loader(Account(is_active=False))
    load_user = getattr(loader, way)

    check(scenario.get(required=False, load_user=load_user), scenario, ANONYMOUS)
    scenario.observer.seen.clear()
    check(scenario.get(scenario.bearer("expired"), required=False, load_user=load_user), scenario, INVALID_TOKEN)
    assert loader.asked == []


@pytest.mark.parametrize("case", [case for case in USERS if case.reason], ids=lambda case: case.id)
def test_a_user_that_is_not_admitted_is_logged_once_with_its_reason(
    scenario: Scenario, case: UserCase, logged: Logged
) -> None:
    scenario.get(scenario.bearer("good"), required=True, load_user=Loader(case.user).now)

    [record] = logged()
    assert record.getMessage().startswith(f"refused: {case.reason} (HTP-044): ")


@loading
@pytest.mark.parametrize("user", [None, Account(is_active=False)], ids=["unknown", "inactive"])
def test_a_deferred_refusal_of_a_user_is_raised_when_a_view_asks(
    scenario: Scenario, request: pytest.FixtureRequest, user: object, way: str
) -> None:
    """HTP-044: a view may answer it by itself, and learns nothing of the user; one that relies on a user never runs."""
    catcher = Catcher()
    relies = request.node.callspec.params["integration"] in AT_THE_VIEW
    options = {"load_user": getattr(Loader(user), way), "on_invalid": "defer"}

    reply = scenario.get(scenario.bearer("good"), view=catcher, required=False, **options)
    check(scenario.get(scenario.bearer("good"), required=relies, **options), scenario, INVALID_TOKEN)

    assert (reply.status, reply.body) == (200, b"served")
    [caught] = catcher.caught
    assert caught.reason is (Reason.UNKNOWN_USER if user is None else Reason.INACTIVE_USER)


def test_nothing_knows_the_identity_if_the_loader_fails(scenario: Scenario) -> None:
    """HTP-044: a database that is down admits no user, and is an error of the application."""

    def load_user(_identity: Identity) -> object:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        scenario.get(scenario.bearer("good"), required=False, load_user=load_user)
    assert scenario.observer.seen == []


# --- deferred refusals ----------------------------------------------------------------------------------------------


class Catcher:
    """A view that asks, and answers by itself where it learns of a refusal."""

    def __init__(self) -> None:
        self.caught: list[AveVerifyError] = []

    def __call__(self, request: Any) -> str:
        try:
            get_user_identity(request)
        except AveVerifyError as error:
            self.caught.append(error)
        return "served"


refused = pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("expired", INVALID_TOKEN, id="expired"),
        pytest.param("bad_signature", INVALID_TOKEN, id="bad signature"),
        pytest.param("too_large", INVALID_TOKEN, id="too large"),
        pytest.param("opaque", INVALID_TOKEN, id="opaque"),
        pytest.param("reader", INSUFFICIENT_SCOPE, id="scope missing"),
    ],
)


@either
@refused
def test_a_deferred_refusal_that_escapes_becomes_the_answer(
    scenario: Scenario, kind: str, expected: Expected, *, required: bool
) -> None:
    """HTTP-09: the same answer as without `defer`."""
    rejected = scenario.get(scenario.bearer(kind), required=required, scopes=["write"])
    deferred = scenario.get(scenario.bearer(kind), required=required, scopes=["write"], on_invalid="defer")

    assert deferred == rejected
    check(deferred, scenario, expected)


@refused
def test_a_view_may_answer_a_deferred_refusal_by_itself(scenario: Scenario, kind: str, expected: Expected) -> None:
    catcher = Catcher()

    reply = scenario.get(scenario.bearer(kind), view=catcher, required=False, scopes=["write"], on_invalid="defer")

    assert (reply.status, reply.body) == (200, b"served")
    assert [error.http_status for error in catcher.caught] == [expected.status]


def test_a_view_learns_of_missing_keys_when_it_asks(
    integration: Integration, issuer: FakeIssuer, verifier: Verifier
) -> None:
    scenario = Scenario(integration, verifier, {"good": issuer.token()})
    catcher = Catcher()
    issuer.go_down()

    reply = scenario.get(scenario.bearer("good"), view=catcher, required=False, on_invalid="defer")

    assert reply.status == 200
    assert [isinstance(error, KeysUnavailableError) for error in catcher.caught] == [True]


def test_a_request_whose_view_does_not_ask_goes_on(scenario: Scenario) -> None:
    """As Convex runs an HTTP action whatever the token."""
    reply = scenario.get(scenario.bearer("expired"), view=lambda _: "public", required=False, on_invalid="defer")

    assert (reply.status, reply.body) == (200, b"public")


def test_good_tokens_and_anonymous_visitors_pass_where_refusals_are_deferred(scenario: Scenario) -> None:
    for headers in (scenario.bearer("good"), (), scenario.bearer("other")):
        assert scenario.get(headers, required=False, on_invalid="defer").status == 200

    assert scenario.observer.seen == ["ada", None, "grace"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param((), NO_CREDENTIALS, id="no credentials"),
        pytest.param(authorization("Bearer"), INVALID_REQUEST, id="malformed"),
        pytest.param(authorization("Bearer a", "Bearer b"), INVALID_REQUEST, id="HTP-001: two"),
    ],
)
def test_what_is_no_token_is_never_deferred(scenario: Scenario, headers: Headers, expected: Expected) -> None:
    """Not even where the view does not ask."""
    check(scenario.get(headers, view=lambda _: "public", required=True, on_invalid="defer"), scenario, expected)


def test_rows_that_do_not_apply_are_left_out(request: pytest.FixtureRequest) -> None:
    """The one line about them in the summary: how many, and why."""
    reasons = request.config.stash[LEFT_OUT_REASONS]
    if reasons:
        listed = "; ".join(f"{count}: {reason}" for reason, count in sorted(reasons.items()))
        pytest.skip(f"{sum(reasons.values())} rows are left out by the table ({listed})")


# --- what is not ours -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "on_invalid"), [("good", "reject"), ("good", "defer"), ("expired", "defer")], ids="-".join
)
def test_an_exception_of_the_application_is_its_own(scenario: Scenario, kind: str, on_invalid: str) -> None:
    def view(_request: object) -> str:
        raise LookupError

    with pytest.raises(LookupError):
        scenario.get(scenario.bearer(kind), view=view, required=True, on_invalid=on_invalid)


@both_ways
def test_a_closed_verifier_is_the_programmers_error_and_lets_nobody_in(
    integration: Integration, issuer: FakeIssuer, on_invalid: str
) -> None:
    """Neither anonymous nor a refusal that would blame the client."""
    scenario = Scenario(integration, issuer.verifier(), {"good": issuer.token()})
    scenario.verifier.close()

    with pytest.raises(ConfigurationError) as caught:
        scenario.get(scenario.bearer("good"), required=False, on_invalid=on_invalid)

    assert caught.value.problem is Problem.CLOSED
    assert scenario.observer.seen == []
