"""An identity as the value of an HTTP header, for services that stand behind `aveverify serve`.

Every value is visible ASCII, whatever a token says, so nothing of it can begin another header. A signed value is a
JWS by HMAC-SHA-256 (RFC 7515) that lives for a minute and names its audience, so that a header of the client itself,
which a proxy forgot to remove, is refused. What is read must be exactly what is written here, to the last character.
"""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as percent_encode

from aveverify._core.secret_key import check_secret_key
from aveverify.clock import Clock, SystemClock
from aveverify.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from aveverify._core.identity import Identity

__all__ = ["IdentityHeaderError", "IdentitySigner", "encode_identity", "encode_text", "read_identity"]

ISSUER: Final = "aveverify-serve"
DEFAULT_AUDIENCE: Final = "upstream"
DEFAULT_LIFETIME_SECONDS: Final = 60
_LONGEST_LIFETIME_SECONDS: Final = 3600
_HEADER: Final = {"alg": "HS256", "typ": "JWT"}
_CLAIMS: Final = {"iss", "aud", "iat", "exp", "identity"}
# What identifies a user; the subject is never missing.
_TEXTS: Final = ("tokenIdentifier", "issuer", "subject")
# Exact as a double, so that no arithmetic with it can fail.
_LATEST_INSTANT: Final = 2**53
# The clocks of two machines of one site.
_LEEWAY_SECONDS: Final = 5
# RFC 9110 §5.5: VCHAR; `%` is left out, because it marks what was encoded.
_SAFE: Final = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")


class IdentityHeaderError(ValueError):
    """A signed header is not what our own service has written, or is too old. The text names no part of it."""


def encode_text(text: str) -> str:
    """Write any text as visible ASCII: percent-encoded UTF-8 of everything else, and of `%`.

    No two texts are written alike, and `urllib.parse.unquote` gives the text back.

    Args:
        text: A subject or a token identifier.

    Returns:
        The value of a header.

    Source: RFC 3986 §2.1; RFC 9110 §5.5; HTP-034.
    """
    return percent_encode(text, safe=_SAFE)


def encode_identity(identity: Identity) -> str:
    """Write what `getUserIdentity()` gives as JSON in base64url, without padding and without a signature.

    Args:
        identity: A verified user.

    Returns:
        The value of a header. A client that reaches the service without the proxy can write one, too.

    Source: RFC 4648 §5.
    """
    return _encode(json.dumps(identity.to_convex()).encode())


