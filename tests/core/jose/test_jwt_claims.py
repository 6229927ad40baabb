"""Step 1: what a token says of itself, and which tokens say nothing that can be read."""

from __future__ import annotations

from typing import Any

import pytest

from aveverify._core.jose.encoding import JsonValue
from aveverify._core.jose.jwt_claims import (
    MAX_NUMERIC_DATE,
    check_numeric_date,
    read_claims,
    round_date,
    token_bytes,
)
from aveverify.errors import Fault, Hint, Reason, Step
from tests.core.jose_factory import ISSUER, compact, encode, good_claims, json_bytes, read, refused, without

# --- the text of a token


@pytest.mark.parametrize("token", ["a.b.c", b"a.b.c"], ids=["text", "bytes"])
def test_a_token_is_text_or_bytes(token: str | bytes) -> None:
    assert token_bytes(token, 100) == b"a.b.c"


@pytest.mark.parametrize(
    "token",
    [None, 1, bytearray(b"a.b.c"), memoryview(b"a.b.c"), ["a.b.c"]],
    ids=["None", "number", "bytearray", "memoryview", "list"],
)
def test_other_types_are_a_mistake_of_the_caller(token: Any) -> None:
    with pytest.raises(TypeError):
        token_bytes(token, 100)


@pytest.mark.parametrize("make", [str, lambda text: text.encode()], ids=["text", "bytes"])
def test_a_token_has_a_longest_length(make: Any) -> None:
    """ENC-042: just below, at and just above the limit."""
    assert token_bytes(make("a" * 99), 100) == b"a" * 99
    assert token_bytes(make("a" * 100), 100) == b"a" * 100
    error = refused(lambda: token_bytes(make("a" * 101), 100))
    assert (error.reason, error.rule, error.step) == (Reason.TOKEN_TOO_LARGE, "ENC-042", Step.READ)


FOREIGN = pytest.mark.parametrize(
    "foreign", ["é", "\ud800", "\u200b", "\ufeff", b"\xe9", b"\xff"],
    ids=["é", "lone surrogate", "zero-width blank", "byte order mark", "latin-1", "0xff"],
)  # fmt: skip


@FOREIGN
def test_a_payload_outside_ascii_is_malformed(foreign: str | bytes) -> None:
    """PRE-01; ENC-013 to ENC-019."""
    token = f"a.{foreign}.c" if isinstance(foreign, str) else b"a." + foreign + b".c"
    error = refused(lambda: read_claims(token_bytes(token, 100)))

    assert (error.reason, error.rule, error.fault) == (Reason.MALFORMED_PAYLOAD, "PRE-02", Fault.NOT_ASCII)


@FOREIGN
def test_header_and_signature_outside_ascii_are_not_looked_at_yet(foreign: str | bytes) -> None:
    """PRE-07: the provider is chosen first."""
    data = token_bytes(foreign, 100)
    payload = encode(json_bytes(good_claims())).encode()

    claims = read_claims(b".".join([data, payload, data]))

    assert claims.issuer == ISSUER


def test_the_bound_holds_for_bytes_and_for_characters() -> None:
    """ENC-042: just below, at and just above, of a text whose characters take two bytes each."""
    assert token_bytes("é" * 49, 100) == "é".encode() * 49
    assert token_bytes("é" * 50, 100) == "é".encode() * 50
    assert refused(lambda: token_bytes("é" * 51, 100)).reason is Reason.TOKEN_TOO_LARGE


def test_size_is_looked_at_before_anything_else() -> None:
    assert refused(lambda: token_bytes("é" * 101, 100)).reason is Reason.TOKEN_TOO_LARGE


# --- the payload


def test_the_claims_of_a_good_token_are_read_and_header_and_signature_left_alone() -> None:
    """PRE-07."""
    payload = b'{"iss":"i","aud":["a","b"]}'
    claims = read_claims(b"?." + encode(payload).encode() + b".?")

    assert claims.issuer == "i"
    assert claims.audiences == ("a", "b")
    assert claims.payload == payload
    assert claims.claims == {"iss": "i", "aud": ["a", "b"]}
    assert (claims.token[: claims.header_end], claims.token[claims.payload_end :]) == (b"?", b".?")


def test_a_token_of_two_segments_is_read_and_refused_later() -> None:
    """PRE-01 asks for segment 1 alone; the missing third one is found in step 3."""
    claims = read_claims(b"?." + encode(b'{"iss":"i"}').encode())

    assert claims.issuer == "i"
    assert claims.payload_end == -1


