"""What a view says that it wraps."""

from __future__ import annotations

from functools import partial, wraps
from typing import Any

import pytest

from aveverify._http.option_checks import declared_layers


def view() -> str:
    raise NotImplementedError


class Views:
    """A class with a view."""

    def view(self) -> str:
        raise NotImplementedError


class Unkept:
    """A callable of which no weak reference can be made."""

    __slots__ = ("__wrapped__",)

    __wrapped__: object

    def __call__(self) -> str:
        raise NotImplementedError


def wrapped(times: int) -> Any:
    """A view behind so many decorators."""
    outer: Any = view
    for _ in range(times):
        outer = wraps(outer)(partial(outer))
    return outer


@pytest.mark.parametrize(
    ("given", "innermost"),
    [
        pytest.param(view, view, id="itself"),
        pytest.param(partial(view), view, id="a partial"),
        pytest.param(wrapped(1), view, id="a decorator"),
        pytest.param(wrapped(30), view, id="many decorators"),
        pytest.param(Views().view, Views.view, id="a method"),
        pytest.param(partial(Views().view), Views.view, id="a partial of a method"),
    ],
)
def test_the_innermost_layer_is_the_view(given: Any, innermost: Any) -> None:
    assert list(declared_layers(given))[-1] is innermost


@pytest.mark.parametrize("given", [None, 7, "view"])
def test_what_cannot_be_called_has_no_layers(given: object) -> None:
    assert list(declared_layers(given)) == []


def test_a_layer_that_cannot_be_kept_is_passed_over() -> None:
    outer = Unkept()
    outer.__wrapped__ = view

    assert list(declared_layers(outer)) == [view]


def test_a_view_that_wraps_itself_ends() -> None:
    def endless() -> None: ...

    endless.__wrapped__ = endless  # type: ignore[attr-defined]

    assert set(declared_layers(endless)) == {endless}
