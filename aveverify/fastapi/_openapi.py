"""What FastAPI's OpenAPI document says of the dependencies: bearer tokens, scopes, discovery, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from fastapi.security import OpenIdConnect, SecurityScopes
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from aveverify._http.openapi import REFUSED_STATUSES

if TYPE_CHECKING:
    from fastapi.openapi.models import SecurityBase as SecurityModel


class Refusal(BaseModel):
    """The body of every refusal."""

    error: str = Field(description="A code of RFC 6750, `unauthorized` or `temporarily_unavailable`")
    error_description: str = Field(description="A fixed sentence")


class BearerScheme(OpenIdConnect):
    """What OpenAPI says of a dependency: that it takes a bearer token, and demands scopes.

    Of this kind, because older versions of FastAPI list the scopes of no other that would do.
    """

    def __init__(self, model: SecurityModel, scheme_name: str) -> None:
        # The annotations of `__call__` are text, which FastAPI cannot resolve for an object that is no function.
        self.__signature__ = sign()
        self.model = model
        self.scheme_name = scheme_name


def sign(**dependencies: object) -> Signature:
    """Write the signature of a dependency that looks at the connection, its scopes, and other dependencies."""
    own = {"connection": HTTPConnection, "security_scopes": SecurityScopes}
    kind = Parameter.KEYWORD_ONLY
    return Signature(
        [Parameter(name, kind, annotation=annotation) for name, annotation in own.items()]
        + [Parameter(name, kind, default=dependency, annotation=Any) for name, dependency in dependencies.items()]
    )


def describe_refusals() -> dict[int | str, dict[str, Any]]:
    """Return the refusals as `responses` of a route."""
    challenge = {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "RFC 6750 §3"}}
    retry = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}
    return {
        status: {"model": Refusal, "description": text, "headers": retry if status == 503 else challenge}  # noqa: PLR2004 - Service Unavailable
        for status, text in REFUSED_STATUSES.items()
    }


def describe_discovery(
    make_openapi: Callable[[], dict[str, Any]], scheme_name: str, urls: Mapping[str, str]
) -> dict[str, Any]:
    """Add to a document how clients come by a token, beside the bearer token and with its scopes.

    Security schemes of FastAPI's own would be dependencies, which it solves at every request.

    Args:
        make_openapi: Makes the document, or gives the one that it made before.
        scheme_name: What it calls the bearer token.
        urls: The discovery documents, by the name of their scheme.

    Returns:
        The document.
    """
    document = make_openapi()
    schemes = document.get("components", {}).get("securitySchemes", {})
    if scheme_name in schemes:
        schemes |= {name: {"type": "openIdConnect", "openIdConnectUrl": url} for name, url in urls.items()}
        for security in _securities(document):
            demanded = [one[scheme_name] for one in security if scheme_name in one]
            ways = ({name: scopes} for scopes in demanded for name in urls)
            security += [way for way in ways if way not in security]
    return document


def _securities(document: dict[str, Any]) -> Iterator[list[dict[str, list[str]]]]:
    """Yield what each operation of an OpenAPI document demands."""
    for path in document.get("paths", {}).values():
        for operation in path.values():
            if isinstance(operation, dict) and "security" in operation:
                yield operation["security"]
