"""`Identity`: the user that a token vouches for, in Python's names and in Convex's.

Immutable to the depth: claims are kept as bytes and parsed afresh at each access, so that an identity shared by the
token cache cannot be changed by one request for the next. Its repr shows issuer and subject only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, Self, TypedDict, TypeVar, cast, overload

from aveverify._core.jose.encoding import JsonObject
from aveverify._core.jose.strict_json import parse_json_object
from aveverify._core.rules.user_claims import (
    custom_jwt_custom_claims,
    oidc_attributes,
    oidc_custom_claims,
    strip_language_tags,
)
from aveverify.errors import quote

if TYPE_CHECKING:
    from aveverify._core.provider import Provider


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


T = TypeVar("T")
_set: Final = object.__setattr__


class _Attribute(Generic[T]):
    """A standard attribute: a read-only view of the member that Convex shows, None when absent."""

    __slots__ = ("_member",)

    def __init__(self, member: str) -> None:
        self._member = member

    @overload
    def __get__(self, identity: None, owner: type) -> Self: ...

    @overload
    def __get__(self, identity: Identity, owner: type) -> T | None: ...

    def __get__(self, identity: Identity | None, owner: type) -> Self | T | None:
        return self if identity is None else _attributes_of(identity).get(self._member)


_IMMUTABLE: Final = "an Identity cannot be changed"


class _Draft:
    """An identity while it is made: the one time that its fields may be set."""

    __slots__ = ("_attributes", "_payload", "expires_at", "issued_at", "issuer", "provider", "subject")

    def __init__(  # noqa: PLR0913, PLR0917 - the fields; names would cost every token
        self,
        provider: Provider,
        payload: bytes,
        issuer: str,
        subject: str,
        expires_at: float,
        issued_at: float | None,
    ) -> None:
        self.provider = provider
        self.issuer = issuer
        self.subject = subject
        self.expires_at = expires_at
        self.issued_at = issued_at
        # As bytes, so that nobody can change it.
        self._payload = payload
        # Convex's names -> values, of the attributes that are present, once somebody has asked; never handed out.
        self._attributes: JsonObject | None = None


class Identity(_Draft):
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

    __slots__ = ()

    name = _Attribute[str]("name")
    nickname = _Attribute[str]("nickname")
    email = _Attribute[str]("email")
    gender = _Attribute[str]("gender")
    given_name = _Attribute[str]("givenName")
    family_name = _Attribute[str]("familyName")
    preferred_username = _Attribute[str]("preferredUsername")
    profile_url = _Attribute[str]("profileUrl")
    picture_url = _Attribute[str]("pictureUrl")
    website_url = _Attribute[str]("websiteUrl")
    email_verified = _Attribute[bool]("emailVerified")
    birthday = _Attribute[str]("birthday")
    timezone = _Attribute[str]("timezone")
    language = _Attribute[str]("language")
    phone_number = _Attribute[str]("phoneNumber")
    phone_number_verified = _Attribute[bool]("phoneNumberVerified")
    address = _Attribute[str]("address")
    updated_at = _Attribute[str]("updatedAt")

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
            **_attributes_of(self),
            **self._custom(),
        }
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
    issuer = claims["iss"]
    # One text for all identities of a provider.
    draft: Any = _Draft(
        provider,
        payload,
        provider.issuer if issuer == provider.issuer else issuer,
        claims["sub"],
        claims["exp"],
        claims.get("iat"),
    )
    draft.__class__ = Identity
    identity: Identity = draft
    return identity


def _attributes_of(identity: Identity) -> JsonObject:
    attributes = identity._attributes  # noqa: SLF001 - its own module
    if attributes is None:
        # CJ-27: a customJwt token sets no attributes.
        attributes = {}
        if identity.provider.kind == "oidc":
            attributes = oidc_attributes(strip_language_tags(parse_json_object(identity._payload)))  # noqa: SLF001 - its own module
        # Two threads may both come here: they set equal values.
        _set(identity, "_attributes", attributes)
    return attributes


def _rebuild(provider: Provider, payload: bytes) -> Identity:
    claims = parse_json_object(payload)
    return make_identity(provider, payload, strip_language_tags(claims) if provider.kind == "oidc" else claims)


def _canonical(payload: bytes) -> str:
    return json.dumps(parse_json_object(payload), sort_keys=True)


# Pickles and tracebacks name the public module.
Identity.__module__ = _rebuild.__module__ = "aveverify.identity"
