"""`Case`: one thing to time, and what its time is divided by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure.

    Attributes:
        group: The table it belongs to.
        setting: What is done: algorithm, policy, kind of token.
        contestant: The library or middleware that does it.
        call: What is timed; a coroutine function with `is_async`.
        arguments: What it is called with, one after the other.
        baselines: The keys of the cases that its time is divided by, by the name of the column.
        is_async: Whether `call` is awaited on a running loop.
    """

    group: str
    setting: str
    contestant: str
    call: Callable[[Any], Any]
    arguments: Sequence[Any]
    baselines: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    is_async: bool = False

    @property
    def key(self) -> str:
        """Its key, which no other case has."""
        return make_key(self.group, self.setting, self.contestant)


def make_key(group: str, setting: str, contestant: str) -> str:
    """The key of a case by its three names."""
    return f"{group} | {setting} | {contestant}"


class UnexpectedOutcomeError(RuntimeError):
    """A case did not do what its name says, so its figures would mean nothing."""

    def __init__(self, case: str, expected: str, got: str) -> None:
        super().__init__(f"{case}: expected {expected}, got {got}")
