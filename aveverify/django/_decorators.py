"""The decorators of views. Behind the middleware they use its identity; without it they verify the token themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from django.http import HttpRequest

from aveverify._http.auth_options import Allow
from aveverify._http.option_checks import View, check_view
from aveverify._http.view_demand import make_demand
from aveverify.django._guarded_views import mark_view
from aveverify.django._guards import ADVICE, make_guard
from aveverify.django._requests import AveOptionalRequest, AveRequest
from aveverify.errors._unknown_options import refuse_unknown

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
# A view as Django calls it, and the views that the two decorators take: functions, and methods of `S`.
DjangoView = Callable[Concatenate[HttpRequest, P], R]
DjangoMethod = Callable[Concatenate[S, HttpRequest, P], R]
RequiredView = Callable[Concatenate[AveRequest, P], R]
RequiredMethod = Callable[Concatenate[S, AveRequest, P], R]
OptionalView = Callable[Concatenate[AveOptionalRequest, P], R]
OptionalMethod = Callable[Concatenate[S, AveOptionalRequest, P], R]


class RequiredDecorator(Protocol):
    """The type of `ave_required(scopes=[…])`."""

    @overload
    def __call__(self, view: RequiredView[P, R], /) -> DjangoView[P, R]: ...  # type: ignore[overload-overlap] # as below

    @overload
    def __call__(self, view: RequiredMethod[S, P, R], /) -> DjangoMethod[S, P, R]: ...


class OptionalDecorator(Protocol):
    """The type of `ave_optional(scopes=[…])`."""

    @overload
    def __call__(self, view: OptionalView[P, R], /) -> DjangoView[P, R]: ...  # type: ignore[overload-overlap] # as below

    @overload
    def __call__(self, view: OptionalMethod[S, P, R], /) -> DjangoMethod[S, P, R]: ...


@overload
def ave_required(view: RequiredView[P, R], /) -> DjangoView[P, R]: ...  # type: ignore[overload-overlap] # no view takes two requests


@overload
def ave_required(view: RequiredMethod[S, P, R], /) -> DjangoMethod[S, P, R]: ...


@overload
def ave_required(
    *, scopes: Sequence[str] = (), any_scopes: Sequence[str] = (), allow: Allow | None = None
) -> RequiredDecorator: ...


@refuse_unknown()
def ave_required(
    view: Callable[..., Any] | None = None,
    /,
    *,
    scopes: Sequence[str] = (),
    any_scopes: Sequence[str] = (),
    allow: Allow | None = None,
) -> Any:
    """Decorate a view that needs a verified token.

    A bad token is refused before the view runs, even with `ON_INVALID` set to `"defer"`. `LoginRequiredMiddleware` of
    Django leaves the view to this decorator.

    Args:
        view: The view, synchronous or not: a function, a method of a class, or what `as_view()` returns.
        scopes: The scopes that the token must hold, beside `SCOPES` of the settings.
        any_scopes: Scopes of which the token must hold one.
        allow: Called with the identity; a false value refuses with 403. It may be a coroutine function, or ask the
            database, whatever the view is.

    Returns:
        The guarded view; without a view, the decorator: `@ave_required(scopes=["notes:write"])`.

    Raises:
        ConfigurationError: The scopes are no list of scope tokens, `allow` is no function of an identity, or the view
            is a class or no function.
    """
    return _decorate(view, scopes, any_scopes, allow, required=True)


@overload
def ave_optional(view: OptionalView[P, R], /) -> DjangoView[P, R]: ...  # type: ignore[overload-overlap] # no view takes two requests


@overload
def ave_optional(view: OptionalMethod[S, P, R], /) -> DjangoMethod[S, P, R]: ...


@overload
def ave_optional(
    *, scopes: Sequence[str] = (), any_scopes: Sequence[str] = (), allow: Allow | None = None
) -> OptionalDecorator: ...


@refuse_unknown()
def ave_optional(
    view: Callable[..., Any] | None = None,
    /,
    *,
    scopes: Sequence[str] = (),
    any_scopes: Sequence[str] = (),
    allow: Allow | None = None,
) -> Any:
    """Decorate a view that also serves requests without a token; a bad token is refused (HTP-036).

    With `REQUIRED`, the middleware lets a request without a token pass if its view is decorated: on the outside, or
    under decorators that use `functools.wraps`; in a class, at the method that the request names. A class with a
    `dispatch` or a `setup` of its own may run another method: there, decorate `dispatch` or what `as_view()` returns.

    Args:
        view: The view, as for `ave_required`.
        scopes: The scopes that a token must hold, if there is one.
        any_scopes: Scopes of which a token must hold one, if there is one.
        allow: As for `ave_required`; not called for a request without a token.

    Returns:
        The guarded view; without a view, the decorator.

    Raises:
        ConfigurationError: As `ave_required`.
    """
    return _decorate(view, scopes, any_scopes, allow, required=False)


def _decorate(
    view: View | None, scopes: Sequence[str], any_scopes: Sequence[str], allow: Allow | None, *, required: bool
) -> View:
    demand = make_demand(scopes, any_scopes, allow, required=required, uses_identity=required)

    def decorate(view: View) -> View:
        check_view(view, ADVICE)
        guard = make_guard(view, demand)
        mark_view(guard, required=required)
        return guard

    return decorate if view is None else decorate(view)
