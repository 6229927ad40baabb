"""Keys of our own: what everybody knows or would try is refused, and what chance makes never is. CFG-015."""

from __future__ import annotations

import base64
import re
import secrets
import string
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveverify import ConfigurationError
from aveverify._core.secret_key import check_secret_key
from aveverify.errors import Problem
from aveverify.identity_header import IdentitySigner, read_identity
from aveverify.redis import RedisDocumentStore
from tests.hmac_keys import KEY, KEY_TEXT

ROOT = Path(__file__).parents[2]


def problem_of(key: Any) -> Problem | None:
    """What is wrong with a key; None if it is good."""
    try:
        check_secret_key("key", key)
    except ConfigurationError as error:
        return error.problem
    return None


def base64_of(data: bytes) -> bytes:
    return base64.b64encode(data)


RANDOM = bytes.fromhex("9f1c5be07ad3426e8815f7c0aa4d36b2e1509c7d2b68f40317dd86ea5bc3941f")


@pytest.mark.parametrize(
    "key",
    [
        # What this project has shown.
        pytest.param(b"32 random bytes or more, shared!", id="the README's"),
        pytest.param(bytes.fromhex("00" * 32), id="the default of docs/operations.md"),
        pytest.param(b"00" * 32, id="the same, before it is decoded"),
        pytest.param(b"32 random bytes or more, shared!\n", id="the README's in a file"),
        pytest.param(base64_of(b"32 random bytes or more, shared!"), id="the README's in base64"),
        pytest.param(b"32 random bytes or more, shared!".hex().encode(), id="the README's in hex"),
        pytest.param(b"32 RANDOM BYTES OR MORE, SHARED!", id="the README's, loudly"),
        # Repeats and counts.
        *(pytest.param(bytes([byte]) * 32, id=f"one byte {byte:02x}") for byte in (0, 0x21, 0x30, 0x6B, 0x80, 0xFF)),
        pytest.param(b"ab" * 16, id="two letters"),
        pytest.param(b"deadbeef" * 4, id="deadbeef"),
        pytest.param(b"deadbeef" * 8, id="deadbeef, as hex of 32 bytes"),
        pytest.param(bytes(range(32)), id="counting"),
        pytest.param(bytes(range(31, -1, -1)), id="counting down"),
        pytest.param(bytes(range(0, 256, 8)), id="counting by eight"),
        pytest.param(bytes(range(32)).hex().encode(), id="counting in hex"),
        pytest.param(bytes(range(32)).hex().upper().encode(), id="counting in capital hex"),
        pytest.param(base64_of(bytes(range(48))), id="counting in base64"),
        pytest.param(b"0123456789abcdef" * 2, id="the hex digits"),
        pytest.param(b"0123456789abcdef0123456789ABCDEF", id="the hex digits, both ways"),
        pytest.param(b"01234567890123456789012345678901", id="decimal digits"),
        pytest.param(b"12345678901234567890123456789012", id="from one"),
        pytest.param(b"abcdefghijklmnopqrstuvwxyz012345", id="the alphabet"),
        pytest.param(string.ascii_letters.encode(), id="both alphabets"),
        pytest.param(b"aabbccddeeffgghhiijjkkllmmnnoopp", id="the alphabet, each letter twice"),
        pytest.param(b"a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6", id="letters and digits in turn"),
        pytest.param(b"key1key2key3key4key5key6key7key8", id="numbered"),
        pytest.param(b"\x00\x00\x00\x01" * 4 + bytes(12) + b"\x2a\x00\x00\x07", id="numbers"),
        pytest.param(base64_of(bytes(48)), id="zeros in base64"),
        pytest.param(RANDOM[:15] * 3, id="fifteen random bytes, again and again"),
        # Words.
        *(
            pytest.param(text.encode(), id=text)
            for text in (
                "changemechangemechangemechangeme", "your-256-bit-secret-your-256-bit",
                "secretsecretsecretsecretsecret!!",
                "passwordpasswordpasswordpassword", "supersecretsupersecretsupersecret",
                "thisisaverylongsecretkeyforhmacsha256", "this is a very secret key, really!!",
                "correct horse battery staple correct horse", "my-secret-key-that-is-long-enough-for-hs256",
                "your-256-bit-secret-your-256-bit-secret", "test-key-test-key-test-key-test-key",
                "insecure-hmac-key-for-development-only-1234", "django-insecure-key-please-change-me-1",
                "MySuperSecretHmacKeyForProductionUse1", "UncleJackLikesElephantsAndGiraffes",
                "thequickbrownfoxjumpsoverthelazydog", "YOUR_SECRET_KEY_HERE_AT_LEAST_32_BYTES",
                "REPLACE_ME_REPLACE_ME_REPLACE_ME_", "replace-this-with-a-32-byte-random-key",
                "s3cr3t-k3y-f0r-pr0duct10n-2024-xyz", "p@ssw0rd-p@ssw0rd-P@ssw0rd-2024!",
                "aveverify-redis-hmac-key-000000000001", "qwertyuiopasdfghjklzxcvbnm123456",
                "openssl rand -base64 48 > sign-key", "Lorem ipsum dolor sit amet, consectetur",
            )
        ),
        pytest.param(base64_of(b"this is a very secret key, really!!"), id="a sentence in base64"),
        pytest.param(base64.urlsafe_b64encode(b"changeme" * 6), id="words in base64url"),
        pytest.param(b"this is a very secret key, really!!".hex().encode(), id="a sentence in hex"),
    ],
)  # fmt: skip
def test_cfg_015_what_would_be_tried_is_refused(key: bytes) -> None:
    assert problem_of(key) is Problem.WEAK_KEY
    # As an editor leaves it in a file.
    assert problem_of(key + b"\n") is Problem.WEAK_KEY


