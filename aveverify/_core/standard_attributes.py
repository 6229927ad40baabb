"""The eighteen standard attributes of a Convex user, as attributes of Python and as the members of a Convex identity.

They are read from the verified payload at the first access and kept; the kept dictionary is never handed out.
Rules CLM-01, CJ-27, ID-03.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Self, TypedDict, TypeVar, overload

from aveverify._core.jose.encoding import JsonObject
from aveverify._core.jose.strict_json import parse_json_object
from aveverify._core.rules.user_claims import oidc_attributes, strip_language_tags

if TYPE_CHECKING:
    from aveverify._core.provider import Provider


class _RequiredMembers(TypedDict):
    tokenIdentifier: str
    issuer: str
    subject: str


class ConvexIdentity(_RequiredMembers, total=False):
    """What `ctx.auth.getUserIdentity()` returns in a Convex backend.

    `tokenIdentifier`, `issuer` and `subject` are always there, every other member only where the token has the claim.
    Custom claims stand beside these members under their own names.

    Source: ID-01; ID-03; CLM-01.
    """

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
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: StandardAttributes, owner: type) -> T | None: ...

    def __get__(self, instance: StandardAttributes | None, owner: type) -> Self | T | None:
        return self if instance is None else instance._read_attributes().get(self._member)  # noqa: SLF001 - its own class


class StandardAttributes:
    """The part of an `Identity` that reads the standard attributes."""

    __slots__ = ("_attributes", "_payload", "provider")

    if TYPE_CHECKING:
        # Not at run time, where `typing.get_type_hints` of an Identity would look for names that are not imported here.
        provider: Provider
        _payload: bytes
        # By Convex's names, without those that are absent; None before the first access.
        _attributes: JsonObject | None

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

    def _read_attributes(self) -> JsonObject:
        attributes = self._attributes
        if attributes is None:
            # CJ-27: a customJwt token sets no attributes.
            attributes = {}
            if self.provider.kind == "oidc":
                attributes = oidc_attributes(strip_language_tags(parse_json_object(self._payload)))
            # Two threads may both come here: they set equal values. An Identity refuses a plain assignment.
            _set(self, "_attributes", attributes)
        return attributes
