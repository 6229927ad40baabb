"""The base of enumerations whose values are the names of their members."""

from __future__ import annotations

from enum import StrEnum


class NamedValues(StrEnum):
    """Text members; `auto()` makes the value equal to the name."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        del start, count, last_values
        return name
