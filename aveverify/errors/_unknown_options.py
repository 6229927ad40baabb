"""Refuses misspelt options, settings and environment variables, and names the most similar known one.

Python's own `TypeError` suggests no name, and for a misspelt required option it reports only that one is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

from aveverify.errors._errors import ConfigurationError
from aveverify.errors._messages import quote
from aveverify.errors._problems import Problem

P = ParamSpec("P")
R = TypeVar("R")

# Ratio of difflib, 0 to 1. `scope` is similar to `scopes`; `realm` is not similar to `required`.
_MIN_SIMILARITY: Final = 0.6
# Long names that differ in one or two letters, as `AVEVERIFY_SCOPES` and `AVEVERIFY_SCOPE` do.
_MIN_SIMILARITY_OF_MISSPELLING: Final = 0.9


class UnknownOptionError(ConfigurationError, TypeError):
    """An unknown keyword argument. Also a `TypeError`, which is what Python raises for one."""

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle must not name this private module, from which the class may move.
        return _rebuild_unknown_option, (self._arguments,)


def _rebuild_unknown_option(arguments: dict[str, Any]) -> UnknownOptionError:
    return UnknownOptionError(**arguments)


def nearest(name: str, names: Iterable[str], *, cutoff: float = _MIN_SIMILARITY) -> str | None:
    """Return the known name that is most similar to the given one.

    Args:
        name: The name that was written.
        names: The known names.
        cutoff: The least similarity that counts, 0 to 1.

    Returns:
        The most similar name, without regard to case, `-` and `_`; None if none is similar enough.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - needed only after a mistake; its import costs 5 ms

    known = {_fold(one): one for one in names}
    found = get_close_matches(_fold(name), known, n=1, cutoff=cutoff)
    return known[found[0]] if found else None


def unknown_option(
    name: object,
    names: Iterable[str],
    label: Callable[[str], str] = str,
    *,
    kind: type[ConfigurationError] = ConfigurationError,
) -> ConfigurationError:
    """Make the error for an unknown name.

    Args:
        name: The name that was written.
        names: The known names.
        label: Makes of a name what the message shows, for instance `AVEVERIFY['required']`.
        kind: The class of the error.

    Returns:
        The error. It suggests the most similar name, or lists all known ones if none is similar.
    """
    names = tuple(names)
    if not isinstance(name, str):
        return kind(Problem.UNKNOWN_OPTION, label(quote(str(name))), "the name must be text")
    meant = nearest(name, names)
    remedy = f"did you mean {label(meant)}?" if meant is not None else f"known are {', '.join(names)}"
    return kind(Problem.UNKNOWN_OPTION, label(name), remedy)


def refuse_misspelt(names: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a name that is almost a known one. For a place that also holds the names of other programs.

    Args:
        names: The names found in the environment or in an application's config.
        known: The names that this package reads.

    Raises:
        ConfigurationError: A name is misspelt. Ignored, it would leave a demand such as `required` without effect.

    Source: HTP-043.
    """
    for name in names:
        if name not in known and nearest(name, known, cutoff=_MIN_SIMILARITY_OF_MISSPELLING) is not None:
            raise unknown_option(name, known)


def refuse_unknown(options: type | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that refuses unknown keyword arguments before Python does.

    Args:
        options: The typed dictionary of `**options`, if the function takes them.

    Returns:
        The decorator. For an unknown name the decorated function raises `UnknownOptionError`, even if another argument
        is missing, as `required` is if `require` was written.

    Source: HTP-043.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        code = cast("Any", function).__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        known = frozenset(names) | frozenset(() if options is None else options.__annotations__)
        written = sorted(known - {"self", "cls"})

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs:
                if name not in known:
                    raise unknown_option(name, written, kind=UnknownOptionError)
            return function(*args, **kwargs)

        return checked

    return decorate


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")
