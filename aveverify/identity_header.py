"""An identity as the value of an HTTP header, for services that stand behind `aveverify serve`.

Every value is visible ASCII, whatever a token says, so nothing of it can begin another header. A signed value is a
JWS by HMAC-SHA-256 (RFC 7515) that lives for a minute and names its audience: a proxy that forgot to take a client's
own header out does no harm then.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as percent_encode

import jwt

from aveverify.clock import Clock, SystemClock
from aveverify.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from aveverify.identity import Identity

__all__ = ["IdentityHeaderError", "IdentitySigner", "encode_identity", "encode_text", "read_identity"]

ISSUER: Final = "aveverify-serve"
DEFAULT_AUDIENCE: Final = "upstream"
DEFAULT_LIFETIME_SECONDS: Final = 60
_LONGEST_LIFETIME_SECONDS: Final = 3600
# RFC 7518 §3.2: a key of the same size as the hash, or larger.
MIN_KEY_BYTES: Final = 32
_ALGORITHM: Final = "HS256"
_REQUIRED: Final = ["iss", "aud", "iat", "exp", "identity"]
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
        The value of a header. Whoever can reach the service without the proxy can write one, too.

    Source: RFC 4648 §5.
    """
    return base64.urlsafe_b64encode(json.dumps(identity.to_convex()).encode()).rstrip(b"=").decode()


class IdentitySigner:
    """Writes identities as signed headers.

    Args:
        key: At least 32 random bytes, which the services behind know, and nobody else.
        audience: Whom the headers are for; a service accepts its own name only.
        lifetime_seconds: For how long a header counts, 1 to 3600, and never longer than the token behind it.
        clock: Where time comes from.

    Raises:
        ConfigurationError: An argument is out of range.
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
        _check_key(key)
        if not audience:
            raise ConfigurationError(Problem.EMPTY, "audience")
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
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def __repr__(self) -> str:
        """Show the audience only."""
        return f"<IdentitySigner for {self._audience!a}>"


def read_identity(
    value: str, *, key: bytes, audience: str = DEFAULT_AUDIENCE, clock: Clock | None = None
) -> dict[str, Any]:
    """Check a signed header and return the identity in it, for Python services behind the proxy.

    Args:
        value: The one value of `X-Ave-Identity`.
        key: The key of the `IdentitySigner`.
        audience: The audience of the `IdentitySigner`.
        clock: Where time comes from.

    Returns:
        What `getUserIdentity()` gives.

    Raises:
        IdentityHeaderError: It was not signed with this key for this audience, or no longer counts.
        ConfigurationError: The key is too short.

    Source: RFC 7515 §5.2; RFC 8725 §3.1: the algorithm is ours, whatever the header says.
    """
    _check_key(key)
    now = (clock if clock is not None else SystemClock()).now()
    try:
        claims = jwt.decode(
            value,
            key,
            algorithms=[_ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            # By our own clock, below.
            options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, UnicodeError):
        raise IdentityHeaderError("the identity header is not signed with this key for this audience") from None
    if not claims["iat"] - _LEEWAY_SECONDS <= now < claims["exp"] + _LEEWAY_SECONDS:
        raise IdentityHeaderError("the identity header no longer counts; the proxy asks for a new one at each request")
    identity: dict[str, Any] = claims["identity"]
    return identity


def _check_key(key: object) -> None:
    if type(key) is not bytes or len(key) < MIN_KEY_BYTES:
        raise ConfigurationError(Problem.OUT_OF_RANGE, "key", f"at least {MIN_KEY_BYTES} bytes")
