"""The decorators of views: with the middleware they read what it has found, without it they verify by themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse

from aveverify._http.current_identity import serving
from aveverify._http.option_checks import check_view
from aveverify._http.request_auth import RequestAuth, ViewDemand
from aveverify._http.scopes import check_scope_list
from aveverify.django._caches import mark
from aveverify.django._enforcement import guarded
from aveverify.django._requests import AveOptionalRequest, AveRequest, request_auth_of, respond, show
from aveverify.errors import AveVerifyError, ConfigurationError, Problem
from aveverify.errors._unknown_options import refuse_unknown

P = ParamSpec("P")
R = TypeVar("R")
# What a view is in urls.py, and what it may expect of its request behind the decorator.
View = Callable[Concatenate[HttpRequest, P], R]
Required = Callable[Concatenate[AveRequest, P], R]
Optional = Callable[Concatenate[AveOptionalRequest, P], R]
Admit = Callable[[HttpRequest, RequestAuth], HttpResponse | None]

_MEND: Final = "write method_decorator(ave_required) at the method, or ave_required(TheClass.as_view())"


@overload
def ave_required(view: Required[P, R], /) -> View[P, R]: ...


@overload
def ave_required(*, scopes: Sequence[str] = ()) -> Callable[[Required[P, R]], View[P, R]]: ...


@refuse_unknown()
def ave_required(view: Callable[..., Any] | None = None, /, *, scopes: Sequence[str] = ()) -> Any:
    """Let only requests with a good token reach a view: `@ave_required`, or with scopes.

    It relies on the answer, so it refuses at once, also where `ON_INVALID` defers refusals.

    Args:
        view: The view, synchronous or not; of a class, by `method_decorator` or around `as_view()`.
        scopes: What the token must hold beside `SCOPES` of the settings.

    Returns:
        The view behind the check; without a view, the decorator.

    Raises:
        ConfigurationError: The scopes are not a list of scope tokens, or the view is a class, a method or no function.
    """
    return _decorate(view, scopes, required=True)


@overload
def ave_optional(view: Optional[P, R], /) -> View[P, R]: ...


@overload
def ave_optional(*, scopes: Sequence[str] = ()) -> Callable[[Optional[P, R]], View[P, R]]: ...


@refuse_unknown()
def ave_optional(view: Callable[..., Any] | None = None, /, *, scopes: Sequence[str] = ()) -> Any:
    """Let requests without a token reach a view, too; a bad one is refused (HTP-036). See `ave_required`."""
    return _decorate(view, scopes, required=False)


def _decorate(view: Callable[..., Any] | None, scopes: Sequence[str], *, required: bool) -> Any:  # noqa: ANN401 - as above
    check_scope_list(scopes)

    def authenticate(request: HttpRequest, request_auth: RequestAuth) -> HttpResponse | None:
        denial = request_auth.authorize(ViewDemand(required, scopes, uses_identity=required))
        if denial is not None:
            return respond(request, denial.response)
        show(request, request_auth)
        return None

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        check_view(view, _MEND)
        if _is_method(view):
            raise ConfigurationError(Problem.NOT_A_VIEW, f"the method {view.__qualname__}", _MEND)
        checked = _check_async(view, authenticate) if iscoroutinefunction(view) else _check(view, authenticate)
        guarded.add(checked)
        return checked

    return decorate if view is None else decorate(view)


def _is_method(view: Callable[..., Any]) -> bool:
    # By its own code: what is decorated already takes a request, and `method_decorator` passes a bound method.
    return inspect.isfunction(view) and view.__code__.co_varnames[:1] in (("self",), ("cls",))


def _request_of(request: object, view: Callable[..., Any]) -> HttpRequest:
    # A method that looked like a function when it was decorated gets its instance here; never serve it unchecked.
    if not hasattr(request, "META"):
        raise ConfigurationError(Problem.NOT_A_VIEW, f"the method {getattr(view, '__qualname__', view)!s}", _MEND)
    return cast("HttpRequest", request)


def _check(view: Callable[..., Any], authenticate: Admit) -> Callable[..., Any]:
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the view's own
        request_auth = request_auth_of(_request_of(request, view))
        request_auth.authenticate()
        refusal = authenticate(request, request_auth)
        if refusal is not None:
            return refusal
        with serving(request):
            try:
                return mark(view(request, *args, **kwargs), request_auth)
            except AveVerifyError as error:
                return _answer(request, request_auth, error)

    return checked


def _check_async(view: Callable[..., Any], authenticate: Admit) -> Callable[..., Any]:
    @wraps(view)
    async def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the view's own
        request_auth = request_auth_of(_request_of(request, view))
        await request_auth.authenticate_async()
        refusal = authenticate(request, request_auth)
        if refusal is not None:
            return refusal
        with serving(request):
            try:
                return mark(await view(request, *args, **kwargs), request_auth)
            except AveVerifyError as error:
                return _answer(request, request_auth, error)

    return checked


def _answer(request: HttpRequest, request_auth: RequestAuth, error: AveVerifyError) -> HttpResponse:
    if not request_auth.owns(error):
        raise error
    return respond(request, request_auth.error_response(error))
