"""Which identities may do what: scopes of other claims, one of several scopes, and a predicate of the application."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import pytest

from aveverify import ConfigurationError, Identity, InsufficientScopeError, Verifier, asgi, wsgi
from aveverify._http.policy import make_policy
from aveverify.errors import Hint, Problem
from aveverify.testing import FakeIssuer
from tests.http.http_fixtures import Scenario, asgi_app, bearer, wsgi_app
from tests.http.test_contract import ADA, ANONYMOUS, INSUFFICIENT_SCOPE, check

both_ways = pytest.mark.parametrize("on_invalid", ["reject", "defer"])


# --- claims that hold scopes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope_claims", "claims", "expected"),
    [
        pytest.param(["scp"], {"scp": "read write"}, ADA, id="text of another claim"),
        pytest.param(["scp"], {"scp": ["read", "write"]}, ADA, id="list of another claim"),
        pytest.param(["scp"], {"scope": "read write"}, INSUFFICIENT_SCOPE, id="the default claim no longer counts"),
        pytest.param(
            ("scope", "permissions"), {"scope": "read", "permissions": ["write"]}, ADA, id="two claims together"
        ),
        pytest.param(("scope", "permissions"), {"permissions": ["write"]}, INSUFFICIENT_SCOPE, id="half"),
        pytest.param(
            ["https://app.test/scopes"], {"https://app.test/scopes": "write read"}, ADA, id="a namespaced claim"
        ),
        pytest.param(["scp"], {"scp": {"read": 1, "write": 1}}, INSUFFICIENT_SCOPE, id="object"),
        pytest.param(["scp"], {"scp": [["read", "write"]]}, INSUFFICIENT_SCOPE, id="list in a list"),
        pytest.param(["scp"], {"scp": None}, INSUFFICIENT_SCOPE, id="null"),
        pytest.param(["scp"], {"scp": 7}, INSUFFICIENT_SCOPE, id="number"),
    ],
)
def test_scopes_may_stand_in_other_claims(
    scenario: Scenario, shared_issuer: FakeIssuer, scope_claims: Any, claims: dict[str, Any], *, expected: Any
) -> None:
    headers = bearer(shared_issuer.token(sub="ada", **claims))

    reply = scenario.get(headers, required=True, scopes=["read", "write"], scope_claims=scope_claims)

    check(reply, scenario, expected)


@pytest.mark.parametrize(
    ("claims", "options", "is_hinted"),
    [
        pytest.param({"scp": "read"}, {}, True, id="scp"),
        pytest.param({"permissions": ["read"]}, {}, True, id="permissions"),
        pytest.param({"scope": "read"}, {"scope_claims": ["scp"]}, True, id="scope, where scp is configured"),
        pytest.param({}, {}, False, id="none at all"),
        pytest.param({"scope": "", "scp": "read"}, {}, False, id="an empty scope claim"),
        pytest.param({"scope": "write", "scp": "read"}, {}, False, id="other scopes"),
    ],
)
def test_the_log_says_that_the_scopes_stand_in_another_claim(  # noqa: PLR0913 - columns of a table
    scenario: Scenario,
    shared_issuer: FakeIssuer,
    caplog: pytest.LogCaptureFixture,
    *,
    claims: dict[str, Any],
    options: dict[str, Any],
    is_hinted: bool,
) -> None:
    headers = bearer(shared_issuer.token(sub="ada", **claims))

    with caplog.at_level(logging.INFO, logger="aveverify.http"):
        check(scenario.get(headers, required=True, scopes=["read"], **options), scenario, INSUFFICIENT_SCOPE)

    assert (Hint.OTHER_SCOPE_CLAIM.value in caplog.text) == is_hinted


# --- one of several -------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("scope", "scopes", "expected"),
    [
        pytest.param("admin", [], ADA, id="one of the two"),
        pytest.param("editor", [], ADA, id="the other"),
        pytest.param("editor admin", [], ADA, id="both"),
        pytest.param("reader", [], INSUFFICIENT_SCOPE, id="neither"),
        pytest.param(None, [], INSUFFICIENT_SCOPE, id="no scopes"),
        pytest.param("admin read", ["read"], ADA, id="one, and all of the rest"),
        pytest.param("admin", ["read"], INSUFFICIENT_SCOPE, id="one, but not the rest"),
        pytest.param("read", ["read"], INSUFFICIENT_SCOPE, id="the rest, but none"),
    ],
)
def test_one_of_several_scopes_is_enough(  # noqa: PLR0913 - columns of a table
    scenario: Scenario,
    shared_issuer: FakeIssuer,
    scope: str | None,
    scopes: list[str],
    *,
    expected: Any,
    on_invalid: str,
) -> None:
    headers = bearer(shared_issuer.token(sub="ada", scope=scope))

    reply = scenario.get(headers, required=True, scopes=scopes, any_scopes=["admin", "editor"], on_invalid=on_invalid)

    check(reply, scenario, expected)


def test_a_challenge_names_every_scope_of_which_one_is_enough(
    scenario: Scenario, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 6750 §3: a token with all of them is enough; the log tells all from one of."""
    with caplog.at_level(logging.INFO, logger="aveverify.http"):
        reply = scenario.get(scenario.bearer("good"), required=True, scopes=["read"], any_scopes=["admin", "editor"])

    assert reply.headers["www-authenticate"].endswith(', scope="read admin editor"')
    assert "required read, one of admin editor" in caplog.text


