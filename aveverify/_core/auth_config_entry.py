"""The entries of a Convex `auth.config`, in Convex's words."""

from __future__ import annotations

from typing import Literal, TypedDict


class OidcEntry(TypedDict):
    """An OIDC entry of a Convex `auth.config`."""

    domain: str
    applicationID: str


class _CustomJwtRequired(TypedDict):
    type: Literal["customJwt"]
    issuer: str
    jwks: str
    algorithm: str


class CustomJwtEntry(_CustomJwtRequired, total=False):
    """A customJwt entry of a Convex `auth.config`."""

    applicationID: str
