"""Base64url, JSON, dates, selection and flattening, each against a second and simpler way to say the same."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from math import floor, isfinite
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from aveverify._core.jose.encoding import EncodingError, JsonValue, decode_base64url
from aveverify._core.jose.jwt_claims import MAX_NUMERIC_DATE, round_date
from aveverify._core.jose.strict_json import parse_json_document, parse_json_object, repeated_members
from aveverify._core.jose.timestamps import END_SECONDS, MIN_SECONDS, format_timestamp
from aveverify._core.rules import custom_jwt, oidc
from aveverify._core.rules.provider_index import ProviderIndex
from aveverify._core.rules.user_claims import custom_jwt_custom_claims
from aveverify.errors import InvalidTokenError
from tests.core.jose_factory import NOW, Json, encode, read
from tests.core.rules.test_provider_index import Configured
from tests.property import strategies
from tests.suite.effort import examples

# --- base64url: RFC 4648 §5, §3.5


@given(data=st.binary(max_size=100))
def test_base64url_makes_the_round_trip(data: bytes) -> None:
    assert decode_base64url(encode(data).encode()) == data


ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(text=st.binary(max_size=12) | st.lists(st.sampled_from(list(ALPHABET)), max_size=12).map(bytes))
def test_whatever_base64url_decodes_is_the_only_spelling_of_its_bytes(text: bytes) -> None:
    """DV-02: one token has one spelling."""
    try:
        data = decode_base64url(text)
    except EncodingError:
        # Then it is foreign to the alphabet, impossibly long, or another spelling of something.
        foreign = text.translate(None, ALPHABET) or len(text) % 4 == 1
        assert foreign or encode(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))).encode() != text
    else:
        assert encode(data).encode() == text


@given(text=st.lists(st.sampled_from(list(ALPHABET)), max_size=12).map(bytes))
def test_with_unused_bits_every_text_of_the_alphabet_decodes(text: bytes) -> None:
    assume(len(text) % 4 != 1)

    assert decode_base64url(text, allow_nonzero_trailing_bits=True) == base64.urlsafe_b64decode(
        text + b"=" * (-len(text) % 4)
    )


# --- JSON: RFC 8259, RFC 7493


def exact(value: JsonValue) -> JsonValue:
    """A value with the type of each scalar beside it; floats by their bits."""
    match value:
        case dict():
            return {name: exact(member) for name, member in value.items()}
        case list():
            return [exact(entry) for entry in value]
        case float():
            return "float", value.hex()
        case _:
            return type(value).__name__, value


def depth(value: JsonValue) -> int:
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
        case _:
            return 0


def numbers(value: JsonValue) -> list[float]:
    match value:
        case dict():
            return [number for member in value.values() for number in numbers(member)]
        case list():
            return [number for entry in value for number in numbers(entry)]
        case int() | float():
            return [value]
        case _:
            return []


class _Repeated(Exception):  # noqa: N818 - a signal between two functions
    """A member name occurs twice."""


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Repeated
    return members


pieces = st.sampled_from(
    [
        "{", "}", "[", "]", ":", ",", '"a"', '"b"', '"\\u0061"', '"\\ud800"', '"\\ud83d\\ude00"', "1", "-0", "1.5",
        "1e400", "1e5", "9" * 320, "true", "null", "NaN", "Infinity", "-Infinity", " ", "\n", "\x0b", '"', "\\", "\x00",
        "é", "\ufeff",
    ]
)  # fmt: skip
json_texts: st.SearchStrategy[bytes] = (
    st.lists(pieces, max_size=20).map(lambda parts: "".join(parts).encode())
    | strategies.damaged(strategies.json_values.map(lambda value: json.dumps({"a": value}).encode()))
    | st.dictionaries(st.text(max_size=4), strategies.json_values, max_size=4).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
    | st.binary(max_size=30)
)


@settings(max_examples=examples(400))
@given(data=json_texts)
@example(data=b'{"a":1,"a":1}')
@example(data=b'{"a":NaN}')
@example(data=b'{"a":[{"b":1,"b":2}]}')
def test_what_the_strict_parser_takes_every_parser_takes_with_the_same_value(data: bytes) -> None:
    """SEC-13: two parsers must not see two tokens."""
    try:
        value = parse_json_object(data)
    except EncodingError:
        return
    text = data.decode()

    assert exact(json.loads(text)) == exact(value)
    assert exact(json.loads(text, object_pairs_hook=_unique)) == exact(value)
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert depth(value) <= 127


@settings(max_examples=examples(400))
@given(data=json_texts)
def test_what_the_strict_parser_refuses_has_a_reason(data: bytes) -> None:
    """It refuses nothing that RFC 7493 allows."""
    try:
        parse_json_object(data)
    except EncodingError:
        pass
    else:
        return
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        finite = all(isfinite(float(number)) for number in numbers(value))
    except (ValueError, OverflowError, RecursionError, _Repeated):
        return
    assert not isinstance(value, dict) or not finite or data.startswith(b"\xef\xbb\xbf")


@given(value=st.dictionaries(st.text(max_size=5), strategies.json_values, max_size=5))
def test_json_makes_the_round_trip(value: Json) -> None:
    assume(all(isfinite(float(number)) if abs(number) < 10**308 else False for number in numbers(value)))

    assert exact(parse_json_object(json.dumps(value).encode())) == exact(value)
    assert exact(parse_json_object(json.dumps(value, ensure_ascii=False).encode())) == exact(value)


@given(pairs=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=6))
def test_a_document_remembers_exactly_the_names_that_repeat(pairs: list[tuple[str, int]]) -> None:
    names = [name for name, _ in pairs]
    document = parse_json_document(("{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}").encode())

    assert repeated_members(document) == {name for name in names if names.count(name) > 1}
    assert document == dict(pairs)


# --- dates


@given(moment=st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)))  # noqa: DTZ001 - made aware below
def test_a_date_is_that_of_the_calendar(moment: datetime) -> None:
    """CLM-10, where `datetime` can follow."""
    aware = moment.replace(tzinfo=UTC)
    whole = aware.replace(microsecond=0)
    seconds = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)

    assert format_timestamp(seconds) == whole.isoformat().replace("+00:00", "") + "+00:00"
    assert format_timestamp(aware.isoformat()) == expected_text(aware)


@given(
    moment=st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),  # noqa: DTZ001 - made aware below
    minutes=st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_an_offset_is_taken_off(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert format_timestamp(aware.isoformat()) == expected_text(aware.astimezone(UTC))


def expected_text(moment: datetime) -> str:
    fraction = f".{moment.microsecond:06d}" if moment.microsecond else ""
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + fraction.removesuffix("000") + "+00:00"


@given(seconds=st.integers(MIN_SECONDS, END_SECONDS - 1 - 146_097 * 86_400))
def test_the_calendar_repeats_every_four_hundred_years(seconds: int) -> None:
    """The Gregorian calendar has 146,097 days in 400 years: what holds where `datetime` reaches holds everywhere."""
    one, other = (format_timestamp(value) for value in (seconds, seconds + 146_097 * 86_400))

    assert one is not None
    assert other is not None
    assert one[-21:] == other[-21:]
    assert int(other[:-21]) - int(one[:-21]) == 400


@given(value=st.floats(MIN_SECONDS, END_SECONDS, exclude_max=True))
def test_a_fraction_is_rounded_down(value: float) -> None:
    shown = format_timestamp(value)

    assert shown is not None
    whole, _, digits = shown.removesuffix("+00:00").partition(".")
    assert len(digits) in (0, 3, 6, 9)
    if -1e-9 < value < 0:
        # As a double, the fraction may round up to a whole second.
        return
    assert whole == str(format_timestamp(floor(value))).removesuffix("+00:00")
    assert abs(Fraction(value) - floor(value) - Fraction(int(digits or "0"), 10 ** (len(digits) or 1))) < Fraction(
        2, 10**9
    )


@given(value=st.floats(0, MAX_NUMERIC_DATE) | st.integers(0, MAX_NUMERIC_DATE))
def test_a_date_is_rounded_to_the_nearest_second_halves_up(value: float) -> None:
    """PRE-05."""
    assert round_date(value) == floor(Fraction(value) + Fraction(1, 2))


# --- the validity of a result

some_dates = (
    st.floats(0, 5000) | st.integers(0, 5000) | st.floats(0, MAX_NUMERIC_DATE) | st.integers(NOW - 10, NOW + 10)
)
leeways = st.just(0) | st.just(5) | st.floats(0, 300) | st.integers(0, 300)
offsets = st.floats(0, 1, exclude_max=True)


@settings(max_examples=examples(300))
@given(exp=some_dates, leeway_seconds=leeways, back=st.integers(0, 400), fraction=offsets)
def test_inside_its_window_an_oidc_token_has_not_expired(
    exp: float, leeway_seconds: float, back: int, fraction: float
) -> None:
    """TOK-006."""
    start, end = oidc.compute_validity({"exp": exp}, leeway_seconds)
    second = max(start, end - 1 - back)
    assume(second < end)

    oidc.check_claims({"exp": exp}, second, leeway_seconds)
    if second + fraction < end:
        oidc.check_claims({"exp": exp}, second + fraction, leeway_seconds)


@settings(max_examples=examples(300))
@given(
    exp=some_dates,
    nbf=st.none() | some_dates,
    iat=st.none() | some_dates,
    leeway_seconds=leeways,
    where=st.sampled_from(["start", "end"]),
    offset=st.integers(0, 400),
    fraction=offsets,
)
def test_inside_its_window_a_custom_jwt_token_passes_all_three_checks(  # noqa: PLR0913, PLR0917 - all that there is
    exp: float, nbf: float | None, iat: float | None, leeway_seconds: float, where: str, offset: int, fraction: float
) -> None:
    """TOK-006; TOK-007."""
    claims: Json = {"exp": exp, "nbf": nbf, "iat": iat, "sub": "u"}
    start, end = custom_jwt.compute_validity(claims, leeway_seconds)
    second = min(start + offset, end - 1) if where == "start" else max(end - 1 - offset, start)
    assume(start <= second < end)

    custom_jwt.check_claims(claims, second, leeway_seconds)
    if second + fraction < end:
        custom_jwt.check_claims(claims, second + fraction, leeway_seconds)


@settings(max_examples=examples(300))
@given(exp=some_dates, leeway_seconds=leeways, now=some_dates)
def test_the_two_paths_expire_by_their_own_formula(exp: float, leeway_seconds: float, now: float) -> None:
    """Design §4, in exact arithmetic."""
    seconds = floor(now)
    oidc_expired = Fraction(seconds) - Fraction(exp) >= Fraction(leeway_seconds)
    custom_expired = Fraction(seconds) - floor(Fraction(exp) + Fraction(1, 2)) > Fraction(leeway_seconds)

    assert refuses(lambda: custom_jwt.check_claims({"exp": exp, "sub": "u"}, now, leeway_seconds)) is custom_expired
    # A double keeps 15 digits: within a microsecond of the edge its rounding may decide.
    assume(
        abs(Fraction(seconds) - Fraction(exp) - Fraction(leeway_seconds)) > Fraction(1, 10**4) or leeway_seconds == 0
    )
    assert refuses(lambda: oidc.check_claims({"exp": exp}, now, leeway_seconds)) is oidc_expired


def refuses(check: Any) -> bool:
    try:
        check()
    except InvalidTokenError:
        return True
    return False


# --- selection

ISSUERS = ["https://a.example", "https://a.example/", "http://a.example", "https://b.example//", "https://b.example/x"]
WRITTEN = [*ISSUERS, "a.example", "b.example/x/", "https://A.example", "HTTPS://a.example", "", "/"]


def simple_selection(providers: list[Configured], issuer: str, audiences: list[str]) -> int | None:
    """SEL-01 to SEL-05 in one loop."""
    full = issuer if issuer.startswith(("https://", "http://")) else "https://" + issuer
    for index, provider in enumerate(providers):
        fits = provider.application_id is None or provider.application_id in audiences
        if full.rstrip("/") == provider.issuer.rstrip("/") and fits:
            return index
    return None


@settings(max_examples=examples(300))
@given(
    providers=st.lists(
        st.builds(Configured, st.sampled_from(ISSUERS), st.none() | st.sampled_from(["x", "y", ""])), max_size=6
    ),
    issuer=st.sampled_from(WRITTEN),
    audiences=st.lists(st.sampled_from(["x", "y", "", "z"]), max_size=4),
)
def test_the_dictionary_selects_what_a_loop_would(
    providers: list[Configured], issuer: str, audiences: list[str]
) -> None:
    """SEL-03."""
    claims = read({"iss": issuer, "aud": audiences})
    found: int | None
    try:
        found = ProviderIndex(providers).select(claims)
    except InvalidTokenError:
        found = None

    assert found == simple_selection(providers, issuer, audiences)


# --- flattening


def simple_flattening(members: Json) -> list[tuple[str, Any]]:
    """CJ-24: every leaf with its path, in the order of the text."""
    found: list[tuple[str, Any]] = []
    for name, value in members.items():
        if isinstance(value, dict):
            found += [(f"{name}.{inner}", leaf) for inner, leaf in simple_flattening(value)]
        else:
            found.append((name, value))
    return found


names = st.sampled_from(["a", "b", "a.b", "", ".", "iss", "sub", "exp", "fva", "issuer", "subject", "tokenIdentifier"])


@settings(max_examples=examples(300))
@given(
    claims=st.dictionaries(
        names,
        st.recursive(
            st.integers(0, 3) | st.none() | st.just([{"a": 1}]),
            lambda inner: st.dictionaries(names, inner, max_size=3),
            max_leaves=8,
        ),
        max_size=5,
    )
)
def test_claims_are_flattened_as_the_rules_say(claims: Json) -> None:
    """CJ-23 to CJ-26; DV-07."""
    registered = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}
    leaves = simple_flattening({name: value for name, value in claims.items() if name not in registered})
    # CJ-25: of several with one name, the last.
    expected = {name: value for name, value in leaves if name not in ("fva", "tokenIdentifier", "issuer", "subject")}

    assert custom_jwt_custom_claims(claims) == expected


@pytest.mark.parametrize("count", [10, 1000], ids=lambda count: f"{count} providers")
def test_the_last_of_many_providers_is_found(count: int) -> None:
    providers = [Configured(f"https://{index}.example", "x") for index in range(count)]

    assert ProviderIndex(providers).select(read({"iss": f"https://{count - 1}.example", "aud": "x"})) == count - 1