def test_one_scope_of_each_group_is_needed(shared_issuer: FakeIssuer, shared_verifier: Verifier) -> None:
    """The application requires one of two, and a view one of two others."""
    policy = make_policy(shared_verifier, required=True, any_scopes=["a", "b"]).with_scopes([], ["c", "d"])

    assert asyncio.run(policy.authenticate_async(shared_issuer.token(scope="a d"))).subject
    for scope in ("a b", "c d", ""):
        with pytest.raises(InsufficientScopeError) as caught:
            asyncio.run(policy.authenticate_async(shared_issuer.token(scope=scope)))
        assert caught.value.required == ("a", "b", "c", "d")


# --- a predicate ----------------------------------------------------------------------------------------------------


def is_pro(identity: Identity) -> bool:
    return bool(identity.get("plan") == "pro")


async def is_pro_later(identity: Identity) -> bool:
    return is_pro(identity)


@both_ways
@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        pytest.param("pro", ADA, id="yes"),
        pytest.param("free", INSUFFICIENT_SCOPE, id="no"),
        pytest.param(None, INSUFFICIENT_SCOPE, id="null"),
    ],
)
def test_a_predicate_of_the_application_refuses_with_403(  # noqa: PLR0913 - columns of a table
    scenario: Scenario,
    shared_issuer: FakeIssuer,
    caplog: pytest.LogCaptureFixture,
    plan: str | None,
    *,
    expected: Any,
    on_invalid: str,
) -> None:
    headers = bearer(shared_issuer.token(sub="ada", plan=plan))

    with caplog.at_level(logging.INFO, logger="aveverify.http"):
        reply = scenario.get(headers, required=True, allow=is_pro, on_invalid=on_invalid)

    check(reply, scenario, expected)
    assert ("NOT_ALLOWED" in caplog.text) == (reply.status == 403)
    assert "scope=" not in reply.headers.get("www-authenticate", "")


@pytest.mark.parametrize(
    "options",
    [{"allow": is_pro}, {"any_scopes": ["admin", "editor"]}, {"scopes": ["read"], "scope_claims": ["scp"]}],
    ids=["allow", "any_scopes", "scope_claims"],
)
def test_a_token_that_was_accepted_before_is_refused_where_more_is_required(
    scenario: Scenario, options: dict[str, Any]
) -> None:
    check(scenario.get(scenario.bearer("good"), required=True), scenario, ADA)
    scenario.observer.seen.clear()

    check(scenario.get(scenario.bearer("good"), required=True, **options), scenario, INSUFFICIENT_SCOPE)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(True, ADA, id="True"),
        pytest.param(["admin"], ADA, id="a list of roles"),
        pytest.param(False, INSUFFICIENT_SCOPE, id="False"),
        pytest.param(None, INSUFFICIENT_SCOPE, id="None"),
        pytest.param([], INSUFFICIENT_SCOPE, id="an empty list"),
        pytest.param("", INSUFFICIENT_SCOPE, id="an empty text"),
        pytest.param(0, INSUFFICIENT_SCOPE, id="zero"),
    ],
)
def test_only_a_true_value_allows(scenario: Scenario, result: object, *, expected: Any) -> None:
    check(scenario.get(scenario.bearer("good"), required=True, allow=lambda _identity: result), scenario, expected)


async def never(_identity: Identity) -> bool:
    raise NotImplementedError


class Later:
    """What is awaited, and gives what must be awaited again."""

    def __await__(self) -> Any:
        return Later()
        yield


async def forgotten_await(identity: Identity) -> object:
    return never(identity)


async def awaited_twice(_identity: Identity) -> object:
    return Later()


