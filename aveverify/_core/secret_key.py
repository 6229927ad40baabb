"""Secret keys for HMAC, which the service configures: long enough, and not guessable. CFG-015.

A key is refused if it is shorter than 32 bytes, or if one of these holds for it, or for what it decodes to as hex or
base64:

1. It stands, or stood, in a page or an example of this project.
2. It has fewer than 8 different bytes.
3. It repeats or counts: for some distance below 16, at least half of its bytes differ by the same amount from the byte
   so far before.
4. It is a text of words: with blanks between them; or without a digit, and spelt like words (`MyKey-forRedis`); or at
   least half of it is words of which placeholders are made (`s3cret`, `change-me`).

Blanks and line breaks around a text do not count. Fewer than one random key of 32 bytes in 10^12 is refused, as bytes,
in hex, or as `openssl rand -base64 48` makes it, and fewer than one in 10^9 where 32 bytes are written in base64.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from functools import lru_cache
from typing import Final

from aveverify.errors import ConfigurationError, Problem

# RFC 7518 §3.2; RFC 2104 §3: as long as the hash. A shorter secret is easier to guess than the hash is to break.
_MIN_KEY_BYTES: Final = 32
_MIN_DIFFERENT: Final = 8
# A pattern of 16 bytes may be a key in itself, written twice.
_MAX_DISTANCE: Final = 15
# Fewer pairs agree by chance.
_MIN_PAIRS: Final = 16
_PUBLISHED: Final = frozenset({b"32 random bytes or more, shared!", b"00" * 32, bytes(32)})
_WHITE_SPACE: Final = b" \t\n\v\f\r"
_TEXT: Final = re.compile(rb"[\x20-\x7e\t\n\v\f\r]*")
_HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_SPELT: Final = re.compile(rb"(?:[A-Z]?[a-z]{2,}|[^A-Za-z0-9])+")
# Digits and signs that stand for letters.
_LETTERS: Final = bytes.maketrans(b"013457@$!", b"oieastasi")
_PLACEHOLDERS: Final = """
    abc abcd access account admin aes again algorithm all alpha and any api app apple application are asdfghjkl auth
    ave aveverify backend bad banana bar base base64 battery baz bearer beta bit bits bytes cache change changeit
    changeme character characters client cloud code common company config correct credential database debug default
    demo dev develop developer development django docker document dolor domain dont dummy edit encryption enough
    enter env environment example fake fastapi fixme flask foo for from generate github good google has have header
    hello here hmac horse hs256 identity insecure insert internal ipsum issuer jwt key keyboard keys least letmein
    live local localhost long lorem love mac magic make master minimum modify monkey must mysecret mysql name never
    nobody not nothing one only open openid other our own pass passphrase password please postgres private prod
    production project proxy public put python qwerty qwertyuiop random read real redis remove replace request root
    safe salt sample secret secrets secure security seed server service session set shared should sign signature
    signing simple some somebody something staging staple starlette store string strong super sure temp temporary
    test testing tests text that the these thing this those todo token top two unsafe unsecure update upstream use
    user value very welcome whatever with word work world write xxx yes you your zero zxcvbnm
"""
_WORDS: Final = re.compile("|".join(sorted(_PLACEHOLDERS.split(), key=len, reverse=True)).encode())


def check_secret_key(field: str, key: object) -> None:
    """Refuse a key that is too short or can be guessed.

    Args:
        field: Its name, for the message.
        key: Must be bytes.

    Raises:
        ConfigurationError: `OUT_OF_RANGE`: it is not bytes, or shorter than 32 of them. `WEAK_KEY`: it can be guessed.

    Source: CFG-015; RFC 7518 §3.2; RFC 2104 §3.
    """
    if isinstance(key, str):
        raise ConfigurationError(Problem.OUT_OF_RANGE, field, "it is text; write bytes.fromhex(…) around hex digits")
    if type(key) is not bytes or len(_trim(key)) < _MIN_KEY_BYTES:
        mend = f"at least {_MIN_KEY_BYTES} bytes, for example of `openssl rand -base64 48`"
        raise ConfigurationError(Problem.OUT_OF_RANGE, field, mend)
    weakness = _find_weakness(key)
    if weakness is not None:
        raise ConfigurationError(Problem.WEAK_KEY, field, weakness)


# Kept, because a reader of identity headers passes the key with each of them.
@lru_cache(maxsize=16)
def _find_weakness(key: bytes) -> str | None:
    """Return how a key could be guessed; None where no way is known."""
    key = _trim(key)
    if key in _PUBLISHED:
        return "it is an example that was published"
    if _has_pattern(key):
        return "it repeats or counts"
    decoded = _decode_hex(key)
    if decoded is not None:
        # Its 16 different characters and few letters say nothing.
        return _find_weakness_in(decoded)
    return _find_weakness_in(key) or _find_weakness_in(_decode_base64(key) or key)


def _find_weakness_in(key: bytes) -> str | None:
    if len(frozenset(key)) < _MIN_DIFFERENT:
        return f"it has fewer than {_MIN_DIFFERENT} different bytes"
    if _has_pattern(key):
        return "it repeats or counts"
    return "it is made of words" if _is_wordy(key) else None


def _trim(key: bytes) -> bytes:
    # Only of a text: a random byte may look like a blank.
    return key.strip(_WHITE_SPACE) if _TEXT.fullmatch(key) else key


def _decode_hex(key: bytes) -> bytes | None:
    # A UUID has dashes.
    key = key.replace(b"-", b"")
    return binascii.unhexlify(key) if _HEX.fullmatch(key) else None


def _decode_base64(key: bytes) -> bytes | None:
    # `openssl rand` breaks long lines.
    key = b"".join(key.split())
    if not _BASE64.fullmatch(key):
        return None
    try:
        return base64.urlsafe_b64decode(key.translate(bytes.maketrans(b"+/", b"-_")).rstrip(b"=") + b"==")
    except binascii.Error:
        return None


def _has_pattern(key: bytes) -> bool:
    for distance in range(1, _MAX_DISTANCE + 1):
        pairs = len(key) - distance
        if pairs < _MIN_PAIRS:
            return False
        steps = Counter((one - other) % 256 for one, other in zip(key[distance:], key, strict=False))
        if 2 * max(steps.values()) >= pairs:
            return True
    return False


def _is_wordy(key: bytes) -> bool:
    if not _TEXT.fullmatch(key):
        return False
    if b" " in key or _SPELT.fullmatch(key):
        return True
    lowered = key.lower()
    return any(2 * len(_WORDS.sub(b"", text)) <= len(key) for text in (lowered, lowered.translate(_LETTERS)))
