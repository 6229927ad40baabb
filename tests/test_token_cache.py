"""Step 0: tokens that were accepted before, and what makes a hit as strict as a verification."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import pytest

from aveverify import Identity, InvalidTokenError, Provider, Reason, Verifier
from aveverify._core.identity import make_identity
from aveverify._core.jose.strict_json import parse_json_object
from aveverify._core.verification import Accepted
from aveverify._jwks.remote_key_set import RemoteKeySet
from aveverify._token_cache import MAX_CACHE_BYTES, TokenCache
from tests.core.jose_factory import (
    ISSUER,
    KEYS_URL,
    NOW,
    Documents,
    Json,
    TestClock,
    custom_jwt_verifier,
    eddsa,
    encode,
    es256,
    good_claims,
    issuer_documents,
    key_set_document,
    oidc_verifier,
    refused,
    without,
)
from tests.hectic import LateLock

PROVIDER = Provider(issuer=ISSUER, application_id="app_test")


def token(**changes: object) -> str:
    return eddsa().token(good_claims(**changes))


def custom_token(claims: Json | None = None) -> str:
    return es256().token(claims)


def custom_verifier(clock: TestClock) -> Verifier:
    return custom_jwt_verifier(es256().jwk, algorithm="ES256", clock=clock)


# A hit hands out the very object that was handed out before: that is how these tests tell it from a verification.


def test_an_accepted_token_is_remembered() -> None:
    with oidc_verifier(eddsa().jwk) as verifier:
        assert verifier.verify(token()) is verifier.verify(token())


def test_text_and_bytes_of_one_token_are_one_token() -> None:
    with oidc_verifier(eddsa().jwk) as verifier:
        assert verifier.verify(token()) is verifier.verify(token().encode())


def test_without_a_cache_every_token_is_verified() -> None:
    with oidc_verifier(eddsa().jwk, token_cache_size=0) as verifier:
        first, second = verifier.verify(token()), verifier.verify(token())

    assert first is not second
    assert first == second


def test_a_refused_token_is_not_remembered() -> None:
    """TOK-005; TOK-011: failures are never stored."""
    clock = TestClock(wall=NOW - 10)
    with custom_verifier(clock) as verifier:
        early = custom_token(good_claims(nbf=NOW))
        assert refused(lambda: verifier.verify(early)).reason is Reason.NOT_YET_VALID
        clock.tick(10)

        assert verifier.verify(early).subject == "u1"


# --- keyed by the whole token


def other_spellings(good: str) -> list[str]:
    header, payload, signature = good.split(".")
    return [
        good + "=",
        good[:-1],
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{encode(json.dumps(good_claims(sub='admin')).encode())}.{signature}",
        f"{encode(b'{}')}.{payload}.{signature}",
        f" {good}",
        f"{good}\n",
    ]


@pytest.mark.parametrize(
    "index",
    range(7),
    ids=["padding behind", "cut off", "another signature", "another payload", "another header", "blank", "line feed"],
)
def test_a_token_that_differs_anywhere_is_another_token(index: int) -> None:
    """TOK-001 to TOK-004; TOK-017: neither prefix nor suffix nor claims make a hit."""
    good = token()
    with oidc_verifier(eddsa().jwk) as verifier:
        verifier.verify(good)

        with pytest.raises(InvalidTokenError):
            verifier.verify(other_spellings(good)[index])


def test_the_full_sha256_decides_and_nothing_but_the_end_of_the_signature_is_kept() -> None:
    """TOK-004; TOK-014."""
    text = token().encode()
    with oidc_verifier(eddsa().jwk) as verifier:
        known = verifier.verify(text)
        ((tail, entry),) = verifier._tokens._entries.items()

    assert entry.digest == sha256(text).digest()
    assert tail == text[-24:]
    assert entry.identity is known
    assert len(tail) < len(text.rpartition(b".")[2]) / 2


def test_another_token_with_the_same_end_is_not_taken_for_a_known_one() -> None:
    """TOK-002; TOK-003: before the refresh time of the keys, and while they are refreshed in the background."""
    clock = TestClock()
    good = token()
    header, _, signature = good.split(".")
    other = f"{header}.{encode(json.dumps(good_claims(sub='admin')).encode())}.{signature}"
    with oidc_verifier(eddsa().jwk, clock=clock) as verifier:
        verifier.verify(good)
        for seconds in (0, 500):
            clock.tick(seconds)

            assert refused(lambda: verifier.verify(other)).reason is Reason.BAD_SIGNATURE
            assert verifier.verify(good).subject == "u1"


def test_two_verifiers_share_nothing() -> None:
    """TOK-009."""
    with (
        oidc_verifier(eddsa().jwk) as one,
        oidc_verifier(eddsa().jwk, provider=Provider(issuer=ISSUER, application_id="other")) as two,
    ):
        one.verify(token())

        assert refused(lambda: two.verify(token())).reason is Reason.AUDIENCE_MISMATCH


# --- time


@dataclass
class Moments:
    """The results of one token at several instants, with a warm and with a fresh verifier."""

    make: Callable[[TestClock], Verifier]
    token: str

    def results(self, *instants: float) -> list[Reason | None]:
        clock = TestClock()
        found: list[Reason | None] = []
        with self.make(clock) as warm:
            warm.verify(self.token)
            for instant in instants:
                clock.wall = instant
                result = self.result(warm)
                with self.make(TestClock(wall=instant)) as fresh:
                    assert self.result(fresh) is result
                found.append(result)
        return found

    def result(self, verifier: Verifier) -> Reason | None:
        try:
            verifier.verify(self.token)
        except InvalidTokenError as error:
            return error.reason
        return None


def test_an_oidc_token_expires_at_the_same_second_as_without_a_cache() -> None:
    """TOK-006; TOK-016: compared with the wall clock at every hit."""
    moments = Moments(lambda clock: oidc_verifier(eddsa().jwk, clock=clock), token(exp=NOW + 100))

    assert moments.results(NOW + 99, NOW + 99.9, NOW + 100, NOW + 101) == [None, None, Reason.EXPIRED, Reason.EXPIRED]


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75], ids=str)
def test_a_fraction_of_a_second_counts_as_without_a_cache(fraction: float) -> None:
    moments = Moments(lambda clock: oidc_verifier(eddsa().jwk, clock=clock), token(exp=NOW + 100 + fraction))

    assert moments.results(NOW + 100, NOW + 100.9, NOW + 101) == [None, None, Reason.EXPIRED]


def test_a_custom_jwt_token_has_its_grace_in_the_cache_too() -> None:
    """TOK-006."""
    moments = Moments(custom_verifier, custom_token(good_claims(exp=NOW + 100)))

    assert moments.results(NOW + 104, NOW + 105, NOW + 105.9, NOW + 106) == [None, None, None, Reason.EXPIRED]


def test_a_clock_that_is_set_back_counts_as_without_a_cache() -> None:
    """TOK-007; CLK-001."""
    moments = Moments(custom_verifier, custom_token(good_claims(nbf=NOW, iat=NOW)))

    assert moments.results(NOW - 4, NOW - 5, NOW - 6, NOW) == [None, None, Reason.NOT_YET_VALID, None]


@pytest.mark.parametrize(
    ("wall", "elapsed"),
    [
        pytest.param(float("nan"), 1000.0, id="NaN"),
        pytest.param(-1.0, 1000.0, id="negative"),
        pytest.param(float("inf"), 1000.0, id="infinite"),
        pytest.param(NOW, float("nan"), id="monotonic NaN"),
        pytest.param(NOW, -1.0, id="monotonic negative"),
        pytest.param(NOW, float("inf"), id="monotonic infinite"),
    ],
)
def test_a_clock_that_gives_no_time_is_no_hit(wall: float, elapsed: float) -> None:
    """CLK-003: a refusal, on a warm verifier as on a fresh one."""
    clock = TestClock()
    dateless = custom_token(without(good_claims(), "iat"))
    with custom_verifier(clock) as verifier:
        verifier.verify(dateless)
        clock.wall, clock.elapsed = wall, elapsed

        error = refused(lambda: verifier.verify(dateless))

    assert (error.reason, error.rule) == (Reason.CLOCK_UNUSABLE, "CLK-003")


def test_a_clock_that_raises_is_no_hit() -> None:
    """CLK-003."""

    class Broken(TestClock):
        def now(self) -> float:
            if self.wall < 0:
                message = "s3cret"
                raise OSError(message)
            return self.wall

    clock = Broken()
    with custom_verifier(clock) as verifier:
        good = custom_token()
        verifier.verify(good)
        clock.wall = -1

        assert refused(lambda: verifier.verify(good)).reason is Reason.CLOCK_UNUSABLE


# --- keys


def test_an_entry_is_not_reused_under_other_keys() -> None:
    """TOK-008; ROT-004: from the token cache too."""
    clock, documents = TestClock(), Documents(issuer_documents(eddsa().jwk))
    with oidc_verifier(clock=clock, fetcher=documents) as verifier:
        verifier.verify(token(exp=NOW + 10_000))
        documents.answers[KEYS_URL] = key_set_document(eddsa("new").jwk)
        clock.tick(600)

        assert refused(lambda: verifier.verify(token(exp=NOW + 10_000))).reason is Reason.UNKNOWN_KEY


def test_an_entry_is_reused_after_a_refresh_to_the_same_keys() -> None:
    """Design §5: the generation rises only when the content changes."""
    clock, documents = TestClock(), Documents(issuer_documents(eddsa().jwk))
    with oidc_verifier(clock=clock, fetcher=documents) as verifier:
        before = verifier.verify(token(exp=NOW + 10_000))
        fetched = len(documents.requests)
        clock.tick(600)

        assert verifier.verify(token(exp=NOW + 10_000)) is before
        assert len(documents.requests) > fetched


def test_a_key_that_comes_back_is_another_generation() -> None:
    clock, documents = TestClock(), Documents(issuer_documents(eddsa().jwk))
    good = token(exp=NOW + 10_000)
    with oidc_verifier(clock=clock, fetcher=documents) as verifier:
        before = verifier.verify(good)
        documents.answers[KEYS_URL] = key_set_document(eddsa("new").jwk)
        clock.tick(600)
        assert refused(lambda: verifier.verify(good)).reason is Reason.UNKNOWN_KEY
        documents.answers[KEYS_URL] = key_set_document(eddsa().jwk)
        clock.tick(600)
        after = verifier.verify(good)

    assert after == before
    assert after is not before


def test_a_hit_costs_no_request() -> None:
    clock, documents = TestClock(), Documents(issuer_documents(eddsa().jwk))
    with oidc_verifier(clock=clock, fetcher=documents) as verifier:
        for _ in range(5):
            verifier.verify(token())
            clock.tick(10)

    assert len(documents.requests) == 2


# --- bounds


def test_the_oldest_token_goes_first() -> None:
    """TOK-012; TOK-013."""
    a, b, c = token(sub="a"), token(sub="b"), token(sub="c")
    with oidc_verifier(eddsa().jwk, token_cache_size=2) as verifier:
        first = {text: verifier.verify(text) for text in (a, b, c)}

        assert verifier.verify(b) is first[b]
        assert verifier.verify(c) is first[c]
        assert verifier.verify(a) is not first[a]


def test_refused_tokens_push_nothing_out() -> None:
    """TOK-012."""
    with oidc_verifier(eddsa().jwk, token_cache_size=1) as verifier:
        good = verifier.verify(token())
        for index in range(50):
            refused(lambda index=index: verifier.verify(token(sub=str(index), exp=1)))  # type: ignore[misc]

        assert verifier.verify(token()) is good


SOURCE: RemoteKeySet = object.__new__(RemoteKeySet)


def accepted(identity: Identity) -> Accepted[RemoteKeySet]:
    """A result that a cache can keep; where its keys come from is not read here."""
    return Accepted(identity, SOURCE, 0, 0, NOW)


def identity_of(payload: bytes) -> Identity:
    """An identity with this payload, which a cache does not read."""
    return make_identity(PROVIDER, payload, {"iss": ISSUER, "sub": "u1", "exp": NOW})


def text_of(index: int) -> bytes:
    """Another token for each index."""
    return str(index).encode().rjust(24, b".")


def filled(*sizes: int, max_entries: int = 100) -> TokenCache:
    """A cache into which tokens with plain payloads of these sizes were put, each another one."""
    cache = TokenCache(max_entries, TestClock())
    for index, size in enumerate(sizes):
        cache.put(text_of(index), accepted(identity_of(b"x" * size)))
    return cache


MEBIBYTE = 1024 * 1024
# A plain payload counts twice, beside 1,600 bytes for each entry.
A_MEBIBYTE_EACH = (MEBIBYTE - 1600) // 2
ALL_OF_IT = (MAX_CACHE_BYTES - 1600) // 2


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        pytest.param([A_MEBIBYTE_EACH - 1] * 32, 32, id="just below"),
        pytest.param([A_MEBIBYTE_EACH] * 32, 32, id="at the limit"),
        pytest.param([A_MEBIBYTE_EACH] * 31 + [A_MEBIBYTE_EACH + 1], 31, id="just above"),
        pytest.param([A_MEBIBYTE_EACH] * 32 + [1], 32, id="one more pushes one out"),
        pytest.param([A_MEBIBYTE_EACH] * 100, 32, id="far above"),
        pytest.param([1] * 1000 + [15 * MEBIBYTE], 1000, id="a large one among small ones"),
        pytest.param([ALL_OF_IT - 1], 1, id="one that nearly fills it"),
        pytest.param([ALL_OF_IT], 1, id="one that fills it alone"),
        pytest.param([ALL_OF_IT + 1], 0, id="one that would never fit"),
        pytest.param([1, ALL_OF_IT], 1, id="one that pushes the others out"),
        pytest.param([1, ALL_OF_IT + 1], 1, id="one that would never fit leaves the others"),
    ],
)
def test_the_cache_is_bounded_in_bytes(sizes: list[int], kept: int) -> None:
    """TOK-014."""
    cache = filled(*sizes, max_entries=1000)

    assert len(cache) == kept
    assert cache._bytes == sum(entry.cost_bytes for entry in cache._entries.values()) <= MAX_CACHE_BYTES


@pytest.mark.parametrize(
    ("text", "times"),
    [
        pytest.param("x", 2, id="ASCII"),
        pytest.param("\x7f", 2, id="the last of ASCII"),
        pytest.param("\\n", 3, id="an escape of something else"),
        pytest.param("\x80", 3, id="the first beyond it"),
        pytest.param("\xff", 3, id="the last of Latin-1"),
        pytest.param("\u0100", 4, id="the first of two bytes"),
        pytest.param("\uffff", 4, id="the last of two bytes"),
        pytest.param("\U00010000", 6, id="the first of four bytes"),
        pytest.param("\U0010ffff", 6, id="the last of all"),
        pytest.param("\\u0041", 3, id="ASCII, escaped"),
        pytest.param("\\u00ff", 3, id="the last of Latin-1, escaped"),
        pytest.param("\\u0100", 4, id="the first of two bytes, escaped"),
        pytest.param("\\u00ff\\u0100", 4, id="one of each, escaped"),
        pytest.param("\\ud83d\\ude00", 6, id="four bytes, escaped"),
        pytest.param("\\uD83D\\uDE00", 6, id="four bytes, escaped in capitals"),
        pytest.param("\xff\u0100\U00010000", 6, id="one of each"),
        pytest.param("\u0100\\ud83d\\ude00", 6, id="four bytes escaped among two"),
        pytest.param("\xff\\u0100", 4, id="two bytes escaped among Latin-1"),
    ],
)
def test_tok_020_a_payload_counts_by_its_widest_character(text: str, times: int) -> None:
    payload = f"{'x' * 100}{text}".encode()
    cache = TokenCache(10, TestClock())
    cache.put(text_of(0), accepted(identity_of(payload)))
    ((_, entry),) = cache._entries.items()

    assert entry.cost_bytes == 1600 + times * len(payload)


TEXTS = (
    "name", "nickname", "email", "gender", "given_name", "family_name", "preferred_username", "profile", "picture",
    "website", "birthdate", "zoneinfo", "locale", "phone_number",
)  # fmt: skip
OTHERS = {"email_verified": True, "phone_number_verified": True, "updated_at": NOW, "address": {"formatted": "a place"}}


@pytest.mark.parametrize("escaped", [False, True], ids=["as UTF-8", "escaped"])
@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({}, id="nothing more"),
        pytest.param({name: f"{name} of a user" for name in TEXTS} | OTHERS, id="all standard claims"),
        pytest.param({"sub": "x" * 11_000}, id="a long subject"),
        pytest.param({"plan": "x" * 11_000}, id="a long custom claim"),
        pytest.param({"sub": "x" * 11_000 + "\U0001f600"}, id="one wide character in a long subject"),
        pytest.param({"name": "x" * 11_000 + "\U0001f600"}, id="one wide character in a long name"),
        pytest.param({"name": "x" * 11_000 + "\u0436"}, id="one Cyrillic character in a long name"),
        pytest.param({"name": "x" * 11_000 + "\xe9"}, id="one accent in a long name"),
        pytest.param(dict.fromkeys(TEXTS, "\u6f22" * 30) | OTHERS, id="all standard claims in Chinese"),
        pytest.param(
            {"address": {"formatted": "x" * 5000 + "\U0001f600"}, "sub": "x" * 5000 + "\U0001f600"}, id="two of them"
        ),
    ],
)
def test_tok_020_an_entry_holds_no_more_than_it_counts(claims: Json, *, escaped: bool) -> None:
    """Measured: what the interpreter took for a hundred entries whose attributes were asked for."""
    count = 100
    payloads = [
        json.dumps(good_claims(**{"sub": f"u{index}"} | claims), ensure_ascii=escaped).encode()
        for index in range(count)
    ]
    cache = TokenCache(count, TestClock())
    gc.collect()
    tracemalloc.start()
    try:
        for index, payload in enumerate(payloads):
            # A copy of its own, as decoding a token makes one.
            own = bytes(bytearray(payload))
            identity = make_identity(PROVIDER, own, parse_json_object(own))
            cache.put(text_of(index), accepted(identity))
            assert identity.subject is not identity.gender
            del identity
        gc.collect()
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(cache) == count
    assert held_bytes <= cache._bytes
    # And not so much less that the bound would keep out what has room.
    assert held_bytes * 6 >= cache._bytes


@pytest.mark.parametrize(("entries", "kept"), [(2, 2), (3, 3), (4, 3)], ids=["one below", "at", "one above"])
def test_the_cache_is_bounded_in_entries(entries: int, kept: int) -> None:
    assert len(filled(*[1] * entries, max_entries=3)) == kept


def test_a_token_that_is_put_again_counts_once() -> None:
    cache, one = TokenCache(10, TestClock()), accepted(identity_of(b"x" * MEBIBYTE))
    for _ in range(100):
        cache.put(text_of(-1), one)

    assert len(cache) == 1
    for index in range(30):
        cache.put(text_of(index), one)
    assert len(cache) == 10


def test_nothing_is_put_into_a_cache_of_no_entries() -> None:
    assert len(filled(1, 2, 3, max_entries=0)) == 0


def test_con_014_a_closed_cache_forgets_all_and_remembers_nothing() -> None:
    cache = filled(*[A_MEBIBYTE_EACH] * 32)
    cache.close()
    assert (len(cache), cache._bytes) == (0, 0)

    cache.put(text_of(0), accepted(identity_of(b"x")))
    assert len(cache) == 0


def test_con_014_an_entry_that_comes_while_the_cache_is_closed_is_not_kept() -> None:
    cache = TokenCache(10, TestClock())
    lock = cache._lock

    def close() -> None:
        cache._lock = lock
        cache.close()

    cache._lock = LateLock(close)  # type: ignore[assignment]
    cache.put(text_of(0), accepted(identity_of(b"x")))

    assert (len(cache), cache._bytes) == (0, 0)


def test_the_bound_is_32_mebibytes() -> None:
    assert MAX_CACHE_BYTES == 32 * MEBIBYTE


@pytest.mark.parametrize(
    ("wall", "elapsed", "certain"),
    [
        pytest.param(NOW + 1, 1001.0, True, id="a second later"),
        pytest.param(NOW - 6, 1001.0, False, id="before the token is valid"),
        pytest.param(NOW - 4, 1001.0, True, id="its first second"),
        pytest.param(NOW + 100, 1001.0, False, id="expired"),
        pytest.param(NOW + 1, -1.0, False, id="a monotonic clock that is negative"),
        pytest.param(float("nan"), 1001.0, False, id="a wall clock that is no number"),
        pytest.param(None, 1001.0, False, id="a wall clock that gives nothing"),
        pytest.param(NOW + 1, "now", False, id="a monotonic clock that gives text"),
    ],
)
def test_the_hot_path_returns_only_what_is_certain(wall: float, elapsed: float, *, certain: bool) -> None:
    """What is not certain is left to the verification."""
    clock = TestClock()
    text = custom_token(good_claims(nbf=NOW, iat=NOW, exp=NOW + 95)).encode()
    with custom_verifier(clock) as verifier:
        known = verifier.verify(text)
        clock.wall, clock.elapsed = wall, elapsed

        assert (verifier._tokens.get_if_fresh(text) is known) is certain
        assert verifier._tokens.get_if_fresh(b"x") is None


@pytest.mark.parametrize(
    ("wall_seconds", "elapsed_seconds"),
    [
        pytest.param(600, 600, id="by both clocks"),
        pytest.param(0, 600, id="by the monotonic clock, after the wall clock was set back"),
        pytest.param(600, 0, id="by the wall clock, after the machine was suspended"),
    ],
)
def test_the_hot_path_returns_nothing_after_the_refresh_time_of_the_keys(
    wall_seconds: float, elapsed_seconds: float
) -> None:
    """The monotonic clock stands still while a machine is suspended; a key may have been withdrawn meanwhile."""
    clock = TestClock()
    text = token().encode()
    with oidc_verifier(eddsa().jwk, clock=clock) as verifier:
        verifier.verify(text)
        assert isinstance(verifier._tokens.get_if_fresh(text), Identity)
        clock.wall += wall_seconds
        clock.elapsed += elapsed_seconds

        assert verifier._tokens.get_if_fresh(text) is None


def test_a_key_that_was_withdrawn_while_the_machine_was_suspended_verifies_nothing() -> None:
    """TOK-008; ROT-004."""
    clock, documents = TestClock(), Documents(issuer_documents(eddsa().jwk))
    good = token(exp=NOW + 100_000)
    with oidc_verifier(clock=clock, fetcher=documents) as verifier:
        verifier.verify(good)
        documents.answers[KEYS_URL] = key_set_document(eddsa("new").jwk)
        clock.wall += 50_000

        assert refused(lambda: verifier.verify(good)).reason is Reason.UNKNOWN_KEY


def test_a_closed_verifier_remembers_nothing() -> None:
    verifier = oidc_verifier(eddsa().jwk)
    verifier.verify(token())
    verifier.close()

    assert len(verifier._tokens) == 0


def test_a_cache_shows_nothing_of_its_tokens() -> None:
    """TOK-019."""
    with oidc_verifier(eddsa().jwk) as verifier:
        verifier.verify(token(email="s3cret"))

        assert "s3cret" not in repr(verifier) + repr(verifier._tokens)


def test_what_is_remembered_survives_a_fork() -> None:
    """CON-005: a lock that a thread of the parent held is replaced."""
    with oidc_verifier(eddsa().jwk) as verifier:
        known = verifier.verify(token())
        verifier._tokens._lock.acquire()

        verifier._tokens.renew_after_fork()

        assert verifier.verify(token(sub="u2")).subject == "u2"
        assert verifier.verify(token()) is known