@pytest.mark.parametrize(
    "allow",
    [
        pytest.param(forgotten_await, id="a coroutine in a coroutine"),
        pytest.param(awaited_twice, id="an awaitable in an awaitable"),
        pytest.param(lambda identity: [forgotten_await(identity)][0], id="a coroutine of a function"),
        pytest.param(lambda identity: identity.get, id="a method that is not called"),
        pytest.param(lambda _identity: is_pro, id="a function that is not called"),
        pytest.param(lambda _identity: dict, id="a class"),
        pytest.param(lambda _identity: map(str, ()), id="an iterator"),
        pytest.param(lambda _identity: iter([True]), id="an iterator of a list"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_what_a_mistake_leaves_allows_nothing(scenario: Scenario, allow: Any) -> None:
    """Each is true, whatever it would say: fail closed, and loudly."""
    caught: ConfigurationError | None = None
    try:
        reply = scenario.get(scenario.bearer("good"), required=True, allow=allow)
    except ConfigurationError as error:
        caught = error
    else:
        assert reply.status == 500

    assert scenario.observer.seen == []
    assert caught is None or (caught.problem, caught.field) == (Problem.OUT_OF_RANGE, "allow")


def test_no_scope_is_named_where_none_would_help(scenario: Scenario) -> None:
    reply = scenario.get(scenario.bearer("good"), required=True, allow=lambda _identity: False)

    assert reply.content["error_description"] == "The token does not permit this request"


@pytest.mark.parametrize("name", ["check", "allow"])
def test_the_frames_of_an_error_in_the_applications_functions_hold_no_token(
    request: pytest.FixtureRequest, scenario: Scenario, shared_issuer: FakeIssuer, name: str
) -> None:
    """ERR-002: pages of errors and crash reports show the locals of each frame."""
    token = shared_issuer.token(sub="frames")
    frames: list[str] = []

    def fail(_identity: Identity) -> bool:
        frame = sys._getframe().f_back
        while frame is not None:
            if "/aveverify/" in frame.f_code.co_filename:
                frames.extend(repr(value) for value in frame.f_locals.values())
            frame = frame.f_back
        return False

    options: Any = {name: fail}
    scenario.get(bearer(token), required=True, **options)

    # Django under ASGI calls a synchronous function in a thread, where none of these frames are.
    assert frames or request.node.callspec.params["integration"].startswith("django")
    # The request itself holds its header; Django and crash reporters take it out by its name.
    assert not any(token in text for text in frames if "authorization" not in text.lower())


def test_a_predicate_is_asked_about_identities_not_about_anonymous_visitors(scenario: Scenario) -> None:
    check(scenario.get(required=False, allow=is_pro), scenario, ANONYMOUS)


def test_a_predicate_that_yields_allows_nothing(shared_verifier: Verifier) -> None:
    def allow(_identity: Identity) -> Any:
        yield False

    for make in (
        lambda: asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, required=True, allow=allow),
        lambda: wsgi.AveAuthMiddleware(wsgi_app(str), shared_verifier, required=True, allow=allow),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, "allow")


@pytest.mark.parametrize("name", ["check", "allow"])
def test_nothing_awaits_a_coroutine_function_in_wsgi(shared_verifier: Verifier, name: str) -> None:
    """HTP-043: it is refused at the start, not at the first token."""
    options: Any = {name: is_pro_later}

    with pytest.raises(ConfigurationError) as caught:
        wsgi.AveAuthMiddleware(wsgi_app(str), shared_verifier, required=True, **options)

    assert caught.value.field == name


@pytest.mark.parametrize(
    ("options", "field"),
    [
        pytest.param({"any_scopes": "admin"}, "any_scopes", id="text as any_scopes"),
        pytest.param({"any_scopes": ["a b"]}, "any_scopes", id="a blank in a scope"),
        pytest.param({"scope_claims": "scp"}, "scope_claims", id="text as scope_claims"),
        pytest.param({"scope_claims": []}, "scope_claims", id="no scope_claims"),
        pytest.param({"scope_claims": [""]}, "scope_claims", id="an empty claim"),
        pytest.param({"scope_claims": [7]}, "scope_claims", id="a number as claim"),
        pytest.param({"allow": "pro"}, "allow", id="text as predicate"),
        pytest.param({"end_expired_streams": 1}, "end_expired_streams", id="a number as flag"),
        pytest.param({"optional": "/feed"}, "optional", id="text as optional"),
        pytest.param({"optional": ["feed"]}, "optional", id="a relative optional path"),
    ],
)
def test_an_option_that_cannot_be_right_is_refused_when_it_is_built(
    shared_verifier: Verifier, options: Any, field: str
) -> None:
    """HTP-043."""
    for make in (
        lambda: asgi.AveAuthMiddleware(asgi_app(str), shared_verifier, required=True, **options),
        lambda: wsgi.AveAuthMiddleware(wsgi_app(str), shared_verifier, required=True, **options),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert caught.value.field == field
