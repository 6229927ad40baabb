"""Identities as headers: encoded so that nothing gets out, and signed so that nobody else gets in."""

from __future__ import annotations

import base64
import hmac
import json
import string
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveverify import ConfigurationError, Identity, Verifier
from aveverify.identity_header import IdentityHeaderError, IdentitySigner, encode_text, read_identity
from aveverify.testing import FakeClock, FakeIssuer
from tests.hmac_keys import KEY_TEXT as KEY
from tests.hmac_keys import OTHER_KEY


@pytest.fixture
def identity(verifier: Verifier, issuer: FakeIssuer) -> Identity:
    return verifier.verify(issuer.token(sub="ada"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_becomes_visible_ascii_and_comes_back(text: str) -> None:
    written = encode_text(text)

    assert set(written) <= set(string.printable[:94])
    assert unquote(written, errors="strict") == text


def test_what_is_visible_stays_as_it_is() -> None:
    assert encode_text("https://issuer.test|user_1+a@b") == "https://issuer.test|user_1+a@b"


def test_a_header_counts_for_its_time_and_no_longer(identity: Identity, clock: FakeClock) -> None:
    value = IdentitySigner(KEY, lifetime_seconds=60, clock=clock)(identity)

    clock.tick(seconds=64)
    assert read_identity(value, key=KEY, clock=clock)["subject"] == "ada"
    clock.tick(seconds=1)
    with pytest.raises(IdentityHeaderError, match="no longer counts"):
        read_identity(value, key=KEY, clock=clock)


def test_a_header_never_outlives_its_token(identity: Identity, clock: FakeClock) -> None:
    clock.tick(seconds=identity.expires_at - clock.now() - 10)
    value = IdentitySigner(KEY, clock=clock)(identity)

    assert jwt.decode(value, options={"verify_signature": False})["exp"] == identity.expires_at


def test_a_header_of_the_future_is_refused(identity: Identity, clock: FakeClock) -> None:
    value = IdentitySigner(KEY, clock=FakeClock(now=clock.now() + 6))(identity)

    with pytest.raises(IdentityHeaderError):
        read_identity(value, key=KEY, clock=clock)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"key": OTHER_KEY}, id="another key"),
        pytest.param({"algorithm": "HS512"}, id="another algorithm"),
        pytest.param({"claims": {"aud": "billing"}}, id="another audience"),
        pytest.param({"claims": {"iss": "mallory"}}, id="another issuer"),
        pytest.param({"claims": {"exp": None}}, id="no end"),
        pytest.param({"claims": {"identity": None}}, id="no identity"),
        pytest.param({"key": None, "algorithm": "none"}, id="ALG-001: none"),
    ],
)
def test_what_another_has_written_is_refused(clock: FakeClock, change: dict[str, Any]) -> None:
    now = int(clock.now())
    claims = {"iss": "aveverify-serve", "aud": "upstream", "iat": now, "exp": now + 60, "identity": {"subject": "x"}}
    assert read_identity(jwt.encode(claims, KEY, algorithm="HS256"), key=KEY, clock=clock) == {"subject": "x"}

    claims = {name: value for name, value in (claims | change.get("claims", {})).items() if value is not None}
    value = jwt.encode(claims, change.get("key", KEY), algorithm=change.get("algorithm", "HS256"))

    with pytest.raises(IdentityHeaderError) as caught:
        read_identity(value, key=KEY, clock=clock)
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        *("", "a.b.c", "\xff", "eyJhbGciOiJIUzI1NiJ9..", ".", "..", "...", "\ud800", "a" * 100_000),
        *(None, b"", b"a.b.c", 1, 1.5, True, [], ["a.b.c"], ("a.b.c",), {}, {"a.b.c"}, object(), bytearray(b"a.b.c")),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_what_is_no_jws_is_refused(value: Any) -> None:
    with pytest.raises(IdentityHeaderError):
        read_identity(value, key=KEY)


@given(st.one_of(st.text(), st.binary(), st.none(), st.integers(), st.floats(), st.lists(st.text(), max_size=3)))
def test_any_value_is_refused_with_our_error_alone(value: Any) -> None:
    with pytest.raises(IdentityHeaderError):
        read_identity(value, key=KEY)


def good_claims(**changes: object) -> dict[str, Any]:
    """What an IdentitySigner writes at the instant 1000."""
    identity = {"tokenIdentifier": "https://i.test|ada", "issuer": "https://i.test", "subject": "ada"}
    return {"iss": "aveverify-serve", "aud": "upstream", "iat": 1000, "exp": 1060, "identity": identity} | changes


def sign(claims: object, header: object = None, key: bytes = KEY) -> str:
    """Anything at all, well signed."""
    written = [json.dumps(part, separators=(",", ":")) for part in (header or {"alg": "HS256", "typ": "JWT"}, claims)]
    return sign_text(".".join(encode(part.encode()) for part in written), key)


def sign_text(signing_input: str, key: bytes = KEY) -> str:
    return f"{signing_input}.{encode(hmac.digest(key, signing_input.encode(), 'sha256'))}"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(value: Any, at: float = 1030) -> dict[str, Any]:
    return read_identity(value, key=KEY, clock=FakeClock(now=at))


