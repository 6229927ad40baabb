"""What responses say to caches: by which request headers they differ, and that they are for one client alone.

Knows neither ASGI nor WSGI nor a framework. HTP-050; RFC 9110 §12.5.5; RFC 9111 §3.5, §4.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from aveverify.errors import ConfigurationError, Problem
from aveverify.sources import TokenSource

# RFC 9110 §12.5.5: the response differs by something that no list of headers can name, so no cache reuses it.
ANYTHING: Final = "*"
# RFC 9110 §5.1: field-name.
_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# RFC 9111 §5.2.2: what an application has said already about shared caches.
_SAID: Final = frozenset({"private", "no-store", "public"})

_NAMES: Final = frozenset({"vary", "cache-control"})


def choose_marking(vary: str, *, chosen: bool | None) -> bool:
    """Decide whether responses tell caches by which request headers they differ.

    Args:
        vary: What `vary_of` has returned.
        chosen: The option `cache_headers`; None where it is not given.

    Returns:
        By default, whether more than the Authorization header decides: RFC 9111 §3.5 names no other.

    Raises:
        ConfigurationError: It is neither a truth value nor None.
    """
    if chosen is None:
        return vary not in ("", "Authorization")
    if type(chosen) is not bool:
        raise ConfigurationError(Problem.OUT_OF_RANGE, "cache_headers", "True, False or None")
    return chosen


def refuse_unmarked(chosen: object, field: str) -> None:
    """Refuse to leave responses unmarked in a framework with a cache of its own.

    Raises:
        ConfigurationError: `cache_headers` is False.
    """
    if chosen is False:
        raise ConfigurationError(Problem.OUT_OF_RANGE, field, "True or None; the framework has a cache of its own")


def vary_of(sources: Sequence[TokenSource]) -> str:
    """Return the value of `Vary` for the responses to HTTP requests whose credentials were read.

    Args:
        sources: Where a request may carry its token.

    Returns:
        The names of the headers that decide; `*` where a source does not say what it reads; empty where no source
        reads any header of an HTTP request.

    Raises:
        ConfigurationError: What a source says is no list of header names.
    """
    names: dict[str, str] = {}
    for source in sources:
        headers = _headers_of(source)
        if headers is None:
            return ANYTHING
        names |= {name.lower(): name for name in headers}
    return ANYTHING if ANYTHING in names else ", ".join(names.values())


def _headers_of(source: TokenSource) -> Sequence[str] | None:
    if "request_headers" not in getattr(source, "__dict__", ()):
        for cls in type(source).__mro__:
            if "request_headers" in vars(cls):
                break
            if "read" in vars(cls):
                # What a class says of its own `read` is not true of that of a subclass.
                return None
    headers: object = getattr(source, "request_headers", None)
    if headers is None:
        return None
    if not isinstance(headers, (list, tuple)) or not all(
        isinstance(name, str) and _FIELD_NAME.fullmatch(name) for name in headers
    ):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "token_sources", "request_headers is a list of header names")
    return headers


def merge_vary(present: str | None, vary: str) -> str:
    """Return a `Vary` that names what it named before, and more.

    Args:
        present: The value so far; None where there is none.
        vary: What `vary_of` has returned, not empty.

    Returns:
        The value: each name once, and nothing beside `*`.
    """
    if not present:
        return vary
    names: dict[str, str] = {}
    for text in (*present.split(","), *vary.split(", ")):
        if name := text.strip():
            names.setdefault(name.lower(), name)
    return ANYTHING if ANYTHING in names else ", ".join(names.values())


def make_private(present: str | None) -> str:
    """Return a `Cache-Control` that keeps a response out of shared caches, unless the application has decided.

    RFC 9111 §3.5 forbids shared caches to store the response to a request with an Authorization header, unless it says
    `public` or `s-maxage`. Not every cache obeys, and none does for a cookie: so the response says it.

    Args:
        present: The value so far; None where there is none.

    Returns:
        The value: unchanged where the application has said `private`, `no-store`, `public` or `s-maxage`.
    """
    if not present:
        return "private"
    directives = [text.strip().lower() for text in present.split(",")]
    if not _SAID.isdisjoint(directives) or any(text.startswith("s-maxage=") for text in directives):
        return present
    return f"{present}, private"


def mark(headers: Iterable[tuple[str, str]], vary: str, *, is_personal: bool) -> list[tuple[str, str]]:
    """Return the headers of a response with those for caches.

    Args:
        headers: The application's own: names in any case, and values.
        vary: What `vary_of` has returned.
        is_personal: Whether the request had credentials, good or bad.

    Returns:
        The headers, with one `Vary` and one `Cache-Control` for all that there were.
    """
    kept: list[tuple[str, str]] = []
    said: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _NAMES:
            said[lower] = f"{said[lower]}, {value}" if lower in said else value
        else:
            kept.append((name, value))
    if vary:
        said["vary"] = merge_vary(said.get("vary"), vary)
    if is_personal:
        said["cache-control"] = make_private(said.get("cache-control"))
    return [*kept, *said.items()]
