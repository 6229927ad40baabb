"""The checks of a provider's fields: what cannot work is refused when the provider is built.

Each function checks one field and raises a `ConfigurationError` that names the field and how to mend it. Rules CFG-07
to CFG-14; DV-10, DV-17 to DV-19, DV-24.
"""

from __future__ import annotations

from typing import Final

from aveverify._core.jose.jwk_set import KeySetError, parse_key_set
from aveverify._core.key_cache.urls import add_scheme, decode_data_url, is_data_url, is_fetch_allowed, parse_address
from aveverify._core.rules import custom_jwt
from aveverify.errors import ConfigurationError, Problem

MAX_LEEWAY_SECONDS: Final = 300
# CFG-07, DV-19: all applications of this service share one issuer.
_SHARED_HOST: Final = "api.workos.com"
# RFC 8615 §3
_WELL_KNOWN: Final = "/.well-known/"
_QUOTES: Final = frozenset("\"'`\u2018\u2019\u201c\u201d")


def is_custom_jwt_algorithm(value: object) -> bool:
    """Tell whether a value names an algorithm of customJwt providers.

    Source: CFG-13.
    """
    return type(value) is str and value in custom_jwt.ALLOWED_ALGORITHMS


def check_text(field: str, value: object) -> None:
    """Refuse what is not text."""
    if type(value) is not str:
        raise ConfigurationError(Problem.WRONG_TYPE, field)


def check_flag(field: str, value: object) -> None:
    """Refuse what is neither True nor False, for instance None, 1 or `"no"`.

    Raises:
        ConfigurationError: It is something else.
    """
    # type(), and no truth value: `"no"` would allow what it forbids.
    if type(value) is not bool:
        raise ConfigurationError(Problem.OUT_OF_RANGE, field, "True or False")


def check_application_id(field: str, value: object) -> None:
    """Refuse an application id that no token could name; an empty one is legal.

    Source: CFG-17; DV-24.
    """
    check_text(field, value)
    if _is_padded(str(value)):
        raise ConfigurationError(Problem.PADDED, field)


def check_leeway(leeway_seconds: object) -> float | None:
    """Refuse a leeway outside of 0 to 300 seconds.

    Returns:
        The leeway; None stands for Convex's own of the kind.

    Source: CFG-010.
    """
    if leeway_seconds is None:
        return None
    # NaN is in no range, and bool is an int.
    if (
        not isinstance(leeway_seconds, (int, float))
        or isinstance(leeway_seconds, bool)
        or not 0 <= leeway_seconds <= MAX_LEEWAY_SECONDS
    ):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "leeway_seconds", f"0 to {MAX_LEEWAY_SECONDS}")
    return leeway_seconds


def check_issuer(issuer: str, application_id: str | None, *, insecure_http: bool) -> str:
    """Refuse an issuer that no token could name, that cannot be fetched, or that is shared by other applications.

    Args:
        issuer: The issuer as written.
        application_id: The audience; None accepts every audience.
        insecure_http: Whether plain http is allowed beyond this machine.

    Returns:
        The issuer, with `https://` in front if it had no scheme.

    Source: CFG-07 to CFG-12; DV-10; DV-17; DV-19; DV-24.
    """
    check_text("issuer", issuer)
    # CFG-08, DV-24
    if _is_padded(issuer):
        is_quoted = issuer[0] in _QUOTES or issuer[-1] in _QUOTES
        raise ConfigurationError(Problem.QUOTED if is_quoted else Problem.NOT_A_URL, "issuer")
    # CFG-09, CFG-12: compared as written, but for this.
    text = add_scheme(issuer)
    address = parse_address(text)
    # CFG-10
    if address is None or address.scheme not in ("http", "https"):
        raise ConfigurationError(Problem.NOT_A_URL, "issuer")
    # DV-24: the URL of the discovery document, copied from a browser; the document would be looked for below it.
    if _WELL_KNOWN in f"{address.path.lower()}/":
        raise ConfigurationError(Problem.WELL_KNOWN, "issuer")
    # CFG-11, DV-17: an IPv6 address may hold a dot, too, and is no name.
    if text != issuer and address.host != "localhost" and not _is_dotted_name(address.host):
        raise ConfigurationError(Problem.NO_DOT, "issuer")
    # CFG-07, DV-19
    if application_id is None and address.host.rstrip(".") == _SHARED_HOST and not address.path.strip("/"):
        raise ConfigurationError(Problem.SHARED_ISSUER, "issuer")
    # DV-10
    if not is_fetch_allowed(address, plain_http=True, insecure_http=insecure_http):
        raise ConfigurationError(Problem.PLAIN_HTTP, "issuer")
    return text


def check_fetch_url(field: str, url: object, problem: Problem, *, insecure_http: bool) -> None:
    """Refuse a URL that must not or cannot be fetched.

    Args:
        field: Its name, for the message.
        url: The URL as written.
        problem: What is wrong with a text that is no http or https URL.
        insecure_http: Whether plain http is allowed beyond this machine.

    Source: DV-10; DV-24.
    """
    # DV-24: a quote at its end was copied with it, too.
    address = parse_address(url) if type(url) is str and not _is_padded(url) else None
    if address is None or address.scheme not in ("http", "https"):
        raise ConfigurationError(problem, field)
    # DV-10
    if not is_fetch_allowed(address, plain_http=True, insecure_http=insecure_http):
        raise ConfigurationError(Problem.PLAIN_HTTP, field)


def check_key_set_location(jwks: str, *, insecure_http: bool) -> None:
    """Refuse a `data:` URL without a usable key set, and a URL that must not or cannot be fetched.

    Source: CFG-14; DV-10; DV-18: a key set that can never be read is found when the program starts.
    """
    if not is_data_url(jwks):
        check_fetch_url("jwks", jwks, Problem.KEY_SET_ADDRESS, insecure_http=insecure_http)
        return
    cause = _explain_data_url(decode_data_url(jwks))
    if cause is not None:
        raise ConfigurationError(Problem.KEY_SET_DATA, "jwks", cause)


def _explain_data_url(document: bytes | None) -> str | None:
    if document is None:
        return "no data"
    try:
        parse_key_set(document, "customJwt")
    except KeySetError as error:
        return error.cause
    return None


def _is_padded(text: str) -> bool:
    """Tell whether a text begins or ends with a blank, a line break, a quote or an invisible character (DV-24)."""
    return any(not end.isprintable() or end.isspace() or end in _QUOTES for end in (text[:1], text[-1:]) if end)


def _is_dotted_name(host: str) -> bool:
    return "." in host.rstrip(".") and not host.startswith("[")
