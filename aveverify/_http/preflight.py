"""What is a CORS preflight: the one request that passes without a token where credentials are required.

Browsers send it without credentials and without a body. A request that something behind the middleware could turn
into another method is none: it would run that method for an anonymous client. Fetch §3.2.2 and §4.8; HTP-027.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote_plus

_REQUIRED: Final = frozenset({b"origin", b"access-control-request-method"})
# No preflight has these, whatever their value.
_FORBIDDEN: Final = frozenset({b"authorization", b"transfer-encoding"})
_LENGTH: Final = b"content-length"
# Names of headers that override the method, with hyphens for underscores, because WSGI mixes them up:
# X-HTTP-Method-Override, X-HTTP-Method, X-Method-Override, X-Original-Method, X-HTTP-Verb and the like.
_OVERRIDE: Final = re.compile(rb"method|verb|override")
# Parameters that do the same, with hyphens for underscores: _method, __method, _HttpMethod, and those headers' names.
_OVERRIDE_PARAMETER: Final = re.compile(
    r"-+(?:http-*)?(?:method|verb)\b|x-(?:http-)?(?:method|verb)\b|.*(?:method|verb)-?override|.*override-?(?:method|verb)"
)
_SEPARATORS: Final = re.compile(rb"[&;]")


def is_preflight(method: str, headers: Sequence[tuple[bytes, bytes]], query_string: bytes) -> bool:
    """Tell whether a request is a CORS preflight.

    Args:
        method: The HTTP method.
        headers: Names in any case and values.
        query_string: What stands behind the question mark, as it was sent.

    Returns:
        Whether it is OPTIONS with Origin and Access-Control-Request-Method, without Authorization of any scheme, with
        no sign of a body, and with nothing that overrides the method, in a header or in the query. A body without a
        length, which HTTP/2 allows, cannot be seen here.

    Source: HTP-027; Fetch §3.2.2.
    """
    if method != "OPTIONS":
        return False
    if not _REQUIRED.issubset(name.lower() for name, _ in headers):
        return False
    if any(_is_forbidden(name.lower().replace(b"_", b"-"), value) for name, value in headers):
        return False
    return not overrides_method(headers, query_string)


def overrides_method(headers: Iterable[tuple[bytes, bytes]], query_string: bytes) -> bool:
    """Tell whether something behind the middleware could turn a request into one of another method.

    Args:
        headers: Names in any case and values.
        query_string: What stands behind the question mark, as it was sent.

    Returns:
        Whether a header or a parameter of the query overrides the method.

    Source: HTP-027.
    """
    return any(_names_method(name.lower().replace(b"_", b"-")) for name, _ in headers) or any(
        map(_overrides, _SEPARATORS.split(query_string))
    )


def _is_forbidden(name: bytes, value: bytes) -> bool:
    return name in _FORBIDDEN or (name == _LENGTH and value.strip(b" \t") not in (b"", b"0"))


def _names_method(name: bytes) -> bool:
    return name not in _REQUIRED and _OVERRIDE.search(name) is not None


def _overrides(pair: bytes) -> bool:
    name = unquote_plus(pair.partition(b"=")[0].decode("latin-1")).strip().lower().replace("_", "-")
    return _OVERRIDE_PARAMETER.match(name) is not None
