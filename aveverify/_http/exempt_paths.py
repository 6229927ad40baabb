"""Which paths need no credentials, or may go without: compared by segments, on the decoded path that the router sees.

A path that two readers could understand differently is never exempt. HTP-011 to HTP-024; HTP-026.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from aveverify.errors import ConfigurationError, Problem

# What a router, a proxy or a file system might read as something else: empty and dot segments, a backslash, path
# parameters, what is still encoded after decoding, control characters, and what could not be decoded.
_DOUBTFUL: Final = re.compile(r"//|/\.\.?(?:/|\Z)|[\\;%?#\x00-\x20\x7f-\x9f\ufffd\ud800-\udfff]")
_BELOW: Final = "/*"
_INNER: Final = ("__self__", "app", "_app")
_MOST_LAYERS: Final = 32
# What no pattern stands for.
_UNREADABLE: Final = ""


class ExemptPaths:
    """The paths of one middleware that need no credentials, or may go without.

    Args:
        patterns: A path, `/healthz`, which stands for itself alone; or with `/*` at its end everything below it.
        own_prefixes: Prefixes that the application behind the middleware gives itself.
        name: The name of the option.

    Raises:
        ConfigurationError: A pattern could mean more than one thing.
    """

    __slots__ = ("_below", "_exact", "_own_prefixes", "_patterns")

    def __init__(self, patterns: Sequence[str], own_prefixes: tuple[str, ...] = (), *, name: str = "exempt") -> None:
        if not isinstance(patterns, (list, tuple)) or not all(map(_is_pattern, patterns)):
            raise ConfigurationError(
                Problem.OUT_OF_RANGE, name, "a list of decoded paths such as '/healthz' or '/public/*'"
            )
        self._exact = frozenset(pattern for pattern in patterns if not pattern.endswith(_BELOW))
        self._below = tuple(pattern.removesuffix("*") for pattern in patterns if pattern.endswith(_BELOW))
        self._patterns = patterns
        self._own_prefixes = own_prefixes

    def in_front_of(self, app: object) -> ExemptPaths:
        """Return the same in front of an application that may give itself a prefix: `FastAPI(root_path="/v1")`.

        FastAPI writes that prefix into the scope, in the place of the server's, behind the middleware.

        Args:
            app: The application behind the middleware; other middlewares around it are looked through.

        Returns:
            These paths; where there is such a prefix, those that are exempt with and without it.

        Source: HTP-026.
        """
        return ExemptPaths(self._patterns, _prefixes_of(app))

    def __bool__(self) -> bool:
        """Tell whether any path is exempt."""
        return bool(self._exact or self._below)

    def __contains__(self, path: str) -> bool:
        """Tell whether a path needs no credentials.

        Args:
            path: The path, decoded once, as the router of the application sees it.
        """
        return (path in self._exact or path.startswith(self._below)) and _DOUBTFUL.search(path) is None

    def covers(self, path: str, root_path: object) -> bool:
        """Tell whether an ASGI connection needs no credentials.

        Args:
            path: The path of the scope.
            root_path: That of the scope: a prefix that a server, a proxy, a mount or, behind some servers, the client
                has chosen. It is not compared with any pattern.

        Returns:
            Whether every way in which a router may read the path is exempt.

        Source: HTP-026; ASGI, HTTP connection scope.
        """
        prefixes = (root_path, *self._own_prefixes)
        return all(reading in self for prefix in prefixes for reading in _read_path(path, prefix))


class EveryPath(ExemptPaths):
    """Every path, however it is written: for requests whose handler, which the router has chosen, is exempt."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(())

    def __bool__(self) -> bool:
        return True

    def __contains__(self, path: str) -> bool:
        return True


def find_layers(app: object) -> Iterator[object]:
    """Yield an ASGI application and what it stands in front of, as far as middlewares show it.

    Args:
        app: The application, perhaps inside of middlewares.
    """
    for _ in range(_MOST_LAYERS):
        if app is None:
            return
        yield app
        # A bound method, and what middlewares call what stands behind them.
        app = next((inner for name in _INNER if (inner := getattr(app, name, None)) is not None), None)


def _prefixes_of(app: object) -> tuple[str, ...]:
    prefixes = (getattr(layer, "root_path", None) for layer in find_layers(app))
    return tuple(prefix for prefix in prefixes if isinstance(prefix, str) and prefix)


def _read_path(path: str, root_path: object) -> tuple[str, ...]:
    """Return what the routers of ASGI frameworks make of a path and a prefix: one text, where they agree.

    All of them remove a prefix that ends before a slash. Of any other text in `root_path` Starlette removes nothing,
    Django and bridges to WSGI cut it off in the middle of a segment, Litestar and Quart wherever it first occurs.
    """
    if not root_path:
        return (path,)
    if not isinstance(root_path, str):
        return (_UNREADABLE,)
    if root_path not in path:
        return (path,)
    if _DOUBTFUL.search(root_path) is not None:
        return (_UNREADABLE,)
    before, _, rest = path.partition(root_path)
    if not before and rest[:1] in ("/", ""):
        return (rest,)
    return (path, "/" + rest.lstrip("/"))


def _is_pattern(pattern: object) -> bool:
    if not isinstance(pattern, str) or not pattern.startswith("/"):
        return False
    path = pattern.removesuffix("*") if pattern.endswith(_BELOW) else pattern
    return "*" not in path and _DOUBTFUL.search(path) is None
