"""URLs in configurations and discovery documents: which are valid, and which may be fetched.

Texts are never normalised here, only checked. No `iss` of a token is ever parsed here, so a token never chooses a URL
that is fetched (DV-09).
"""

from __future__ import annotations

import binascii
import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

_MAX_PORT: Final = 65535
_PORT_DIGITS: Final = 5

_HAS_SCHEME: Final = re.compile(r"\w+://")
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)")
# URL parsers strip or rewrite these characters; a URL that contains one is refused instead (CFG-007).
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff]")
_FORBIDDEN_IN_HOST: Final = re.compile(r"[%<>^|\[\]\"{}`]")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_BASE64_MARK: Final = re.compile(r";\x20*base64\x20*$", re.IGNORECASE)
# URL parsers remove these everywhere.
_TABS_AND_LINE_BREAKS: Final = {ord(character): None for character in "\t\n\r"}
_ASCII_WHITE_SPACE: Final = b"\t\n\x0c\r "


class Address(NamedTuple):
    """The parts of an absolute URL that decide whether it may be fetched."""

    scheme: str
    host: str
    path: str

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, by one of the three spellings of DV-10."""
        return self.host in _LOOPBACK


def add_scheme(text: str) -> str:
    """Prefix a text with `https://` unless it begins with a scheme.

    Source: CFG-09.
    """
    return text if _HAS_SCHEME.match(text) else f"https://{text}"


def parse_address(text: str) -> Address | None:
    """Parse an absolute URL with a host.

    Args:
        text: The URL as written.

    Returns:
        Scheme and host in lower case and the path; None if it is no absolute URL with a host and a valid port.

    Source: CFG-10; DISC-04; DV-18.
    """
    found = _URL.match(text)
    if found is None or _FORBIDDEN.search(text):
        return None
    host_and_port = found["authority"].rpartition("@")[2]
    host, port = _split_port(host_and_port)
    if not _is_host(host) or not _is_port(port):
        return None
    return Address(found["scheme"].lower(), host.lower(), found["path"])


def _split_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        # Text between `]` and `:` makes the port invalid, and with it the URL.
        return host + bracket, rest.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port


def _is_port(port: str) -> bool:
    digits = port.lstrip("0")
    return port == "" or (
        port.isascii() and port.isdigit() and len(digits) <= _PORT_DIGITS and int(digits or 0) <= _MAX_PORT
    )


def _is_host(host: str) -> bool:
    if host.startswith("["):
        # A zone (`%eth0`) names an interface of one machine, so it cannot be part of a URL that two parties compare.
        if not host.endswith("]") or "%" in host:
            return False
        try:
            IPv6Address(host[1:-1])
        except AddressValueError:
            return False
        return True
    return host.strip(".") != "" and not _FORBIDDEN_IN_HOST.search(host)


def is_fetch_allowed(address: Address, *, plain_http: bool, insecure_http: bool) -> bool:
    """Tell whether keys may be fetched from a URL.

    Args:
        address: The parts of the URL.
        plain_http: Whether the URL was configured as plain http, or named by a document that was fetched over it.
        insecure_http: Whether the operator allows plain http beyond this machine.

    Returns:
        True for https. For http only if `plain_http`, and on a loopback host or with `insecure_http`.

    Source: DV-10; DISC-09.
    """
    if address.scheme == "https":
        return True
    return address.scheme == "http" and plain_http and (insecure_http or address.is_loopback)


def is_data_url(text: str) -> bool:
    """Tell whether a text is a `data:` URL; the scheme is compared without case."""
    return text[:5].lower() == "data:"


def decode_data_url(text: str) -> bytes | None:
    """Decode the body of a `data:` URL; the media type is ignored and a fragment is cut off.

    Args:
        text: A text that `is_data_url` accepts.

    Returns:
        The body; None if it cannot be decoded.

    Source: JWKS-01.
    """
    text = text.translate(_TABS_AND_LINE_BREAKS)
    meta, comma, body = text[5:].partition("#")[0].partition(",")
    if not comma or not _is_encodable(body):
        return None
    data = unquote_to_bytes(body)
    if not _BASE64_MARK.search(meta):
        return data
    compact = data.translate(None, _ASCII_WHITE_SPACE)
    if len(compact) % 4 == 0:
        compact = compact.removesuffix(b"=").removesuffix(b"=")
    if b"=" in compact:
        return None
    try:
        return binascii.a2b_base64(compact + b"=" * (-len(compact) % 4), strict_mode=True)
    except binascii.Error:
        return None


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
