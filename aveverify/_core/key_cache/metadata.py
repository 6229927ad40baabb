"""OpenID provider metadata: the two members that are read, and whether they name the configured issuer.

Only `issuer` and `jwks_uri` are read (DV-20). OpenID Connect Discovery 1.0 §3, §4.3; rules DISC-04, DISC-05, DISC-09.
"""

from __future__ import annotations

from typing import NamedTuple

from aveverify._core.jose.document_error import DocumentError
from aveverify._core.jose.encoding import EncodingError
from aveverify._core.jose.strict_json import parse_json_document, repeated_members
from aveverify._core.key_cache.urls import is_fetch_allowed, parse_address
from aveverify.errors import Fault

WELL_KNOWN_PATH = "/.well-known/openid-configuration"


class ProviderMetadata(NamedTuple):
    """The two members of a discovery document that are read."""

    issuer: str
    jwks_uri: str


class MetadataError(DocumentError):
    """A document is not a usable discovery document."""


def parse_metadata(document: bytes, *, fetched_over_http: bool, insecure_http: bool) -> ProviderMetadata:
    """Parse a discovery document.

    Args:
        document: The body of the response.
        fetched_over_http: Whether it was fetched over plain http; only then may it name a plain http URL.
        insecure_http: Whether the operator allows plain http beyond this machine.

    Returns:
        Its issuer and the URL of its JWK Set.

    Raises:
        MetadataError: It cannot be parsed, or names a URL that must not be fetched.

    Source: DISC-04; DISC-09; DV-08; DV-10; DV-20.
    """
    fault: Fault | None = None
    try:
        members = parse_json_document(document)
    except EncodingError as error:
        members, fault = {}, error.fault
    if fault is not None:
        raise MetadataError(f"the discovery document cannot be read: {fault.value}")
    for name in ("issuer", "jwks_uri"):
        value = members.get(name)
        if type(value) is not str or name in repeated_members(members) or parse_address(value) is None:
            raise MetadataError(f"the discovery document has no URL as {name}")
    address = parse_address(members["jwks_uri"])
    if address is None or not is_fetch_allowed(address, plain_http=fetched_over_http, insecure_http=insecure_http):
        raise MetadataError("the discovery document names an address for keys that is not https")
    return ProviderMetadata(members["issuer"], members["jwks_uri"])


def is_same_issuer(document_issuer: str, issuer: str) -> bool:
    """Tell whether the issuer of a document is the configured one, except for trailing slashes.

    Source: OpenID Connect Discovery §4.3; DISC-05.
    """
    return document_issuer.rstrip("/") == issuer.rstrip("/")