class IdentitySigner:
    """Writes identities as signed headers.

    Args:
        key: At least 32 random bytes, known only here and to the services behind.
        audience: The service that reads the headers; it accepts its own name only.
        lifetime_seconds: For how long a header counts, 1 to 3600, and never longer than the token behind it.
        clock: Where time comes from.

    Raises:
        ConfigurationError: An argument is out of range, or the key can be guessed.
    """

    __slots__ = ("_audience", "_clock", "_key", "_lifetime_seconds")

    def __init__(
        self,
        key: bytes,
        *,
        audience: str = DEFAULT_AUDIENCE,
        lifetime_seconds: int = DEFAULT_LIFETIME_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        check_secret_key("key", key)
        _check_audience(audience)
        # type(), not isinstance(): bool is an int.
        if type(lifetime_seconds) is not int or not 1 <= lifetime_seconds <= _LONGEST_LIFETIME_SECONDS:
            raise ConfigurationError(Problem.OUT_OF_RANGE, "lifetime_seconds", f"1 to {_LONGEST_LIFETIME_SECONDS}")
        self._key = key
        self._audience = audience
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock if clock is not None else SystemClock()

    def __call__(self, identity: Identity) -> str:
        """Write an identity as a compact JWS.

        Args:
            identity: A verified user.

        Returns:
            The value of a header; its claim `identity` is what `getUserIdentity()` gives.

        Source: RFC 7515 §7.1; RFC 7519 §4.1.
        """
        now = int(self._clock.now())
        claims = {
            "iss": ISSUER,
            "aud": self._audience,
            "iat": now,
            "exp": min(now + self._lifetime_seconds, int(identity.expires_at)),
            "identity": identity.to_convex(),
        }
        signing_input = _write(_HEADER, claims)
        return f"{signing_input}.{_sign(signing_input, self._key)}"

    def __repr__(self) -> str:
        """Show the audience only."""
        return f"<IdentitySigner for {self._audience!a}>"


def read_identity(
    value: str, *, key: bytes, audience: str = DEFAULT_AUDIENCE, clock: Clock | None = None
) -> dict[str, Any]:
    """Check a signed header and return the identity in it, for Python services behind the proxy.

    Args:
        value: The one value of `X-Ave-Identity`. Anything else than a text is refused, too.
        key: The key of the `IdentitySigner`.
        audience: The audience of the `IdentitySigner`.
        clock: Where time comes from.

    Returns:
        What `getUserIdentity()` gives.

    Raises:
        IdentityHeaderError: An `IdentitySigner` with this key and audience has not written it, or it no longer counts,
            or the clock gives no time.
        ConfigurationError: The key is too short or can be guessed, or the audience is no text.

    Source: RFC 7515 §5.2; RFC 8725 §3.1: the algorithm is ours, whatever the header says.
    """
    check_secret_key("key", key)
    _check_audience(audience)
    now = _read_clock(clock if clock is not None else SystemClock())
    claims = _read_claims(value, key)
    if not (claims["iss"] == ISSUER and claims["aud"] == audience):
        raise IdentityHeaderError(_FOREIGN)
    issued_at, expires_at, identity = claims["iat"], claims["exp"], claims["identity"]
    if (
        not (_is_instant(issued_at) and _is_instant(expires_at))
        or expires_at - issued_at > _LONGEST_LIFETIME_SECONDS
        or type(identity) is not dict
        or "subject" not in identity
        or any(type(identity.get(name, "")) is not str for name in _TEXTS)
    ):
        raise IdentityHeaderError(_MALFORMED)
    if not issued_at - _LEEWAY_SECONDS <= now < expires_at + _LEEWAY_SECONDS:
        raise IdentityHeaderError("the identity header no longer counts; the proxy asks for a new one at each request")
    return identity


_FOREIGN: Final = "the identity header is not signed with this key for this audience"
_MALFORMED: Final = "the identity header is signed, but not written by an IdentitySigner"


def _read_claims(value: object, key: bytes) -> dict[str, Any]:
    signing_input, _, signature = value.rpartition(".") if type(value) is str else ("", "", "")
    # Nothing is decoded before it is known who wrote it. As text, so that each signature has one spelling.
    if not signing_input.isascii() or not hmac.compare_digest(
        _sign(signing_input, key).encode(), signature.encode(errors="replace")
    ):
        raise IdentityHeaderError(_FOREIGN)
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(f"{part}==")) for part in signing_input.split("."))
        # No padding, no blank, no member twice, in any segment.
        is_ours = header == _HEADER and claims.keys() == _CLAIMS and _write(header, claims) == signing_input
    except (ValueError, AttributeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise IdentityHeaderError(_MALFORMED)
    return dict(claims)


def _read_clock(clock: Clock) -> float:
    try:
        now = clock.now()
        if 0 <= now <= _LATEST_INSTANT:
            return now
    except Exception:  # noqa: BLE001, S110 - CLK-003: on any exception of a clock, the header is refused
        pass
    raise IdentityHeaderError("the clock gives no time, so no identity header counts")


def _is_instant(value: object) -> bool:
    # type(), not isinstance(): bool is an int. The range refuses NaN and infinity.
    return type(value) in (int, float) and 0 <= value <= _LATEST_INSTANT  # type: ignore[operator]  # a number by now


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _write(header: dict[str, str], claims: dict[str, Any]) -> str:
    # RFC 7515 §5.1
    return ".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))


def _sign(signing_input: str, key: bytes) -> str:
    return _encode(hmac.digest(key, signing_input.encode(), sha256))


def _check_audience(audience: object) -> None:
    if type(audience) is not str:
        raise ConfigurationError(Problem.WRONG_TYPE, "audience")
    if not audience:
        raise ConfigurationError(Problem.EMPTY, "audience")
