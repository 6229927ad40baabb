"""The decorators of views. Behind the middleware they use its identity; without it they verify the token themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse

from aveverify._http.current_identity import serving
from aveverify._http.option_checks import View, check_view
from aveverify._http.request_auth import RequestAuth, ViewDemand
from aveverify._http.scopes import check_scope_list
from aveverify.django._caches import add_cache_headers
from aveverify.django._enforcement import guarded_views
from aveverify.django._requests import (
    AveOptionalRequest,
    AveRequest,
    make_response,
    request_auth_of,
    set_identity,
)
from aveverify.errors import AveVerifyError, ConfigurationError, Problem
from aveverify.errors._unknown_options import refuse_unknown

P = ParamSpec("P")
R = TypeVar("R")
# A view as Django calls it, and the views that the two decorators take.
DjangoView = Callable[Concatenate[HttpRequest, P], R]
RequiredView = Callable[Concatenate[AveRequest, P], R]
OptionalView = Callable[Concatenate[AveOptionalRequest, P], R]
# Returns the response of a refusal; None lets the request reach the view.
LetIn = Callable[[HttpRequest, RequestAuth], HttpResponse | None]

_ADVICE: Final = "write method_decorator(ave_required) at the method, or ave_required(TheClass.as_view())"


@overload
def ave_required(view: RequiredView[P, R], /) -> DjangoView[P, R]: ...


@overload
def ave_required(*, scopes: Sequence[str] = ()) -> Callable[[RequiredView[P, R]], DjangoView[P, R]]: ...


@refuse_unknown()
def ave_required(view: Callable[..., Any] | None = None, /, *, scopes: Sequence[str] = ()) -> Any:
    """Decorate a view that needs a verified token.

    A bad token is refused before the view runs, even with `ON_INVALID` set to `"defer"`.

    Args:
        view: The view, synchronous or not; for a class, `method_decorator(ave_required)` or `ave_required(as_view())`.
        scopes: The scopes that the token must hold, beside `SCOPES` of the settings.

    Returns:
        The guarded view; without a view, the decorator: `@ave_required(scopes=["notes:write"])`.

    Raises:
        ConfigurationError: The scopes are no list of scope tokens, or the view is a class, a method or no function.
    """
    return _decorate(view, scopes, required=True)


@overload
def ave_optional(view: OptionalView[P, R], /) -> DjangoView[P, R]: ...


@overload
def ave_optional(*, scopes: Sequence[str] = ()) -> Callable[[OptionalView[P, R]], DjangoView[P, R]]: ...


@refuse_unknown()
def ave_optional(view: Callable[..., Any] | None = None, /, *, scopes: Sequence[str] = ()) -> Any:
    """Decorate a view that also serves requests without a token; a bad token is refused (HTP-036).

    Args:
        view: The view, as for `ave_required`.
        scopes: The scopes that a token must hold, if there is one.

    Returns:
        The guarded view; without a view, the decorator.

    Raises:
        ConfigurationError: As `ave_required`.
    """
    return _decorate(view, scopes, required=False)


def _decorate(view: View | None, scopes: Sequence[str], *, required: bool) -> View:
    check_scope_list(scopes)
    demand = ViewDemand(required, scopes, uses_identity=required)

    def let_in(request: HttpRequest, request_auth: RequestAuth) -> HttpResponse | None:
        denial = request_auth.authorize(demand)
        if denial is not None:
            return make_response(request, denial.response)
        set_identity(request, request_auth)
        return None

    def decorate(view: View) -> View:
        check_view(view, _ADVICE)
        if _is_method(view):
            raise ConfigurationError(Problem.NOT_A_VIEW, f"the method {view.__qualname__}", _ADVICE)
        guard = _guard_async(view, let_in) if iscoroutinefunction(view) else _guard(view, let_in)
        guarded_views.add(guard)
        return guard

    return decorate if view is None else decorate(view)


def _is_method(view: View) -> bool:
    # By its own code: a view that is decorated already takes a request, and `method_decorator` passes a bound method.
    return inspect.isfunction(view) and view.__code__.co_varnames[:1] in (("self",), ("cls",))


def _check_request(request: object, view: View) -> HttpRequest:
    # A method that looked like a function when it was decorated gets its instance here; never run it unverified.
    if not hasattr(request, "META"):
        raise ConfigurationError(Problem.NOT_A_VIEW, f"the method {getattr(view, '__qualname__', view)!s}", _ADVICE)
    return cast("HttpRequest", request)


def _guard(view: View, let_in: LetIn) -> View:
    @wraps(view)
    def guard(request: HttpRequest, *args: object, **kwargs: object) -> object:
        request_auth = request_auth_of(_check_request(request, view))
        request_auth.authenticate()
        refusal = let_in(request, request_auth)
        if refusal is not None:
            return refusal
        with serving(request):
            try:
                return add_cache_headers(view(request, *args, **kwargs), request_auth)
            except AveVerifyError as error:
                return _answer(request, request_auth, error)

    return guard


def _guard_async(view: View, let_in: LetIn) -> View:
    @wraps(view)
    async def guard(request: HttpRequest, *args: object, **kwargs: object) -> object:
        request_auth = request_auth_of(_check_request(request, view))
        await request_auth.authenticate_async()
        refusal = let_in(request, request_auth)
        if refusal is not None:
            return refusal
        with serving(request):
            try:
                return add_cache_headers(await view(request, *args, **kwargs), request_auth)
            except AveVerifyError as error:
                return _answer(request, request_auth, error)

    return guard


def _answer(request: HttpRequest, request_auth: RequestAuth, error: AveVerifyError) -> HttpResponse:
    if not request_auth.owns(error):
        raise error
    return make_response(request, request_auth.make_denial(error).response)
