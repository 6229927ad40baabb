"""Names that are no names: what an option or a setting is refused with, and the name that was probably meant.

Python's own `TypeError` for a misspelt option names no other one, and hides it behind the option that is now missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

from aveverify.errors._errors import ConfigurationError, quote
from aveverify.errors._reasons import Problem

P = ParamSpec("P")
R = TypeVar("R")

# From here on difflib takes two names for one: `scope` for `scopes`, not `realm` for `required`.
_CLOSE: Final = 0.6
# Two long names that differ in a letter or two: `AVEVERIFY_SCOPES` and `AVEVERIFY_SCOPE`.
_ALMOST_EQUAL: Final = 0.9


class UnknownOptionError(ConfigurationError, TypeError):
    """A keyword argument that no parameter has: for Python a `TypeError`, which it stays."""


def nearest(name: str, names: Iterable[str], *, cutoff: float = _CLOSE) -> str | None:
    """Return the known name that is most like another one.

    Args:
        name: What was written.
        names: The known names.
        cutoff: How alike two names must be, 0 to 1.

    Returns:
        The nearest name, whatever its case; None where no name is near.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - needed for a mistake only

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
    """Make the error for a name that is unknown.

    Args:
        name: What was written.
        names: The known names.
        label: How an option is called where it stands.
        kind: The class of the error.

    Returns:
        The error; it names the nearest name, or all of them where none is near.
    """
    names = tuple(names)
    if not isinstance(name, str):
        return kind(Problem.UNKNOWN_OPTION, label(quote(str(name))), "the name must be text")
    meant = nearest(name, names)
    mend = f"did you mean {label(meant)}?" if meant is not None else f"known are {', '.join(names)}"
    return kind(Problem.UNKNOWN_OPTION, label(name), mend)


def refuse_misspelt(names: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a name that is nearly a known one, among names of which most belong to others.

    Args:
        names: The names of an environment, or of an application's config.
        known: The names that mean something here.

    Raises:
        ConfigurationError: It names the known one. It would be ignored otherwise, and what it demands with it.

    Source: HTP-043.
    """
    for name in names:
        if name not in known and nearest(name, known, cutoff=_ALMOST_EQUAL) is not None:
            raise unknown_option(name, known)


def refuse_unknown(options: type | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a decorator that refuses unknown keyword arguments before Python does.

    Args:
        options: The typed dictionary of `**options`, if the function has any.

    Returns:
        The decorator. The function raises `UnknownOptionError` for an unknown name, also where another argument is
        missing, as `required` is where `require` was written.

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
