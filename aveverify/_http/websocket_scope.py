"""The scope of a WebSocket, and its state, whose members show the user of this moment, also in copies.

A WebSocket outlives its token, and a new token may be another user's. A plain value in a dictionary would keep the old
user for everyone who reads it, in every copy of the dictionary. HTP-041; HTP-046.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, ItemsView, ValuesView
from typing import Any, Final

from aveverify._http.shared_scope import SharedScope, SharedState


class LiveValue:
    """Stands in a scope for something that belongs to the user, and looks it up whenever it is used.

    A `LiveDict` gives the thing itself. In a plain copy this object stays, which passes on what is asked of it.

    Args:
        look: Gives the thing as it is now.
    """

    __slots__ = ("__look",)

    def __init__(self, look: Callable[[], Any]) -> None:
        object.__setattr__(self, "_LiveValue__look", look)

    # isinstance() asks for this where the type itself does not fit.
    @property  # type: ignore[misc]
    def __class__(self) -> type[Any]:
        return type(self.__look())

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the application's own
        """Return an attribute of the thing."""
        return getattr(self.__look(), name)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute of the thing."""
        setattr(self.__look(), name, value)

    def __delattr__(self, name: str) -> None:
        """Delete an attribute of the thing."""
        delattr(self.__look(), name)

    def __copy__(self) -> LiveValue:
        """Return itself: a copy must not keep an old user."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> LiveValue:
        """Return itself: a copy must not keep an old user."""
        return self


# Python looks these up in the type, past `__getattr__`.
_OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "__bool__": bool,
    "__str__": str,
    "__repr__": repr,
    "__format__": format,
    "__hash__": hash,
    "__len__": len,
    "__iter__": iter,
    "__contains__": operator.contains,
    "__getitem__": operator.getitem,
    "__eq__": operator.eq,
    "__ne__": operator.ne,
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
    "__and__": operator.and_,
    "__or__": operator.or_,
    "__sub__": operator.sub,
}


def _pass_on(operation: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: LiveValue, *arguments: object) -> Any:  # noqa: ANN401 - the application's own
        return operation(current(self), *arguments)

    return method


for _name, _operation in _OPERATIONS.items():
    setattr(LiveValue, _name, _pass_on(_operation))


def current(value: Any) -> Any:  # noqa: ANN401 - any member of a scope
    """Return what a member of a scope stands for now."""
    # type(): isinstance() would ask for the class of the thing.
    return value._LiveValue__look() if type(value) is LiveValue else value  # noqa: SLF001 - its other half


class LiveDict(dict[str, Any]):
    """A dictionary that gives, for a `LiveValue`, what that stands for at the moment of reading.

    A copy by `copy()` does the same. Any other copy, such as `dict(scope)` or `{**scope}`, holds each `LiveValue`
    itself.
    """

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - any member of a scope; so below
        """Return a member as it is now."""
        return current(super().__getitem__(key))

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as `dict.get`
        """Return a member as it is now, or the default."""
        return current(super().get(key, default))

    def pop(self, key: str, *default: Any) -> Any:  # noqa: ANN401 - as `dict.pop`
        """Take a member out; return what it was."""
        return current(super().pop(key, *default))

    def setdefault(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as `dict`
        """Return a member as it is now; set the default where there is none."""
        return current(super().setdefault(key, default))

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """Return the members as they are now."""
        return self._snapshot().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """Return the names and the members as they are now."""
        return self._snapshot().items()

    def copy(self) -> LiveDict:
        """Return a copy that looks its members up, too."""
        return LiveDict(self)

    __copy__ = copy

    def _snapshot(self) -> dict[str, Any]:
        return {key: current(value) for key, value in super().items()}


class LiveScope(LiveDict, SharedScope):
    """The application's copy of the scope of a WebSocket. A copy of it shares nothing."""

    __slots__ = ()

    def __reduce_ex__(self, _protocol: object) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Let `deepcopy` make a dictionary that looks its members up, too."""
        return LiveDict, (dict(self),)


class LiveState(LiveDict, SharedState):
    """The application's copy of the state of a WebSocket. A copy of it shares nothing."""

    __slots__ = ()

    __reduce_ex__ = LiveScope.__reduce_ex__