def test_what_a_signer_writes_is_what_these_tests_sign(identity: Identity, clock: FakeClock) -> None:
    value = IdentitySigner(KEY, clock=clock)(identity)
    claims = jwt.decode(value, KEY, algorithms=["HS256"], audience="upstream", options={"verify_exp": False})

    assert sign(claims) == value
    assert read_identity(value, key=KEY, clock=clock) == identity.to_convex()
    assert read(sign(good_claims())) == good_claims()["identity"]


class TextOfItsOwn(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda value: f"{value}=", id="padding"),
        pytest.param(lambda value: f"{value}==", id="more padding"),
        pytest.param(lambda value: f" {value}", id="a blank before"),
        pytest.param(lambda value: f"{value} ", id="a blank behind"),
        pytest.param(lambda value: f"{value}\n", id="a line break"),
        pytest.param(lambda value: f"{value}.", id="a fourth segment"),
        pytest.param(lambda value: value.encode(), id="bytes"),
        pytest.param(TextOfItsOwn, id="a subclass of str"),
        pytest.param(lambda value: [value], id="a list"),
        pytest.param(lambda value: f"Bearer {value}", id="a scheme"),
        pytest.param(lambda value: f"{value},{value}", id="twice"),
        pytest.param(lambda value: value[:-1] + chr(ord(value[-1]) + 1), id="an unused bit of the signature"),
        pytest.param(lambda value: value.rpartition(".")[0] + ".", id="no signature"),
        pytest.param(lambda value: sign_text(value.rpartition(".")[0] + "="), id="padding that is signed"),
        pytest.param(lambda value: sign_text(value.rpartition(".")[0].replace(".", "=.")), id="of the header, too"),
        pytest.param(lambda value: sign_text(value.rpartition(".")[0] + "\n"), id="a line break that is signed"),
        pytest.param(lambda value: sign_text("!" + value.rpartition(".")[0]), id="a foreign character that is signed"),
        pytest.param(lambda value: sign_text("a." + value.rpartition(".")[0]), id="a segment more that is signed"),
        pytest.param(lambda value: sign_text(value.split(".")[1]), id="a segment too few that is signed"),
        pytest.param(lambda value: sign_text(value.split(".")[0] + "."), id="no claims"),
        pytest.param(lambda _value: sign_text(f"{encode(b'{')}.{encode(b'{')}"), id="no JSON"),
        pytest.param(lambda _value: sign_text(f"{encode(b'[' * 9000)}.{encode(b'[' * 9000)}"), id="much too deep"),
    ],
)
def test_a_header_has_one_spelling(spell: Callable[[str], object]) -> None:
    value = sign(good_claims())
    assert read(value)["subject"] == "ada"

    with pytest.raises(IdentityHeaderError):
        read(spell(value))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256"}, {"typ": "JWT"}, {"alg": "HS512", "typ": "JWT"}, {"alg": "none", "typ": "JWT"},
        {"alg": "hs256", "typ": "JWT"}, {"alg": "HS256", "typ": "jwt"}, {"alg": "HS256", "typ": "at+jwt"},
        {"alg": "HS256", "typ": "JWT", "kid": "a"}, {"alg": "HS256", "typ": "JWT", "crit": ["b64"], "b64": False},
        {"alg": ["HS256"], "typ": "JWT"}, ["HS256"], "HS256", 1,
    ],
    ids=ascii,
)  # fmt: skip
def test_a_header_of_another_kind_is_refused_whoever_signed_it(header: object) -> None:
    with pytest.raises(IdentityHeaderError):
        read(sign(good_claims(), header))


def test_the_members_of_the_header_may_stand_in_either_order() -> None:
    """As other versions of a JWT library write them."""
    assert read(sign(good_claims(), {"typ": "JWT", "alg": "HS256"}))["subject"] == "ada"


