"""`Identity`: the user of a verified token, under Python's names and under Convex's.

Immutable to the depth: claims are kept as bytes and parsed again at each access, so that a request cannot change the
identity that the token cache hands to the next one. Its repr shows issuer and subject only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from aveverify._core.jose.encoding import JsonObject, JsonValue
from aveverify._core.jose.strict_json import parse_json_object
from aveverify._core.rules.user_claims import custom_jwt_custom_claims, oidc_custom_claims, strip_language_tags
from aveverify._core.standard_attributes import ConvexIdentity, StandardAttributes
from aveverify.errors import quote

if TYPE_CHECKING:
    from aveverify._core.provider import Provider

_IMMUTABLE: Final = "an Identity cannot be changed"


class _Draft(StandardAttributes):
    """An identity while it is made: the one time that its fields may be set."""

    __slots__ = ("expires_at", "issued_at", "issuer", "subject")

    def __init__(self, provider: Provider, payload: bytes, claims: JsonObject) -> None:
        issuer = claims["iss"]
        self.provider = provider
        # One text for all identities of a provider.
        self.issuer: str = provider.issuer if issuer == provider.issuer else issuer
        self.subject: str = claims["sub"]
        self.expires_at: float = claims["exp"]
        self.issued_at: float | None = claims.get("iat")
        self._payload = payload
        self._attributes = None


class Identity(_Draft):
    """A verified user. Only a `Verifier` makes one; in tests, `aveverify.testing.FakeIssuer` signs tokens for it.

    It never changes, can be shared between threads, compared, hashed, copied and pickled. A custom claim is read as
    `identity["plan"]` or `identity.get("plan")`; `"plan" in identity` tells whether the token has it.

    Attributes:
        issuer: The token's `iss`, as written.
        subject: The token's `sub`. Unique within the issuer only: `(issuer, subject)` is the key of a user.
        provider: The provider that accepted the token.
        expires_at: The token's `exp`, in seconds since the epoch.
        issued_at: The token's `iat`, in seconds since the epoch; None where a customJwt token has none.
        name, nickname, …: The eighteen standard attributes of Convex, in snake_case; None when absent.

    Raises:
        TypeError: It is called: an identity comes from a verifier.

    Example:
        >>> identity = verifier.verify(token)  # doctest: +SKIP
        >>> (identity.issuer, identity.subject)  # doctest: +SKIP
        ('https://aveid.net', 'u_123')

    Source: ID-01 to ID-10.
    """

    __slots__ = ()

    def __init__(self) -> None:
        """Refuse: an identity comes from a verifier."""
        message = "an Identity is made by Verifier.verify(); in tests, use aveverify.testing.FakeIssuer"
        raise TypeError(message)

    @property
    def token_identifier(self) -> str:
        """The text by which Convex identifies this user: issuer, `|`, subject (ID-02).

        To compare users, compare `issuer` and `subject`: two different pairs may give one text.
        """
        return f"{self.issuer}|{self.subject}"

    @property
    def claims(self) -> dict[str, Any]:
        """All verified claims, parsed again at each access: the caller may change what it gets."""
        return parse_json_object(self._payload)

    def _custom(self) -> JsonObject:
        claims = parse_json_object(self._payload)
        return oidc_custom_claims(claims) if self.provider.kind == "oidc" else custom_jwt_custom_claims(claims)

    def __getitem__(self, name: str) -> JsonValue:
        """Return a custom claim.

        Args:
            name: Its name; in customJwt, the dotted path of a claim within objects (`org.id`).

        Returns:
            Its JSON value.

        Raises:
            KeyError: There is no custom claim of this name.

        Source: CLM-13; CLM-14; CJ-23 to CJ-27.
        """
        return self._custom()[name]

    def get(self, name: str, default: JsonValue = None) -> JsonValue:
        """Return a custom claim, or a default.

        Args:
            name: As for `identity[name]`.
            default: What to return where there is no custom claim of this name.

        Returns:
            The JSON value of the claim, or the default.
        """
        return self._custom().get(name, default)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a custom claim of this name."""
        return name in self._custom()

    # Without this, Python would try identity[0], identity[1], … for a loop.
    __iter__ = None

    def to_convex(self) -> ConvexIdentity:
        """Return exactly what `ctx.auth.getUserIdentity()` returns in a Convex backend.

        Returns:
            Attributes and custom claims in one flat dictionary, which the caller may change.

        Source: ID-01; ID-03; ID-04; DV-07.
        """
        members: dict[str, Any] = {
            "tokenIdentifier": self.token_identifier,
            "issuer": self.issuer,
            "subject": self.subject,
            **self._read_attributes(),
            **self._custom(),
        }
        return cast("ConvexIdentity", members)

    @property
    def is_authenticated(self) -> bool:
        """Always True (Starlette's user protocol)."""
        return True

    @property
    def display_name(self) -> str:
        """A text to show to a person: name, preferred username or subject (Starlette's user protocol)."""
        return self.name or self.preferred_username or self.subject

    @property
    def identity(self) -> str:
        """The token identifier (Starlette's user protocol)."""
        return self.token_identifier

    def __repr__(self) -> str:
        """Show issuer and subject only."""
        return f"<Identity issuer={quote(self.issuer)} subject={quote(self.subject)}>"

    def __eq__(self, other: object) -> bool:
        """Compare type, provider and all claims; 1, 1.0 and true are three values."""
        if not isinstance(other, Identity):
            return NotImplemented
        return self.provider == other.provider and _canonical(self._payload) == _canonical(other._payload)

    def __hash__(self) -> int:
        """Hash by token identifier."""
        return hash((self.issuer, self.subject))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: an identity never changes."""
        raise AttributeError(_IMMUTABLE)

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: an identity never changes."""
        raise AttributeError(_IMMUTABLE)

    def __copy__(self) -> Identity:
        """Return the identity itself: it never changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Identity:
        """Return the identity itself: it never changes."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the provider and the verified claims; the token and its signature are not here."""
        return _rebuild, (self.provider, self._payload)


def make_identity(provider: Provider, payload: bytes, claims: JsonObject) -> Identity:
    """Build the identity of a verified token.

    Args:
        provider: The provider that accepted it.
        payload: The verified payload, as bytes.
        claims: The same payload, parsed; on OIDC without language tags.

    Returns:
        The identity.

    Source: ID-01 to ID-05; CLM-01; CJ-27; CJ-28.
    """
    draft: Any = _Draft(provider, payload, claims)
    # From now on it cannot be changed. An `__init__` that sets fields one by one past `__setattr__` takes 280 ns more.
    draft.__class__ = Identity
    identity: Identity = draft
    return identity


def _rebuild(provider: Provider, payload: bytes) -> Identity:
    # Pickles of every version name this function.
    claims = parse_json_object(payload)
    return make_identity(provider, payload, strip_language_tags(claims) if provider.kind == "oidc" else claims)


def _canonical(payload: bytes) -> str:
    return json.dumps(parse_json_object(payload), sort_keys=True)


# Pickles and tracebacks name the public module.
Identity.__module__ = _rebuild.__module__ = "aveverify.identity"
