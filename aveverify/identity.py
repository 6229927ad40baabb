"""`Identity`: the user that a token vouches for, in Python's names and in Convex's.

Immutable to the depth: claims are kept as bytes and parsed afresh at each access, so that an identity shared by the
token cache cannot be changed by one request for the next. Its repr shows issuer and subject only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypedDict, cast

from aveverify._core.encoding import JsonObject, parse_json_object
from aveverify._core.mapping import custom_jwt_custom_claims, oidc_attributes, oidc_custom_claims, untag
from aveverify.errors import quote

if TYPE_CHECKING:
    from aveverify.provider import Provider


class _RequiredMembers(TypedDict):
    tokenIdentifier: str
    issuer: str
    subject: str


class ConvexIdentity(_RequiredMembers, total=False):
    """What `ctx.auth.getUserIdentity()` gives; custom claims stand beside these under their own names."""

    name: str
    nickname: str
    email: str
    gender: str
    givenName: str
    familyName: str
    preferredUsername: str
    profileUrl: str
    pictureUrl: str
    websiteUrl: str
    emailVerified: bool
    birthday: str
    timezone: str
    language: str
    phoneNumber: str
    phoneNumberVerified: bool
    address: str
    updatedAt: str


# Convex's member -> our attribute. Only OIDC tokens set them (CJ-27).
_ATTRIBUTE_OF_MEMBER: Final = {
    "name": "name",
    "nickname": "nickname",
    "email": "email",
    "gender": "gender",
    "givenName": "given_name",
    "familyName": "family_name",
    "preferredUsername": "preferred_username",
    "profileUrl": "profile_url",
    "pictureUrl": "picture_url",
    "websiteUrl": "website_url",
    "emailVerified": "email_verified",
    "birthday": "birthday",
    "timezone": "timezone",
    "language": "language",
    "phoneNumber": "phone_number",
    "phoneNumberVerified": "phone_number_verified",
    "address": "address",
    "updatedAt": "updated_at",
}
_set: Final = object.__setattr__


class Identity:
    """A verified user. `aveverify` makes these; there is no other way to get one.

    Attributes:
        issuer: The token's `iss`, as written.
        subject: The token's `sub`: the primary key of a user of this issuer.
        provider: The provider that accepted the token.
        expires_at: The token's `exp`, in seconds since the epoch.
        issued_at: The token's `iat`, in seconds since the epoch, or None where a customJwt token has none.
        name, nickname, …: The eighteen standard attributes of Convex, in snake_case; None when absent.

    Source: ID-01 to ID-10.
    """

    __slots__ = (
        "_payload", "address", "birthday", "email", "email_verified", "expires_at", "family_name", "gender",
        "given_name", "issued_at", "issuer", "language", "name", "nickname", "phone_number", "phone_number_verified",
        "picture_url", "preferred_username", "profile_url", "provider", "subject", "timezone", "updated_at",
        "website_url",
    )  # fmt: skip

    issuer: str
    subject: str
    provider: Provider
    expires_at: int | float
    issued_at: int | float | None
    name: str | None
    nickname: str | None
    email: str | None
    gender: str | None
    given_name: str | None
    family_name: str | None
    preferred_username: str | None
    profile_url: str | None
    picture_url: str | None
    website_url: str | None
    email_verified: bool | None
    birthday: str | None
    timezone: str | None
    language: str | None
    phone_number: str | None
    phone_number_verified: bool | None
    address: str | None
    updated_at: str | None
    _payload: bytes

    def __init__(self) -> None:
        """Refuse: an identity comes from a verifier."""
        message = "an Identity is made by Verifier.verify(); in tests, use aveverify.testing.FakeIssuer"
        raise TypeError(message)

    @property
    def token_identifier(self) -> str:
        """The text by which Convex knows this user: issuer, `|`, subject (ID-02). Compare both parts, not the text."""
        return f"{self.issuer}|{self.subject}"

    @property
    def claims(self) -> dict[str, Any]:
        """All verified claims, parsed afresh: the caller's own copy."""
        return parse_json_object(self._payload)

    def _custom(self) -> JsonObject:
        claims = parse_json_object(self._payload)
        return oidc_custom_claims(claims) if self.provider.kind == "oidc" else custom_jwt_custom_claims(claims)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a claim is any JSON value
        """Return a custom claim.

        Raises:
            KeyError: There is no custom claim of this name.
        """
        return self._custom()[name]

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - a claim is any JSON value
        """Return a custom claim, or the default where there is none."""
        return self._custom().get(name, default)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a custom claim of this name."""
        return name in self._custom()

    # Without this, Python would try identity[0], identity[1], … for a loop.
    __iter__ = None

    def to_convex(self) -> ConvexIdentity:
        """Return exactly what `ctx.auth.getUserIdentity()` gives: attributes and custom claims in one flat object.

        Source: ID-01; ID-03; ID-04; DV-07.
        """
        members: dict[str, Any] = {
            "tokenIdentifier": self.token_identifier,
            "issuer": self.issuer,
            "subject": self.subject,
        }
        for member, attribute in _ATTRIBUTE_OF_MEMBER.items():
            value = getattr(self, attribute)
            if value is not None:
                members[member] = value
        members.update(self._custom())
        return cast("ConvexIdentity", members)

    @property
    def is_authenticated(self) -> bool:
        """Always True (Starlette's user protocol)."""
        return True

    @property
    def display_name(self) -> str:
        """A text to show to people: name, preferred username or subject (Starlette's user protocol)."""
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
        message = "an Identity cannot be changed"
        raise AttributeError(message)

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: an identity never changes."""
        message = "an Identity cannot be changed"
        raise AttributeError(message)

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
        claims: The same payload, parsed.

    Returns:
        The identity.

    Source: ID-01 to ID-05; CLM-01; CJ-27; CJ-28.
    """
    identity = object.__new__(Identity)
    _set(identity, "provider", provider)
    _set(identity, "_payload", payload)
    oidc = provider.kind == "oidc"
    if oidc:
        claims = untag(claims)
    _set(identity, "issuer", claims["iss"])
    _set(identity, "subject", claims["sub"])
    _set(identity, "expires_at", claims["exp"])
    _set(identity, "issued_at", claims.get("iat"))
    attributes = oidc_attributes(claims) if oidc else {}
    for member, attribute in _ATTRIBUTE_OF_MEMBER.items():
        _set(identity, attribute, attributes.get(member))
    return identity


def _rebuild(provider: Provider, payload: bytes) -> Identity:
    return make_identity(provider, payload, parse_json_object(payload))


def _canonical(payload: bytes) -> str:
    return json.dumps(parse_json_object(payload), sort_keys=True)
