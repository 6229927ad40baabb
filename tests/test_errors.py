"""The five errors: closed lists with one sentence each, Convex codes, and messages that hold nothing of a token."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle

import pytest

from aveverify import (
    AveVerifyError,
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
)
from aveverify.errors import Fault, Hint, Problem, ProviderKind, Step, quote
from tests.core.jose_factory import NOW, custom_jwt_verifier, good_claims, oidc_verifier, rs256

IAH, UNA, NAP, DISC = "InvalidAuthHeader", "Unauthenticated", "NoAuthProvider", "AuthProviderDiscoveryFailed"

# One row per reason: the step that finds it, and Convex's code for each kind of provider.
REASONS: dict[Reason, tuple[Step | None, str | None, str | None]] = {
    Reason.TOKEN_TOO_LARGE: (Step.READ, IAH, IAH),
    Reason.MALFORMED_TOKEN: (Step.READ, IAH, IAH),
    Reason.MALFORMED_PAYLOAD: (Step.READ, IAH, IAH),
    Reason.CLAIM_TYPE: (Step.READ, IAH, IAH),
    Reason.CLAIM_OUT_OF_RANGE: (Step.READ, IAH, IAH),
    Reason.CLAIM_MISSING: (Step.READ, IAH, IAH),
    Reason.UNKNOWN_ISSUER: (Step.SELECT, NAP, NAP),
    Reason.AUDIENCE_MISMATCH: (Step.SELECT, NAP, NAP),
    Reason.ISSUER_WITHOUT_SCHEME: (Step.PARSE, IAH, IAH),
    Reason.MALFORMED_HEADER: (Step.PARSE, IAH, IAH),
    Reason.MALFORMED_SIGNATURE: (Step.PARSE, IAH, IAH),
    Reason.UNKNOWN_ALGORITHM: (Step.PARSE, IAH, IAH),
    Reason.KEY_ID_MISSING: (Step.PARSE, IAH, IAH),
    Reason.CRITICAL_HEADER: (Step.PARSE, UNA, IAH),
    Reason.TYPE_NOT_ALLOWED: (Step.PARSE, UNA, IAH),
    Reason.CONTENT_TYPE_PRESENT: (Step.PARSE, UNA, IAH),
    Reason.ALGORITHM_NOT_ALLOWED: (Step.PARSE, UNA, IAH),
    Reason.EXTRA_AUDIENCE: (Step.PARSE, UNA, IAH),
    Reason.ISSUER_MISMATCH: (Step.KEY, DISC, IAH),
    Reason.UNKNOWN_KEY: (Step.KEY, UNA, IAH),
    Reason.AMBIGUOUS_KEY: (Step.KEY, UNA, IAH),
    Reason.KEY_NOT_SUITABLE: (Step.KEY, UNA, IAH),
    Reason.BAD_SIGNATURE: (Step.SIGNATURE, UNA, IAH),
    Reason.EXPIRED: (Step.CHECK, UNA, IAH),
    Reason.NOT_YET_VALID: (Step.CHECK, UNA, IAH),
    Reason.ISSUED_IN_THE_FUTURE: (Step.CHECK, UNA, IAH),
    Reason.NOT_AN_ID_TOKEN: (Step.CHECK, UNA, UNA),
    Reason.REFUSED_BY_CHECK: (None, "Unauthenticated", "Unauthenticated"),
    Reason.UNKNOWN_USER: (None, "Unauthenticated", "Unauthenticated"),
    Reason.INACTIVE_USER: (None, "Unauthenticated", "Unauthenticated"),
    Reason.OTHER_USER: (None, "Unauthenticated", "Unauthenticated"),
    Reason.CLOCK_UNUSABLE: (None, None, None),
    Reason.KEYS_UNAVAILABLE: (Step.KEY, DISC, IAH),
    Reason.MALFORMED_AUTHORIZATION: (None, None, None),
    Reason.REPEATED_AUTHORIZATION: (None, None, None),
    Reason.INSUFFICIENT_SCOPE: (None, None, None),
    Reason.NOT_ALLOWED: (None, None, None),
    Reason.MISCONFIGURED: (None, None, None),
}
SCHEMA, URL, INSECURE = "AuthConfigNotMatchingSchemaError", "InvalidProviderDomainUrl", "InsecureConfiguration"
PROBLEMS: dict[Problem, tuple[str, str | None]] = {
    Problem.NOT_A_CONFIG: ("CFG-01", SCHEMA),
    Problem.MISSING: ("CFG-02", SCHEMA),
    Problem.WRONG_TYPE: ("CFG-02", SCHEMA),
    Problem.MISSPELT: ("CFG-04", SCHEMA),
    Problem.UNKNOWN_TYPE: ("CFG-05", SCHEMA),
    Problem.FOREIGN_MEMBER: ("CFG-06", SCHEMA),
    Problem.SHARED_ISSUER: ("CFG-07", INSECURE),
    Problem.QUOTED: ("CFG-08", URL),
    Problem.PADDED: ("DV-24", SCHEMA),
    Problem.WELL_KNOWN: ("DV-24", URL),
    Problem.NOT_A_URL: ("CFG-10", URL),
    Problem.NO_DOT: ("CFG-11", URL),
    Problem.PLAIN_HTTP: ("DV-10", INSECURE),
    Problem.ALGORITHM: ("CFG-13", SCHEMA),
    Problem.KEY_SET_ADDRESS: ("DV-18", SCHEMA),
    Problem.KEY_SET_DATA: ("DV-18", SCHEMA),
    Problem.FETCH_ADDRESS: ("DV-10", None),
    Problem.OUT_OF_RANGE: ("CFG-009", None),
    Problem.EMPTY: ("CFG-002", None),
    Problem.AUDIENCE: ("SEC-03", None),
    Problem.UNREADABLE_FILE: ("CFG-01", None),
    Problem.NOT_A_PROVIDER: ("CFG-01", None),
    Problem.NO_PROVIDERS: ("HTP-043", None),
    Problem.NOT_A_VERIFIER: ("HTP-043", None),
    Problem.NOT_AN_APPLICATION: ("HTP-043", None),
    Problem.NOT_A_VIEW: ("HTP-043", None),
    Problem.UNKNOWN_OPTION: ("HTP-043", None),
    Problem.UNGUARDED_VIEW: ("HTP-043", None),
    Problem.NOT_ENFORCED: ("HTP-043", None),
    Problem.INSTALLED_TWICE: ("HTP-043", None),
    Problem.ENVIRONMENT: ("CFG-16", None),
    Problem.NO_MIDDLEWARE: ("HTTP-06", None),
    Problem.NO_REQUEST: ("HTTP-06", None),
    Problem.CLOSED: ("CON-008", None),
    Problem.WEAK_KEY: ("CFG-015", None),
    Problem.INSECURE_TLS: ("CFG-014", None),
}
ERRORS: list[AveVerifyError] = [
    InvalidTokenError(Reason.EXPIRED, rule="OIDC-19", kind="oidc", claim="exp"),
    InvalidTokenError(
        Reason.BAD_SIGNATURE,
        rule="RFC7515-5.2",
        kind="customJwt",
        fault=Fault.NOT_JSON,
        hint=Hint.OTHER_CLIENT,
        issuer="https://idp.example",
        kid="k",
        alg="RS256",
    ),
    KeysUnavailableError(7, kind="oidc", issuer="https://idp.example", cause="no connection to the issuer"),
    KeysUnavailableError(1, kind="customJwt", issuer="https://idp.example"),
    InvalidRequestError(),
    InvalidRequestError(Reason.REPEATED_AUTHORIZATION),
    InsufficientScopeError(("read", "write")),
    ConfigurationError(Problem.QUOTED, "issuer"),
    ConfigurationError(Problem.KEY_SET_DATA, "providers[1].jwks", "no data"),
]


def name(error: AveVerifyError) -> str:
    return f"{type(error).__name__}-{error.reason}"


def unpickled(error: AveVerifyError) -> AveVerifyError:
    loaded = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert isinstance(loaded, AveVerifyError)
    return loaded


# --- the closed lists


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_one_row_and_one_sentence(reason: Reason) -> None:
    step, oidc_code, custom_jwt_code = REASONS[reason]

    assert reason.value == reason.name
    assert InvalidTokenError(reason, rule="X-01").step is step
    assert InvalidTokenError(reason, rule="X-01", kind="oidc").convex_code == oidc_code
    assert InvalidTokenError(reason, rule="X-01", kind="customJwt").convex_code == custom_jwt_code
    assert reason.explanation.isprintable()
    assert not reason.explanation.endswith(".")


def test_the_lists_are_complete() -> None:
    assert set(REASONS) == set(Reason)
    assert set(PROBLEMS) == set(Problem)


@pytest.mark.parametrize("words", [Hint, Fault, Problem, Reason], ids=lambda words: words.__name__)
def test_no_two_members_have_the_same_sentence(words: type[Hint | Fault | Problem | Reason]) -> None:
    sentences = [word.explanation if isinstance(word, Reason) else word.value for word in words]

    assert len(set(sentences)) == len(sentences)


def test_steps_are_numbered_in_their_order() -> None:
    assert [step.value for step in Step] == [1, 2, 3, 4, 5, 6]
    assert [step.name for step in Step] == ["READ", "SELECT", "PARSE", "KEY", "SIGNATURE", "CHECK"]


@pytest.mark.parametrize("problem", list(Problem))
def test_every_problem_names_its_rule_and_convexs_code(problem: Problem) -> None:
    error = ConfigurationError(problem, "some.field", "some detail")

    assert (error.rule, error.convex_code) == PROBLEMS[problem]
    assert (error.problem, error.field, error.detail) == (problem, "some.field", "some detail")
    assert error.reason is Reason.MISCONFIGURED
    assert str(error).startswith("some.field ")
    assert "some detail" in str(error)


# --- the errors


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidTokenError, 401, "invalid_token"),
        (KeysUnavailableError, 503, None),
        (InvalidRequestError, 400, "invalid_request"),
        (InsufficientScopeError, 403, "insufficient_scope"),
        (ConfigurationError, 500, None),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_each_error_has_its_http_status_and_code(error: type[AveVerifyError], status: int, code: str | None) -> None:
    """Design §4."""
    assert issubclass(error, AveVerifyError)
    assert error.http_status == status
    assert error.error_code == code
    # RFC 6750 §3: error_description is printable ASCII without quote and backslash.
    assert error.description.isascii()
    assert error.description.isprintable()
    assert not set(error.description) & set('"\\')


def test_a_misconfiguration_is_a_value_error() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert not issubclass(InvalidTokenError, ValueError)


@pytest.mark.parametrize(("kind", "code"), [("oidc", DISC), ("customJwt", IAH)])
def test_unavailable_keys_have_the_convex_code_of_their_kind_of_provider(kind: ProviderKind, code: str) -> None:
    """DV-14."""
    error = KeysUnavailableError(7, kind=kind, issuer="https://idp.example")

    assert (error.reason, error.rule, error.step) == (Reason.KEYS_UNAVAILABLE, "DV-14", Step.KEY)
    assert (error.convex_code, error.retry_after_seconds) == (code, 7)


@pytest.mark.parametrize("error", ERRORS, ids=name)
def test_an_error_survives_pickling_and_copying_with_all_its_facts(error: AveVerifyError) -> None:
    for copied in (unpickled(error), copy.copy(error), copy.deepcopy(error)):
        assert type(copied) is type(error)
        assert str(copied) == str(error)
        assert vars(copied) == vars(error)


@pytest.mark.parametrize("error", ERRORS, ids=name)
def test_every_error_has_the_four_attributes(error: AveVerifyError) -> None:
    assert isinstance(error.reason, Reason)
    assert error.rule
    assert error.hint is None or isinstance(error.hint, Hint)
    assert error.convex_code is None or isinstance(error.convex_code, str)


def test_before_a_provider_is_selected_the_convex_code_does_not_depend_on_its_kind() -> None:
    for reason, (step, oidc_code, custom_jwt_code) in REASONS.items():
        if step in (Step.READ, Step.SELECT):
            assert oidc_code == custom_jwt_code
            assert InvalidTokenError(reason, rule="X-01").convex_code == oidc_code


def test_a_refused_token_has_its_facts_as_fields() -> None:
    """Style, habit 8: a handler needs the fields, never the message."""
    error = InvalidTokenError(
        Reason.UNKNOWN_KEY, rule="OIDC-12", kind="oidc", claim="kid", fault=Fault.MEMBER_TYPE, hint=Hint.NOT_TEXT,
        issuer="https://idp.example", kid="k", alg="RS256",
    )  # fmt: skip

    assert (error.reason, error.rule, error.step) == (Reason.UNKNOWN_KEY, "OIDC-12", Step.KEY)
    assert (error.claim, error.fault, error.hint) == ("kid", Fault.MEMBER_TYPE, Hint.NOT_TEXT)
    assert (error.issuer, error.kid, error.alg) == ("https://idp.example", "k", "RS256")


# --- the sentences: one test for each error pins its own


def test_the_sentence_of_a_refused_token() -> None:
    error = InvalidTokenError(
        Reason.UNKNOWN_KEY, rule="OIDC-12", kind="oidc", issuer="https://idp.example", kid="k\r\n1", alg="RS256",
        claim="kid", fault=Fault.MEMBER_TYPE, hint=Hint.OTHER_CLIENT,
    )  # fmt: skip

    assert str(error) == (
        "UNKNOWN_KEY (OIDC-12, step 4): the issuer publishes no key that fits the token; in kid, a member has the wrong"
        " type, iss 'https://idp.example', alg 'RS256', kid 'k\\r\\n1'. Hint: the token is for another client id than"
        " the configured one"
    )


def test_the_shortest_sentence_of_a_refused_token() -> None:
    error = InvalidTokenError(Reason.CLOCK_UNUSABLE, rule="CLK-003")

    assert str(error) == "CLOCK_UNUSABLE (CLK-003): this machine's clock returns no usable time"


def test_the_sentence_of_unavailable_keys() -> None:
    error = KeysUnavailableError(7, kind="oidc", issuer="https://idp.example", cause="the deadline passed")

    assert str(error) == (
        "KEYS_UNAVAILABLE (DV-14, step 4): the issuer's keys are unavailable, so the token was not judged; issuer"
        " 'https://idp.example', retry in 7 s, the deadline passed"
    )


def test_the_sentence_of_a_malformed_header() -> None:
    assert str(InvalidRequestError()) == (
        "MALFORMED_AUTHORIZATION (RFC6750-2.1): the credentials of the request are malformed"
    )


def test_the_sentence_of_a_missing_scope() -> None:
    assert str(InsufficientScopeError(("read", "write"))) == (
        "INSUFFICIENT_SCOPE (RFC6750-3.1): the token lacks a required scope; required read write"
    )


def test_the_sentence_of_a_misconfiguration() -> None:
    assert str(ConfigurationError(Problem.QUOTED, "issuer", "detail")) == (
        "issuer begins or ends with a quote; remove the quotes (detail) [CFG-08]"
    )


# --- hostile texts

HOSTILE = {
    "CRLF": "k\r\nSet-Cookie: x",
    "ANSI": "\x1b[31mred\x1b[0m",
    "lone surrogate": "\ud800",
    "right-to-left": "\u202eabc",
    "line separator": "a\u2028b\u0085c",
    "NUL": "\x00",
    "quotes": "'\"'",
    "backslash": "\\",
    "emoji": "😀" * 200,
    "a megabyte": "k" * 1_000_000,
    "a megabyte of surrogates": "\udfff" * 1_000_000,
    "nothing": "",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_quoted_escaped_and_shortened(text: str) -> None:
    """ERR-003."""
    shown = quote(text)

    assert shown.isascii()
    assert shown.isprintable()
    assert shown[0] in "'\""
    assert len(shown) <= 1_100


@pytest.mark.parametrize("length", [95, 96, 97], ids=["one below", "at the limit", "one above"])
def test_a_text_is_shortened_above_its_limit(length: int) -> None:
    shown = quote("k" * length)

    assert shown.count("k") == min(length, 96)
    assert (shown == f"'{'k' * length}'") is (length <= 96)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("https://user:s3cret@idp.example", id="credentials"),
        pytest.param("https://s3cret@idp.example/x", id="a user"),
        pytest.param("https://user:" + "s3cret" * 30 + "@idp.example", id="credentials longer than what is shown"),
        pytest.param("https://a@s3cret@idp.example", id="two at signs"),
    ],
)
def test_the_credentials_of_an_address_are_never_shown(text: str) -> None:
    """ERR-002; DSC-009."""
    assert "s3cret" not in quote(text)


@pytest.mark.parametrize(
    ("length", "whole"), [(4095, True), (4096, True), (4097, False)], ids=["one below", "at the limit", "one above"]
)
def test_a_text_is_read_up_to_a_limit(length: int, *, whole: bool) -> None:
    """The credentials are looked for in 4,096 characters; a longer text is shown without its rest."""
    text = "https://" + "u" * (length - 12) + "@h.x"

    assert quote(text) == "'https://...@h.x'" if whole else quote(text).endswith("...")


@pytest.mark.parametrize("field", ["issuer", "kid", "alg"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_message_is_more_than_one_short_line(field: str, text: str) -> None:
    facts = {field: text}

    message = str(InvalidTokenError(Reason.UNKNOWN_KEY, rule="X-01", issuer=facts.get("issuer"), kid=facts.get("kid"),
                                    alg=facts.get("alg")))  # fmt: skip

    assert message.isprintable()
    assert len(message) < 1_300


# --- what hangs on an error


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("s3cret", id="no token"),
        pytest.param("e30.s3cret.s3cret", id="payload"),
        pytest.param("é" * 20, id="not ASCII"),
        pytest.param("s3cret" + rs256().token(), id="header"),
        pytest.param(rs256().token(good_claims(email="s3cret", exp=NOW - 100)), id="expired"),
        pytest.param(rs256().token(good_claims(email="s3cret"))[:-4] + "AAAA", id="signature"),
        pytest.param(rs256().token(good_claims(aud="s3cret")), id="audience"),
        pytest.param(rs256().token(good_claims(nbf="s3cret")), id="type of a date"),
        pytest.param(rs256().token(good_claims(sub=["s3cret"])), id="type of the subject"),
    ],
)
def test_an_error_holds_nothing_of_its_token(token: str) -> None:
    """ERR-002: message, repr, attributes, pickle, cause and context are free of it."""
    with custom_jwt_verifier(rs256().jwk) as verifier, pytest.raises(InvalidTokenError) as caught:
        verifier.verify(token)
    error = caught.value

    assert error.__context__ is None
    assert error.__cause__ is None
    for shown in (str(error), repr(error), str(vars(error)), repr(pickle.dumps(error))):
        assert "s3cret" not in shown
        assert token not in shown


def test_a_hint_function_is_called_once_when_the_hint_is_first_read() -> None:
    calls = []

    def find_hint() -> Hint:
        calls.append(1)
        return Hint.SIMILAR_ISSUER

    error = InvalidTokenError(Reason.UNKNOWN_ISSUER, rule="SEL-04", issuer="https://a.example", hint=find_hint)

    assert calls == []
    assert (error.hint, error.hint) == (Hint.SIMILAR_ISSUER, Hint.SIMILAR_ISSUER)
    assert calls == [1]
    assert Hint.SIMILAR_ISSUER.value in str(error)
    assert unpickled(error).hint is Hint.SIMILAR_ISSUER


def test_a_copy_without_traceback_is_equal_in_every_fact() -> None:
    error = raised_once()
    copied = error.copy_without_traceback()

    assert error.__traceback__ is not None
    assert copied.__traceback__ is None
    assert (str(copied), repr(copied)) == (str(error), repr(error))
    assert copied.__reduce__() == error.__reduce__()


def raised_once() -> InvalidTokenError:
    with pytest.raises(InvalidTokenError) as caught:
        raise InvalidTokenError(
            Reason.BAD_SIGNATURE, rule="R", kind="oidc", claim="c", fault=Fault.SEGMENTS, hint=Hint.QUOTED,
            issuer="i", kid="k", alg="a",
        )  # fmt: skip
    return caught.value


def test_a_refused_token_leaves_no_reference_cycle() -> None:
    """A flood of bad tokens must not make work for the garbage collector."""
    with oidc_verifier(rs256().jwk) as verifier:
        good = rs256().token()
        bad = [f"{good[:-4]}AAAA", "no.token", rs256().token(kid="other"), rs256().token(good_claims(exp=1))]
        for token in bad * 3:
            with contextlib.suppress(InvalidTokenError):
                verifier.verify(token)
        gc.collect()
        gc.disable()
        try:
            for token in bad:
                with contextlib.suppress(InvalidTokenError):
                    verifier.verify(token)
            assert gc.collect() == 0
        finally:
            gc.enable()
