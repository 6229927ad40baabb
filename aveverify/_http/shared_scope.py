"""The application's copy of a scope and of its state: what the application writes there is written in front, too.

The identity of a request stands in the copy alone (HTP-010, HTP-037). What the application sets, changes and deletes,
such as its route, path parameters and state, is seen by the middleware in front, at once, as without the copy. Reading
is that of a plain dictionary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final, Self, TypeVar

# Every name in a scope that begins so belongs to this package.
_OWN_PREFIX: Final = "aveverify."
NOTHING: Final[frozenset[str]] = frozenset()
# What the copy of a state is made of where there is none; never changed. A dictionary copies a dictionary fastest.
NO_STATE: Final[dict[str, Any]] = {}


class ScopeCopy(dict[str, Any]):
    """A copy of a scope, or of its state, while a middleware fills it: a dictionary like any other.

    The hot path makes a `SharedScope` or a `SharedState` of it by assigning `__class__`, which costs every request
    0.1 µs less than filling one of these past its own methods.

    Attributes:
        front: The scope in front, also for a state.
        own: The names that the middleware has set in a scope and does not share; without a meaning for a state.
    """

    __slots__ = ("front", "own")

    front: MutableMapping[str, Any]
    own: frozenset[str]


class SharedScope(ScopeCopy):
    """The application's copy of a scope, which writes in front what the application writes.

    What the application writes under the names of this package, or under a name in `own`, stays in the copy. A further
    copy of it is a plain dictionary.
    """

    __slots__ = ()

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401 - any member of a scope; so below
        """Set a member."""
        super().__setitem__(key, value)
        if self._shares(key, value):
            self._find_front()[key] = value

    def __delitem__(self, key: str) -> None:
        """Delete a member."""
        super().__delitem__(key)
        self._delete_in_front(key)

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc,override] # noqa: ANN401 - as `update`
        """Set several members."""
        self.update(other)
        return self

    def update(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as `dict.update`
        """Set several members."""
        members = dict(*given, **named)
        super().update(members)
        shared = {key: value for key, value in members.items() if self._shares(key, value)}
        if shared:
            self._find_front().update(shared)

    def setdefault(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as `dict.setdefault`
        """Set a member where there is none; return the member."""
        if key not in self:
            self[key] = default
        return super().setdefault(key, default)

    def pop(self, key: str, *default: Any) -> Any:  # noqa: ANN401 - as `dict.pop`
        """Take a member out."""
        value = super().pop(key, *default)
        self._delete_in_front(key)
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last member out."""
        key, value = super().popitem()
        self._delete_in_front(key)
        return key, value

    def clear(self) -> None:
        """Take all members out."""
        names = list(self)
        super().clear()
        for name in names:
            self._delete_in_front(name)

    def __reduce_ex__(self, _protocol: object) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Let `copy` and `deepcopy` make a dictionary that shares nothing."""
        return dict, (dict(self),)

    def _shares(self, key: str, value: object) -> bool:
        if key in self.own or (isinstance(key, str) and key.startswith(_OWN_PREFIX)):
            return False
        # An application may write all members of a copy back. The state in front is another one than its own.
        return not (key == "state" and isinstance(value, SharedState))

    def _find_front(self) -> MutableMapping[str, Any]:
        return self.front

    def _delete_in_front(self, key: str) -> None:
        if self._shares(key, None):
            self._find_front().pop(key, None)


class SharedState(SharedScope):
    """The application's copy of the state of a scope; the first thing written makes the state in front."""

    __slots__ = ()

    def _shares(self, key: str, value: object) -> bool:
        del value
        return key != "identity"

    def _find_front(self) -> MutableMapping[str, Any]:
        state: MutableMapping[str, Any] | None = self.front.get("state")
        if state is None:
            state = self.front["state"] = {}
        return state


ScopeT = TypeVar("ScopeT", bound=SharedScope)
StateT = TypeVar("StateT", bound=SharedState)


def copy_scope(
    scope: MutableMapping[str, Any], members: Mapping[str, Any], kind: type[ScopeT], own: Iterable[str] = NOTHING
) -> ScopeT:
    """Copy a scope for the application.

    Args:
        scope: The scope in front.
        members: What differs in the copy.
        kind: The class of the copy.
        own: As `ScopeCopy.own`.

    Returns:
        The copy.
    """
    copy = kind({**scope, **members})
    copy.front, copy.own = scope, frozenset(own)
    return copy


def copy_state(scope: MutableMapping[str, Any], kind: type[StateT]) -> StateT:
    """Copy the state of a scope for the application.

    Args:
        scope: The scope in front.
        kind: The class of the copy.

    Returns:
        The copy.
    """
    copy = kind(scope.get("state") or NO_STATE)
    copy.front = scope
    return copy
