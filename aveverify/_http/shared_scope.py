"""The application's copy of a scope and of its state: what the application writes there is written in front, too.

The identity of a request stands in the copy alone (HTP-010, HTP-037). What the application sets, changes and deletes,
such as its route, path parameters and state, is seen by the middleware in front, at once, as without the copy. Reading
is that of a plain dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final, Self, TypeVar

from aveverify._http.asgi_request import OUTER_KEY
from aveverify._http.auth_record import RECORD_KEY
from aveverify._http.live_identity import LIVE_KEY
from aveverify._http.live_request import STREAM_KEY
from aveverify._http.policy import POLICY_KEY
from aveverify._http.request_identity import IDENTITY_KEY

# Where a scope of FastAPI holds what its dependencies have found.
FASTAPI_KEY: Final = "aveverify.fastapi"
_STATE: Final = "state"
# The member of a state that the middleware sets.
_IDENTITY: Final = "identity"
# The names whose members stay in the copy; the state is shared by itself.
PRIVATE: Final = frozenset({IDENTITY_KEY, POLICY_KEY, LIVE_KEY, STREAM_KEY, OUTER_KEY, RECORD_KEY, FASTAPI_KEY, _STATE})
# What the copy of a state is made of where there is none; never changed. A dictionary copies a dictionary fastest.
NO_STATE: Final[dict[str, Any]] = {}

# Routers write several members for each request: `super()` would cost each of them 0.1 µs.
_set: Final[Callable[[dict[str, Any], str, Any], None]] = dict.__setitem__
_update: Final[Callable[[dict[str, Any], Mapping[str, Any]], None]] = dict.update


class ScopeCopy(dict[str, Any]):
    """A copy of a scope, or of its state, while a middleware fills it: a dictionary like any other.

    The hot path makes a `SharedScope` or a `SharedState` of it by assigning `__class__`, which costs every request
    0.1 µs less than filling one of these past its own methods.

    Attributes:
        front: The scope in front, also for a state.
        own: `PRIVATE`, and what else the middleware sets in a scope; without a meaning for a state.
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
        _set(self, key, value)
        if key not in self.own:
            self.front[key] = value
        else:
            self._share_state(key, value)

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
        members = given[0] if len(given) == 1 and not named and type(given[0]) is dict else dict(*given, **named)
        _update(self, members)
        if self.own.isdisjoint(members):
            self.front.update(members)
            return
        for key, value in members.items():
            if key not in self.own:
                self.front[key] = value
            else:
                self._share_state(key, value)

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

    def _share_state(self, key: str, value: object) -> None:
        # An application may replace its state, or write all members of a copy back. The state in front is another one
        # than the application's, which has the identity.
        if key == _STATE and not isinstance(value, SharedState):
            self.front[key] = value

    def _delete_in_front(self, key: str) -> None:
        if key not in self.own or key == _STATE:
            self.front.pop(key, None)


class SharedState(SharedScope):
    """The application's copy of the state of a scope; the first thing written makes the state in front."""

    __slots__ = ()

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401 - as a scope
        """Set a member."""
        _set(self, key, value)
        if key != _IDENTITY:
            self._find_front()[key] = value

    def update(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as `dict.update`
        """Set several members."""
        for key, value in dict(*given, **named).items():
            self[key] = value

    def _delete_in_front(self, key: str) -> None:
        if key != _IDENTITY:
            self._find_front().pop(key, None)

    def _find_front(self) -> MutableMapping[str, Any]:
        state: MutableMapping[str, Any] | None = self.front.get(_STATE)
        if state is None:
            state = self.front[_STATE] = {}
        return state


ScopeT = TypeVar("ScopeT", bound=SharedScope)
StateT = TypeVar("StateT", bound=SharedState)


def copy_scope(
    scope: MutableMapping[str, Any], members: Mapping[str, Any], kind: type[ScopeT], own: Iterable[str] = ()
) -> ScopeT:
    """Copy a scope for the application.

    Args:
        scope: The scope in front.
        members: What differs in the copy.
        kind: The class of the copy.
        own: What the middleware sets in the copy, beside `PRIVATE`.

    Returns:
        The copy.
    """
    copy = kind({**scope, **members})
    copy.front, copy.own = scope, PRIVATE.union(own)
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
