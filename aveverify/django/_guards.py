"""What a decorator makes of a view: a guard, for functions and methods, synchronous and not. HTP-036; HTP-043."""

from __future__ import annotations

import functools
from functools import wraps
from typing import Final

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views import View as DjangoView

from aveverify._http.current_identity import serving
from aveverify._http.option_checks import View
from aveverify._http.request_auth import RequestAuth
from aveverify._http.view_demand import ViewDemand
from aveverify.django._caches import add_cache_headers
from aveverify.django._refusals import make_response
from aveverify.django._requests import request_auth_of, set_identity
from aveverify.errors import AveVerifyError, ConfigurationError, Problem

ADVICE: Final = "write ave_required at its methods, or ave_required(TheClass.as_view())"


def make_guard(view: View, demand: ViewDemand) -> View:
    """Wrap a view so that it runs only for requests that meet a demand.

    Args:
        view: A function of a request, or of an object and a request.
        demand: What it requires.

    Returns:
        The guard; a coroutine function where the view is one.
    """
    guarded = _GuardedView(view, demand)
    if iscoroutinefunction(view):

        @wraps(view)
        async def guard_async(*args: object, **kwargs: object) -> object:
            return await guarded.serve_async(_find_request(view, args, kwargs), args, kwargs)

        return guard_async

    @wraps(view)
    def guard(*args: object, **kwargs: object) -> object:
        return guarded.serve(args, kwargs)

    return guard


class _GuardedView:
    """A view behind its demand."""

    def __init__(self, view: View, demand: ViewDemand) -> None:
        self.view = view
        self.demand = demand
        self.owner = _owner_of(view)

    def serve(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Serve one request, or return a coroutine that does, where `dispatch` leads to a coroutine function."""
        request = _find_request(self.view, args, kwargs)
        if _is_async(self.owner or (args[0] if args else None)):
            return self.serve_async(request, args, kwargs)
        request_auth = request_auth_of(request)
        request_auth.authenticate()
        denial = request_auth.authorize(self.demand)
        if denial is not None:
            return make_response(request, denial)
        set_identity(request, request_auth)
        with serving(request):
            try:
                return add_cache_headers(self.view(*args, **kwargs), request_auth)
            except AveVerifyError as error:
                return _answer(request, request_auth, error)

    async def serve_async(self, request: HttpRequest, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Serve one request."""
        request_auth = request_auth_of(request)
        await request_auth.authenticate_async()
        denial = await request_auth.authorize_async(self.demand)
        if denial is not None:
            return make_response(request, denial)
        set_identity(request, request_auth)
        with serving(request):
            try:
                response = self.view(*args, **kwargs)
                # `dispatch` of a class may answer by itself, without a coroutine.
                if not isinstance(response, HttpResponseBase):
                    response = await response
                return add_cache_headers(response, request_auth)
            except AveVerifyError as error:
                return _answer(request, request_auth, error)


def _find_request(view: View, args: tuple[object, ...], kwargs: dict[str, object]) -> HttpRequest:
    """Return the request of a call: the first argument of a function, the second one of a method."""
    if args and isinstance(args[0], HttpRequest):
        return args[0]
    for argument in (*args[:2], kwargs.get("request")):
        if isinstance(argument, HttpRequest):
            return argument
        # A request of REST framework wraps one of Django.
        inner = getattr(argument, "_request", None)
        if isinstance(inner, HttpRequest):
            return inner
    # Never run it unverified.
    raise ConfigurationError(Problem.NOT_A_VIEW, str(getattr(view, "__qualname__", view)), ADVICE)


def _owner_of(view: object) -> DjangoView | None:
    """Return the object of a bound method, as `method_decorator` passes one; None of any other view."""
    while view is not None:
        method = view.func if isinstance(view, functools.partial) else view
        owner = getattr(method, "__self__", None)
        if isinstance(owner, DjangoView):
            return owner
        view = getattr(view, "__wrapped__", None)
    return None


def _is_async(owner: object) -> bool:
    return isinstance(owner, DjangoView) and bool(type(owner).view_is_async)


def _answer(request: HttpRequest, request_auth: RequestAuth, error: AveVerifyError) -> HttpResponse:
    if not request_auth.owns(error):
        raise error
    return make_response(request, request_auth.make_denial(error))