# --- the boundaries


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        pytest.param(RANDOM[:31], Problem.OUT_OF_RANGE, id="31 bytes"),
        pytest.param(RANDOM[:32], None, id="32 bytes"),
        pytest.param(RANDOM + b"\x03", None, id="33 bytes"),
        pytest.param(KEY_TEXT[:31] + b"\n", Problem.OUT_OF_RANGE, id="31 characters and a line break"),
        pytest.param(b" " + KEY_TEXT[:31], Problem.OUT_OF_RANGE, id="a blank and 31 characters"),
        pytest.param(KEY_TEXT + b"\r\n", None, id="a good text and a line break"),
        pytest.param(b"\n" + RANDOM[:30] + b" ", None, id="random bytes that look like blanks at both ends"),
        pytest.param(b"", Problem.OUT_OF_RANGE, id="nothing"),
        pytest.param(b"\n" * 40, Problem.OUT_OF_RANGE, id="nothing but line breaks"),
        pytest.param(KEY_TEXT.decode(), Problem.OUT_OF_RANGE, id="text"),
        pytest.param(bytearray(KEY), Problem.OUT_OF_RANGE, id="bytes that can be changed"),
        pytest.param(memoryview(KEY), Problem.OUT_OF_RANGE, id="a view"),
        pytest.param(None, Problem.OUT_OF_RANGE, id="None"),
        pytest.param(32, Problem.OUT_OF_RANGE, id="a number"),
    ],
)
def test_cfg_015_a_key_is_at_least_32_bytes_without_what_surrounds_a_text(key: object, problem: Problem | None) -> None:
    assert problem_of(key) is problem


def test_cfg_015_a_base64_text_that_was_cut_off_counts_as_it_stands() -> None:
    """61 characters are no whole number of bytes, so there is nothing to decode."""
    assert problem_of(base64_of(RANDOM + RANDOM[::-1])[:61]) is None
    assert problem_of(b"passwordpassword" * 3 + b"secretsecret1") is Problem.WEAK_KEY