@pytest.mark.parametrize("token", [b"", b"eyJ", b"opaque_token"], ids=["nothing", "one segment", "opaque"])
def test_a_text_without_a_dot_is_malformed(token: bytes) -> None:
    error = refused(lambda: read_claims(token))

    assert (error.reason, error.rule, error.fault) == (Reason.MALFORMED_TOKEN, "PRE-01", Fault.SEGMENTS)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        pytest.param("A", Fault.NOT_BASE64URL, id="impossible length"),
        pytest.param(encode(b'{"iss":"i"}') + "=", Fault.NOT_BASE64URL, id="padding"),
        pytest.param("", Fault.NOT_JSON, id="empty"),
        pytest.param(encode(b"[1]"), Fault.NOT_OBJECT, id="array"),
        pytest.param(encode(b'{"iss":"i","iss":"i"}'), Fault.REPEATED_MEMBER, id="a name twice"),
        pytest.param(encode(b'{"iss":"\\ud800"}'), Fault.LONE_SURROGATE, id="lone surrogate"),
        pytest.param(encode(b'{"exp":1e400}'), Fault.NUMBER_RANGE, id="beyond a double"),
        pytest.param(encode(b'{"iss":"\xff"}'), Fault.NOT_UTF8, id="not UTF-8"),
        pytest.param(encode(b'{"a":' + b"[" * 127 + b"]" * 127 + b"}"), Fault.TOO_DEEP, id="too deep"),
    ],
)
def test_a_payload_that_cannot_be_read_is_malformed(payload: str, fault: Fault) -> None:
    error = refused(lambda: read_claims(f"e30.{payload}.AA".encode()))

    assert (error.reason, error.rule, error.fault) == (Reason.MALFORMED_PAYLOAD, "PRE-02", fault)
    assert error.convex_code == "InvalidAuthHeader"


# --- the registered claims


@pytest.mark.parametrize("value", [1, 1.5, True, [], {}, ["x"]], ids=["1", "1.5", "true", "[]", "{}", "list"])
@pytest.mark.parametrize("name", ["iss", "sub", "jti"])
def test_text_claims_are_text(name: str, value: JsonValue) -> None:
    """PRE-03."""
    error = refused(lambda: read(good_claims(**{name: value})))

    assert (error.reason, error.rule) == (Reason.CLAIM_TYPE, "PRE-03")
    assert (error.claim, error.hint) == (name, Hint.NOT_TEXT)


@pytest.mark.parametrize("name", ["sub", "jti", "aud", "exp", "nbf", "iat"])
def test_null_is_absent_for_every_registered_claim_but_the_issuer(name: str) -> None:
    assert read(good_claims(**{name: None})).issuer == ISSUER


@pytest.mark.parametrize("claims", [without(good_claims(), "iss"), good_claims(iss=None)], ids=["absent", "null"])
def test_the_issuer_is_required(claims: dict[str, Any]) -> None:
    error = refused(lambda: read(claims))

    assert (error.reason, error.rule, error.claim) == (Reason.CLAIM_MISSING, "PRE-06", "iss")


def test_the_end_of_the_calendar_is_the_last_second_of_the_year_9999() -> None:
    assert MAX_NUMERIC_DATE == 253_402_300_799


def test_an_empty_issuer_is_an_issuer() -> None:
    assert read(good_claims(iss="")).issuer == ""


@pytest.mark.parametrize(
    ("aud", "audiences"),
    [("a", ("a",)), ("", ("",)), (["a", "b"], ("a", "b")), (["a", "a"], ("a", "a")), ([], ()), (None, ())],
    ids=["text", "empty text", "list", "the same twice", "empty list", "null"],
)
def test_audiences_are_read(aud: JsonValue, audiences: tuple[str, ...]) -> None:
    assert read(good_claims(aud=aud)).audiences == audiences


def test_no_audience_claim_is_no_audience() -> None:
    assert read(without(good_claims(), "aud")).audiences == ()


@pytest.mark.parametrize(
    "aud",
    [1, True, {}, {"a": "b"}, ["a", 1], ["a", None], [["a"]]],
    ids=["number", "boolean", "empty object", "object", "list with a number", "list with null", "list in a list"],
)
def test_audiences_are_text(aud: JsonValue) -> None:
    error = refused(lambda: read(good_claims(aud=aud)))

    assert (error.reason, error.rule, error.claim) == (Reason.CLAIM_TYPE, "PRE-03", "aud")


@pytest.mark.parametrize("value", ["1", True, False, [], {}], ids=["text", "true", "false", "list", "object"])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_dates_are_numbers_and_booleans_are_not(name: str, value: JsonValue) -> None:
    error = refused(lambda: read(good_claims(**{name: value})))

    assert (error.reason, error.rule) == (Reason.CLAIM_TYPE, "PRE-03")
    assert (error.claim, error.hint) == (name, Hint.NOT_NUMBER)


