"""Checks of options, before the first request: the verifier, functions, sources, the application.

Each mistake would otherwise fail, or let everyone in, at the first request. Knows no framework. HTP-043.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

from aveverify._http.app_calls import NEEDS_ASYNC
from aveverify.errors import ConfigurationError, Problem
from aveverify.sources import TokenSource, is_same_source
from aveverify.verifier import Verifier

View = Callable[..., Any]

# What a server calls an application with: PEP 3333; ASGI 3.0.
_ARGUMENTS: Final = {"WSGI": ("environ", "start_response"), "ASGI": ("scope", "receive", "send")}
# What the instances of a class have that is an application by itself: PEP 3333, and `async def __call__` by a class.
_INSTANCE: Final = {"WSGI": "__iter__", "ASGI": "__await__"}

# An object that has every attribute would go on for ever.
_MOST_LAYERS: Final = 100


def check_verifier(verifier: object, name: str = "verifier") -> Verifier:
    """Refuse what is no verifier: the class itself, a provider, a name; and a verifier that refuses every token.

    Args:
        verifier: What was given.
        name: How it is called there.

    Returns:
        The verifier.

    Raises:
        ConfigurationError: It is none, or it has no providers.
    """
    if not isinstance(verifier, Verifier):
        raise ConfigurationError(Problem.NOT_A_VERIFIER, name)
    if not verifier.providers:
        raise ConfigurationError(Problem.NO_PROVIDERS, name)
    return verifier


def check_view(view: object, mend: str) -> None:
    """Refuse to decorate what is no view function.

    Args:
        view: What the decorator was given.
        mend: What to write where it is a class.

    Raises:
        ConfigurationError: It is a class, or cannot be called, as the scopes cannot that were meant for `scopes=`.
    """
    if isinstance(view, type):
        raise ConfigurationError(Problem.NOT_A_VIEW, f"the class {view.__qualname__}", mend)
    if not callable(view):
        raise ConfigurationError(Problem.NOT_A_VIEW, "the argument of the decorator", "scopes are given as scopes=[…]")


def check_function(name: str, value: object, *, awaits: bool = True) -> None:
    """Refuse what cannot be called with an identity.

    Args:
        name: How the option is called: `check`, `allow` or `load_user`, for instance.
        value: What was given; None where there is none.
        awaits: Whether the integration can await a coroutine function.

    Raises:
        ConfigurationError: It is no function of one argument, it is a generator function, or nothing would await its
            coroutine.
    """
    if value is None:
        return
    if not callable(value) or not _accepts(value, 1) or _is_generator(value):
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, "a function of an identity")
    if not awaits and is_coroutine_function(value):
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, NEEDS_ASYNC)


def check_callable(name: str, value: object, *, arguments: int) -> None:
    """Refuse what cannot be called with so many arguments; None is nothing to call.

    Raises:
        ConfigurationError: It cannot.
    """
    if value is not None and not (callable(value) and _accepts(value, arguments)):
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, f"a function of {arguments} arguments")


def check_sources(sources: object) -> Sequence[TokenSource]:
    """Refuse what is not a list of token sources.

    Args:
        sources: What was given.

    Returns:
        The sources.

    Raises:
        ConfigurationError: It is no list, is empty, holds something else, a class for instance, or one source twice:
            every token would come twice then.
    """
    if not isinstance(sources, (list, tuple)) or not sources:
        raise ConfigurationError(Problem.OUT_OF_RANGE, "token_sources", "a list of sources of aveverify.sources")
    for index, source in enumerate(sources):
        where = f"token_sources[{index}]"
        if isinstance(source, type):
            raise ConfigurationError(
                Problem.OUT_OF_RANGE, where, f"a class; write {source.__name__}(…) with its arguments"
            )
        if not callable(getattr(source, "read", None)) or type(getattr(source, "is_ambient", None)) is not bool:
            raise ConfigurationError(Problem.OUT_OF_RANGE, where, "a source of aveverify.sources")
        if any(is_same_source(source, other) for other in sources[:index]):
            raise ConfigurationError(Problem.INSTALLED_TWICE, where)
    return sources


def check_app(app: object, protocol: Literal["WSGI", "ASGI"]) -> None:
    """Refuse what no server of a protocol could call.

    Args:
        app: The application behind a middleware.
        protocol: How the middleware calls it.

    Raises:
        ConfigurationError: It cannot be called, or was made for the other protocol.
    """
    arguments = _ARGUMENTS[protocol]
    is_app = callable(app) and _accepts(app, len(arguments))
    if isinstance(app, type):
        is_app = is_app and hasattr(app, _INSTANCE[protocol])
    elif protocol == "WSGI":
        is_app = is_app and not is_coroutine_function(app)
    if not is_app:
        raise ConfigurationError(Problem.NOT_AN_APPLICATION, "app", f"{protocol} calls it with {', '.join(arguments)}")


def is_coroutine_function(value: object) -> bool:
    """Tell whether a call gives a coroutine: of a coroutine function, a partial of one, or an `async def __call__`."""
    return inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None))  # noqa: B004 - looked at, not asked about


def _accepts(function: Callable[..., Any], arguments: int) -> bool:
    # True where Python cannot tell, as of a function in C.
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(arguments))
    except TypeError:
        return False
    return True


def _is_generator(value: object) -> bool:
    return inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value)


def layers(view: object) -> Iterator[View]:
    """Yield a view and what it wraps, from the outermost on.

    Args:
        view: A view, perhaps decorated: with `functools.wraps`, as a partial or a method, or by a function that takes
            every argument and holds on to what it wraps.

    Yields:
        What a weak reference can be made of.
    """
    seen: set[int] = set()
    waiting = [view]
    while waiting and len(seen) < _MOST_LAYERS:
        layer = waiting.pop(0)
        if isinstance(layer, types.MethodType):
            # A method is another object each time; its function is always the same.
            layer = layer.__func__
        if id(layer) not in seen and callable(layer):
            seen.add(id(layer))
            if _can_be_kept(layer):
                yield layer
            waiting.extend(_wrapped_by(layer))


def declared_layers(view: object) -> Iterator[View]:
    """Yield a view and what it says that it wraps, from the outermost on: for what a wrong guess would open.

    Args:
        view: A view, perhaps decorated with `functools.wraps`, or a partial or a method.

    Yields:
        What a weak reference can be made of.
    """
    layer = view
    for _ in range(_MOST_LAYERS):
        if isinstance(layer, types.MethodType):
            layer = layer.__func__
        if not callable(layer):
            return
        if _can_be_kept(layer):
            yield layer
        layer = _declared_by(layer)


def _declared_by(layer: View) -> object:
    return layer.func if isinstance(layer, functools.partial) else getattr(layer, "__wrapped__", None)


def _wrapped_by(layer: View) -> Iterator[object]:
    declared = _declared_by(layer)
    if declared is not None:
        yield declared
    elif isinstance(layer, types.FunctionType) and layer.__code__.co_flags & (
        inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
    ):
        # A decorator without `functools.wraps`: it takes every argument, and holds on to what it wraps.
        for cell in layer.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:
                # Nothing is in it yet.
                continue
            if isinstance(held, (types.FunctionType, types.MethodType, functools.partial)):
                yield held


def _can_be_kept(layer: object) -> bool:
    try:
        hash(weakref.ref(layer))
    except TypeError:
        return False
    return True