NO_AUDIENCES: list[object] = [None, "", "Upstream", "upstream ", ["upstream"], ["upstream", "other"], True, {}]
NO_IDENTITIES: list[object] = [
    None, "ada", 1, True, [], ["subject"], {}, {"issuer": "i"}, {"subject": None}, {"subject": 1},
    {"subject": ["ada"]}, {"subject": "ada", "issuer": 1}, {"subject": "ada", "tokenIdentifier": None},
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        *(
            pytest.param({name: value}, 1030, id=f"{name} is {ascii(value)[:30]}")
            for name in ("iat", "exp")
            for value in (
                "1000", "", None, True, False, [], [1000], {}, {"a": 1}, -1, -1.5, 2**53 + 2, 10**400,
                float("nan"), float("inf"), -float("inf"), 1e308,
            )
        ),
        pytest.param({"iat": 1.5, "exp": 10**400}, 1030, id="arithmetic that overflows"),
        pytest.param({"exp": 1000 + 3601}, 1030, id="a second longer than any header lives"),
        pytest.param({"iat": 0.0, "exp": 3600.5}, 1030, id="half a second longer"),
        *(
            pytest.param({"identity": value}, 1030, id=f"identity is {ascii(value)[:30]}")
            for value in NO_IDENTITIES
        ),
        *(
            pytest.param({"aud": value}, 1030, id=f"aud is {value!a}")
            for value in NO_AUDIENCES
        ),
        *(
            pytest.param({"iss": value}, 1030, id=f"iss is {value!a}")
            for value in (None, "", "mallory", ["aveverify-serve"], 1)
        ),
        pytest.param({"nbf": 2000}, 1030, id="a claim more"),
        pytest.param({}, 994, id="before it was written, and the leeway"),
        pytest.param({}, 1065, id="after it ended, and the leeway"),
    ],
)  # fmt: skip
def test_claims_of_another_kind_are_refused_whoever_signed_them(changes: dict[str, object], at: float) -> None:
    with pytest.raises(IdentityHeaderError) as caught:
        read(sign(good_claims(**changes)), at)
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        pytest.param({}, 995, id="with the leeway before"),
        pytest.param({}, 1064.9, id="with the leeway behind"),
        pytest.param({"exp": 1000 + 3600}, 1030, id="as long as any header lives"),
        pytest.param({"exp": 1000 + 3599}, 1030, id="a second less"),
        pytest.param({"iat": 1000.5, "exp": 1060.5}, 1030, id="fractions"),
        pytest.param({"exp": 998}, 1001, id="of a token that has just ended"),
        pytest.param({"identity": {"subject": "ada", "roles": ["a"], "age": 1.5}}, 1030, id="claims of any kind"),
    ],
)
def test_claims_within_the_bounds_are_read(changes: dict[str, object], at: float) -> None:
    assert read(sign(good_claims(**changes)), at)["subject"] == "ada"


@pytest.mark.parametrize("name", ["iss", "aud", "iat", "exp", "identity"])
def test_a_claim_too_few_is_refused(name: str) -> None:
    claims = good_claims()
    del claims[name]
    with pytest.raises(IdentityHeaderError):
        read(sign(claims))


def test_a_member_that_is_there_twice_is_refused_whoever_signed_it() -> None:
    header, claims, _ = sign(good_claims()).split(".")
    twice = base64.urlsafe_b64decode(claims + "==").replace(b'{"iss"', b'{"iss":"x","iss"', 1)
    with pytest.raises(IdentityHeaderError):
        read(sign_text(f"{header}.{encode(twice)}"))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


@given(JSON, JSON, JSON, JSON)
def test_any_claims_lead_to_an_identity_or_to_our_error_alone(
    issued_at: object, expires_at: object, identity: object, header: object
) -> None:
    for value in (
        sign(good_claims(iat=issued_at, exp=expires_at)),
        sign(good_claims(identity=identity)),
        sign(identity),
        sign(good_claims(), header),
    ):
        with suppress(IdentityHeaderError):
            assert isinstance(read(value), dict)


class Broken:
    """A clock that gives something else than time."""

    def __init__(self, value: object) -> None:
        self.value = value

    def now(self) -> float:
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value  # type: ignore[return-value]

    def monotonic(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    "value",
    [OSError(), ValueError(), None, "1030", float("nan"), float("inf"), -1, -float("inf"), 2**53 + 2, 10**400, [], {}],
    ids=lambda value: ascii(value)[:12],
)
def test_clk_003_a_clock_that_gives_no_time_reads_nothing(value: object) -> None:
    with pytest.raises(IdentityHeaderError, match="clock"):
        read_identity(sign(good_claims()), key=KEY, clock=Broken(value))


@pytest.mark.parametrize("audience", ["", None, b"upstream", ["upstream"]], ids=ascii)
def test_an_audience_that_is_none_reads_nothing(audience: Any) -> None:
    with pytest.raises(ConfigurationError, match="audience"):
        read_identity(sign(good_claims()), key=KEY, audience=audience)
    with pytest.raises(ConfigurationError, match="audience"):
        IdentitySigner(KEY, audience=audience)


def test_a_token_of_the_issuer_itself_is_no_identity_header(issuer: FakeIssuer, clock: FakeClock) -> None:
    with pytest.raises(IdentityHeaderError):
        read_identity(issuer.token(), key=KEY, clock=clock)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"key": b"k" * 31}, id="short key"),
        pytest.param({"key": "k" * 32}, id="text"),
        pytest.param({"key": KEY, "audience": ""}, id="no audience"),
        pytest.param({"key": KEY, "lifetime_seconds": 0}, id="no time"),
        pytest.param({"key": KEY, "lifetime_seconds": 3601}, id="too long"),
        pytest.param({"key": KEY, "lifetime_seconds": True}, id="a boolean"),
    ],
)
def test_a_signer_checks_its_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        IdentitySigner(options.pop("key"), **options)


def test_a_short_key_reads_nothing() -> None:
    with pytest.raises(ConfigurationError):
        read_identity("", key=b"short")


def test_a_signer_shows_no_key(clock: FakeClock) -> None:
    """ERR-006."""
    assert repr(IdentitySigner(KEY, clock=clock)) == "<IdentitySigner for 'upstream'>"