def with_different(count: int) -> bytes:
    """48 bytes of so many values, in no order."""
    values = [value for index, value in enumerate(RANDOM) if value not in RANDOM[:index]][:count]
    return bytes(values[byte % count] for byte in RANDOM + RANDOM[::-1][:16])


@pytest.mark.parametrize(("count", "problem"), [(7, Problem.WEAK_KEY), (8, None), (9, None)])
def test_cfg_015_a_key_has_at_least_eight_different_bytes(count: int, problem: Problem | None) -> None:
    key = with_different(count)
    assert len(set(key)) == count

    assert problem_of(key) is problem


@pytest.mark.parametrize(
    ("length", "problem"), [(14, Problem.WEAK_KEY), (15, Problem.WEAK_KEY), (16, None), (17, None)]
)
def test_cfg_015_a_pattern_of_sixteen_bytes_is_a_key_in_itself(length: int, problem: Problem | None) -> None:
    assert problem_of((RANDOM[:length] * 4)[:48]) is problem


@pytest.mark.parametrize("distance", [1, 2, 8, 15])
@pytest.mark.parametrize(("more", "problem"), [(-1, None), (0, Problem.WEAK_KEY), (1, Problem.WEAK_KEY)])
def test_cfg_015_half_of_the_steps_may_not_be_the_same(distance: int, more: int, problem: Problem | None) -> None:
    key = bytearray(RANDOM)
    pairs = len(key) - distance
    # From the front, so that none is undone.
    for place in range(distance, distance + (pairs + 1) // 2 + more):
        key[place] = (key[place - distance] + 7) % 256

    assert problem_of(bytes(key)) is problem


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        pytest.param(b"secretpassword2k9x7q5w1v8z4j6y30", None, id="14 of 32 letters are words"),
        pytest.param(b"secretpasswordmy2k9x7q5w1v8z4j6y", None, id="two-letter words are none"),
        pytest.param(b"secretpasswordkey2k9x7q5w1v8z4j6y3", Problem.WEAK_KEY, id="17 of 34"),
        pytest.param(b"secretpasswordkey2k9x7q5w1v8z4j6y30", None, id="17 of 35"),
        pytest.param(b"secretpasswordkey2k9x7q5w1v8z4j6y", Problem.WEAK_KEY, id="17 of 33"),
    ],
)
def test_cfg_015_less_than_half_of_a_key_may_be_words(key: bytes, problem: Problem | None) -> None:
    assert problem_of(key) is problem


# --- what chance makes


def openssl(*options: str) -> bytes:
    return subprocess.run([which("openssl") or "openssl", "rand", *options], capture_output=True, check=True).stdout


@pytest.mark.skipif(which("openssl") is None, reason="NOT TESTED HERE: openssl is not installed")
@pytest.mark.parametrize("options", [("-base64", "48"), ("-base64", "32"), ("-base64", "96"), ("-hex", "32"), ("48",)])
def test_cfg_015_what_openssl_makes_is_good(options: tuple[str, ...]) -> None:
    for _ in range(20):
        key = openssl(*options)
        assert problem_of(key) is None
        assert problem_of(key.strip()) is None or len(key.strip()) < 32


Make = Callable[[], bytes]