@pytest.mark.parametrize(
    "value",
    [0, 0.0, -0.0, 0.5, MAX_NUMERIC_DATE - 1, MAX_NUMERIC_DATE, float(MAX_NUMERIC_DATE), MAX_NUMERIC_DATE - 0.5],
    ids=["0", "0.0", "-0.0", "0.5", "a second before the end", "the end", "the end as a double", "just before"],
)
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_dates_reach_from_the_epoch_to_the_end_of_the_year_9999(name: str, value: float) -> None:
    """PRE-05; DV-01; CLK-005."""
    assert read(good_claims(**{name: value})).claims[name] == value


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        pytest.param(-1, None, id="a second before the epoch"),
        pytest.param(-0.001, None, id="just before the epoch"),
        pytest.param(MAX_NUMERIC_DATE + 1, None, id="a second after the end"),
        pytest.param(MAX_NUMERIC_DATE + 0.001, None, id="just after the end, compared before rounding"),
        pytest.param(1_700_000_000_000, Hint.MILLISECONDS, id="milliseconds"),
        pytest.param(1_000_000_000_000, None, id="not later than milliseconds of 2001"),
        pytest.param(1_000_000_000_001, Hint.MILLISECONDS, id="milliseconds of 2001"),
        pytest.param(MAX_NUMERIC_DATE * 1000, Hint.MILLISECONDS, id="the end in milliseconds"),
        pytest.param(MAX_NUMERIC_DATE * 1000 + 1, None, id="after the end in milliseconds"),
        pytest.param(10**300, None, id="absurd"),
    ],
)
def test_dates_outside_the_calendar_are_refused(value: float, hint: Hint | None) -> None:
    error = refused(lambda: check_numeric_date("exp", value))

    assert (error.reason, error.rule) == (Reason.CLAIM_OUT_OF_RANGE, "DV-01")
    assert (error.claim, error.hint) == ("exp", hint)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (0, 0), (7, 7), (7.0, 7), (7.25, 7), (7.49, 7), (7.5, 8), (7.75, 8), (8.5, 9),
        (1_699_999_994.49, 1_699_999_994), (1_699_999_994.5, 1_699_999_995), (0.49999999999999994, 0),
        (4_503_599_627_370_495.5, 4_503_599_627_370_496),
    ],
    ids=str,
)  # fmt: skip
def test_a_date_is_rounded_to_the_nearest_second_halves_up(value: float, rounded: int) -> None:
    """PRE-05: neither to even, nor by adding a half, which would round 0.49999999999999994 up."""
    assert round_date(value) == rounded
    assert type(round_date(value)) is int


def test_types_come_before_the_missing_issuer() -> None:
    assert refused(lambda: read({"exp": "soon"})).reason is Reason.CLAIM_TYPE


# --- what most likely went wrong


@pytest.mark.parametrize(
    ("token", "hint"),
    [
        pytest.param(b"rt_0123456789", Hint.OPAQUE_TOKEN, id="refresh token"),
        pytest.param(b"Bearer abc", Hint.BEARER_PREFIX, id="scheme in front of an opaque token"),
        pytest.param(b"bearer: abc.?.def", Hint.BEARER_PREFIX, id="the header's name as well"),
        pytest.param(b" Bearer abc.?.def", Hint.BEARER_PREFIX, id="blank and scheme"),
        pytest.param(b'{"access_token":"abc"}', Hint.JSON_SERIALIZATION, id="JSON"),
        pytest.param(b'\n {"payload":"e30","signatures":[]}', Hint.JSON_SERIALIZATION, id="JSON after white space"),
        pytest.param(b'"opaque"', Hint.QUOTED, id="quotes"),
        pytest.param(b"opaque\n", Hint.QUOTED, id="line feed"),
        pytest.param(b"'a.?.b'", Hint.QUOTED, id="single quotes"),
        pytest.param(b"e30.?.iv.text.tag", Hint.ENCRYPTED, id="five segments"),
        pytest.param(b"e30..iv.text.tag", Hint.ENCRYPTED, id="five segments, direct encryption"),
        pytest.param(b"e30.?.x", None, id="nothing special"),
        pytest.param(b"", None, id="nothing at all"),
    ],
)
def test_the_form_of_a_text_that_is_no_token_is_recognised(token: bytes, hint: Hint | None) -> None:
    assert refused(lambda: read_claims(token)).hint is hint


# --- no leaks


def test_the_claims_of_an_unverified_token_have_no_repr() -> None:
    """ERR-006."""
    claims = read_claims(compact({}, good_claims(secret="s3cret")))

    assert "s3cret" not in repr(claims)
    assert ISSUER not in repr(claims)
