"""FastAPI: what its OpenAPI document says of the dependencies: bearer tokens, scopes, discovery, refusals.

OpenAPI 3.1 §4.8.27; OpenID Connect Discovery 1.0 §4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from fastapi.security import OpenIdConnect, SecurityScopes
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from aveverify._core.refusal import RenderRefusal, oauth_error, problem_details
from aveverify._http.openapi import REFUSED_STATUSES

if TYPE_CHECKING:
    from fastapi.openapi.models import SecurityBase as SecurityModel


class RefusalBody(BaseModel):
    """The body of every refusal, where `render_refusal` makes no other."""

    error: str = Field(description="A code of RFC 6750, `unauthorized` or `temporarily_unavailable`")
    error_description: str = Field(description="A fixed sentence")


class ProblemBody(BaseModel):
    """The body of every refusal where `render_refusal` is `aveverify.problem_details` (RFC 9457)."""

    type: str = Field(description="`about:blank`")
    title: str = Field(description="The phrase of the status code")
    status: int = Field(description="The status code")
    detail: str = Field(description="A fixed sentence")
    error: str = Field(description="A code of RFC 6750, `unauthorized` or `temporarily_unavailable`")


class BearerScheme(OpenIdConnect):
    """A dependency that OpenAPI shows as a bearer token with scopes.

    It derives from `OpenIdConnect` because older versions of FastAPI list scopes for that class and for OAuth 2.0 only.
    """

    def __init__(self, model: SecurityModel, scheme_name: str) -> None:
        # The annotations of `__call__` are text, which FastAPI resolves for functions only.
        self.__signature__ = sign()
        self.model = model
        self.scheme_name = scheme_name


def sign(**dependencies: object) -> Signature:
    """Make the signature of a dependency on the connection, its scopes and further dependencies, for FastAPI."""
    own = {"connection": HTTPConnection, "security_scopes": SecurityScopes}
    kind = Parameter.KEYWORD_ONLY
    return Signature(
        [Parameter(name, kind, annotation=annotation) for name, annotation in own.items()]
        + [Parameter(name, kind, default=dependency, annotation=Any) for name, dependency in dependencies.items()]
    )


def describe_refusals(render: RenderRefusal) -> dict[int | str, dict[str, Any]]:
    """Return the refusals for the `responses` of a route.

    Args:
        render: Renders their bodies. Those of a function of the application are not described.
    """
    challenge = {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "RFC 6750 §3"}}
    retry = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}
    return {
        status: {
            **_describe_body(render),
            "description": text,
            "headers": retry if status == HTTPStatus.SERVICE_UNAVAILABLE else challenge,
        }
        for status, text in REFUSED_STATUSES.items()
    }


def _describe_body(render: RenderRefusal) -> dict[str, Any]:
    if render is oauth_error:
        return {"model": RefusalBody}
    if render is problem_details:
        # FastAPI describes a model as application/json.
        return {"content": {"application/problem+json": {"schema": ProblemBody.model_json_schema()}}}
    return {}


def describe_discovery(
    make_openapi: Callable[[], dict[str, Any]], scheme_name: str, urls: Mapping[str, str]
) -> dict[str, Any]:
    """Add the discovery documents of the issuers to an OpenAPI document, as further security schemes.

    They are no `openIdConnect` schemes of FastAPI: FastAPI would run each as a dependency in every request.

    Args:
        make_openapi: Makes the document, or returns the cached one.
        scheme_name: The name of the bearer token among the security schemes.
        urls: The URLs of the discovery documents by the names of their schemes.

    Returns:
        The document.
    """
    document = make_openapi()
    schemes = document.get("components", {}).get("securitySchemes", {})
    if scheme_name in schemes:
        schemes |= {name: {"type": "openIdConnect", "openIdConnectUrl": url} for name, url in urls.items()}
        for security in _find_requirements(document):
            scope_lists = [requirement[scheme_name] for requirement in security if scheme_name in requirement]
            alternatives = ({name: scopes} for scopes in scope_lists for name in urls)
            security += [requirement for requirement in alternatives if requirement not in security]
    return document


def _find_requirements(document: dict[str, Any]) -> Iterator[list[dict[str, list[str]]]]:
    """Yield the security requirements of each operation of an OpenAPI document."""
    for path in document.get("paths", {}).values():
        for operation in path.values():
            if isinstance(operation, dict) and "security" in operation:
                yield operation["security"]