@pytest.mark.no_cover  # 21,000 keys through lines that the tests above have measured
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: secrets.token_bytes(32), id="32 bytes"),
        pytest.param(lambda: secrets.token_bytes(64), id="64 bytes"),
        pytest.param(lambda: secrets.token_hex(32).encode(), id="hex of 32 bytes"),
        pytest.param(lambda: secrets.token_hex(32).upper().encode(), id="capital hex"),
        pytest.param(lambda: base64_of(secrets.token_bytes(48)), id="base64 of 48 bytes"),
        pytest.param(lambda: base64_of(secrets.token_bytes(48)) + b"\n", id="base64 of 48 bytes and a line break"),
        pytest.param(lambda: base64_of(secrets.token_bytes(32)), id="base64 of 32 bytes"),
        pytest.param(lambda: secrets.token_urlsafe(32).encode(), id="base64url of 32 bytes"),
        pytest.param(lambda: secrets.token_urlsafe(48).encode()[:61], id="base64url that was cut off"),
        pytest.param(lambda: base64.b32encode(secrets.token_bytes(32)), id="base32 of 32 bytes"),
        pytest.param(lambda: base64.b85encode(secrets.token_bytes(32)), id="base85 of 32 bytes"),
        pytest.param(lambda: b"".join([uuid.uuid4().hex.encode(), uuid.uuid4().hex.encode()]), id="two UUIDs"),
        pytest.param(lambda: uuid.uuid4().hex.encode() * 2, id="a UUID twice"),
        pytest.param(lambda: b"-".join([str(uuid.uuid4()).encode()] * 2), id="a UUID with dashes twice"),
    ],
)
def test_cfg_015_what_chance_makes_is_good(make: Make) -> None:
    refused = [key for key in (make() for _ in range(1500)) if problem_of(key) is not None]

    assert refused == []


@given(st.randoms(use_true_random=True))
def test_cfg_015_random_bytes_of_any_length_are_good(random: Any) -> None:
    assert problem_of(random.randbytes(random.randint(32, 200))) is None


@given(st.binary(max_size=80))
def test_cfg_015_any_bytes_are_good_or_refused_with_our_error(key: bytes) -> None:
    assert problem_of(key) in (None, Problem.WEAK_KEY, Problem.OUT_OF_RANGE)


# --- where keys come in


@pytest.mark.parametrize("key", [b"32 random bytes or more, shared!", bytes(32)], ids=["README", "docs"])
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(IdentitySigner, id="IdentitySigner"),
        pytest.param(lambda key: read_identity("", key=key), id="read_identity"),
        pytest.param(lambda key: RedisDocumentStore.from_url("redis://127.0.0.1", hmac_key=key), id="from_url"),
        pytest.param(lambda key: RedisDocumentStore(object(), hmac_key=key), id="RedisDocumentStore"),  # type: ignore[arg-type]
    ],
)
def test_cfg_015_every_door_for_keys_refuses_published_ones_and_says_how_to_make_one(
    use: Callable[[bytes], object], key: bytes
) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand -base64 48") as caught:
        use(key)
    assert caught.value.problem is Problem.WEAK_KEY
    assert repr(key)[2:-1] not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "mend"),
    [
        pytest.param(secrets.token_hex(32), "bytes.fromhex", id="text, long enough"),
        pytest.param("", "bytes.fromhex", id="empty text"),
        pytest.param(b"short", "at least 32 bytes.*openssl rand -base64 48", id="short"),
        pytest.param(None, "at least 32 bytes.*openssl rand -base64 48", id="nothing"),
    ],
)
def test_a_key_that_is_no_key_is_told_what_to_write(key: object, mend: str) -> None:
    with pytest.raises(ConfigurationError, match=mend) as caught:
        check_secret_key("key", key)
    assert caught.value.problem is Problem.OUT_OF_RANGE


PAGES = [
    path
    for pattern in (
        "*.md", "docs/**/*.md", "deploy/**/*", "examples/**/*", "drill/**/*", "aveverify/**/*.py", "benchmarks/**/*.py",
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix not in (".pyc", ".json") and path.name != "secret_key.py"
]  # fmt: skip


def test_cfg_015_no_page_and_no_example_shows_a_key() -> None:
    """A key in a page is used by many; a default, by all the others."""
    literal = re.compile(r"""(random bytes or more|(?i:key)\s*=\s*b["']|KEY["'],\s*["']|["']00["']\s*\*)""")
    assert len(PAGES) > 50

    found = [(path.name, text) for path in PAGES for text in literal.findall(path.read_text(errors="replace"))]

    assert found == []
