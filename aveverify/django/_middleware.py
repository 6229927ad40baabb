"""The middleware: verifies every request before any view, in the thread that serves the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from aveverify._core.identity import Identity
from aveverify._http.authentication import Outcome
from aveverify._http.current_identity import serving
from aveverify._http.request_auth import RequestAuth
from aveverify.django._caches import add_cache_headers
from aveverify.django._enforcement import installation
from aveverify.django._refusals import make_response
from aveverify.django._requests import (
    authorize_by_settings,
    check_view_that_runs,
    is_as_let_in,
    note_optional_view,
    patch_handler,
    request_auth_of,
    set_identity,
)
from aveverify.django._settings import current_settings
from aveverify.django._users import show_again
from aveverify.errors import AveVerifyError

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class AveAuthMiddleware:
    """Verifies the bearer token of every request, and sets `request.ave_identity`.

    `MIDDLEWARE += ["aveverify.django.AveAuthMiddleware"]`, behind Django's `AuthenticationMiddleware`, whose user it
    replaces if there is a `USER_LOADER`. A request whose token does not come from a cookie is not checked for CSRF: no
    other site can make a browser send an Authorization header.

    Name this class, or a subclass, in MIDDLEWARE. Behind a function that calls it, requests are verified, and the views
    that run are checked, too; but Django does not know its `process_view` and `process_exception`: a refusal that a
    view raises is an error there, and an `AuthenticationMiddleware` behind it hides the user of the token.

    Args:
        get_response: The next middleware, or the view; Django passes it.

    Raises:
        ConfigurationError: `AVEVERIFY` in the settings is wrong.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True
    # `_enforcement` recognises a subclass by it.
    is_ave_auth_middleware: ClassVar[bool] = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
            # Django would call a synchronous one in a thread.
            self.process_view = self._process_view_async  # type: ignore[method-assign,assignment] # as Django calls it
        # A server that is configured wrongly must not start.
        current_settings.get()
        installation.note_middleware()
        patch_handler()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request.

        Args:
            request: The request; its `ave_identity` is set.

        Returns:
            The response of the view, or a refusal.
        """
        if self._is_async:
            return self._serve_async(request)
        request_auth = request_auth_of(request)
        refusal = _refuse_or_let_in(request, request_auth, request_auth.authenticate())
        if refusal is not None:
            return refusal
        with serving(request):
            return add_cache_headers(cast("HttpResponseBase", self._get_response(request)), request_auth)

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        request_auth = request_auth_of(request)
        refusal = _refuse_or_let_in(request, request_auth, await request_auth.authenticate_async())
        if refusal is not None:
            return refusal
        with serving(request):
            response = await cast("Awaitable[HttpResponseBase]", self._get_response(request))
            return add_cache_headers(response, request_auth)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: object, _kwargs: object
    ) -> HttpResponseBase | None:
        """Check that the view which runs is the one for which the request was let in.

        Args:
            request: The request.
            view: The view.
            _args: Its positional arguments.
            _kwargs: Its keyword arguments.

        Returns:
            The response of a refusal; None lets the view run.
        """
        return None if is_as_let_in(request) else _check_view(request, view)

    async def _process_view_async(
        self, request: HttpRequest, view: Callable[..., Any], _args: object, _kwargs: object
    ) -> HttpResponseBase | None:
        return None if is_as_let_in(request) else _check_view(request, view)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answer a refusal of this request that a view has raised.

        Args:
            request: The request.
            exception: The exception of the view.

        Returns:
            The response; None leaves any other exception to Django.
        """
        request_auth = request_auth_of(request)
        if isinstance(exception, AveVerifyError) and request_auth.owns(exception):
            return make_response(request, request_auth.make_denial(exception))
        return None


def _check_view(request: HttpRequest, view: object) -> HttpResponseBase | None:
    show_again(request, request_auth_of(request))
    return check_view_that_runs(request, view)


def _refuse_or_let_in(request: HttpRequest, request_auth: RequestAuth, outcome: Outcome) -> HttpResponseBase | None:
    # An identity has met the settings: their scopes and `CHECK` are part of its authentication. To ask again would cost
    # every request 0.7 µs.
    if not isinstance(outcome, Identity):
        is_optional = outcome is None and note_optional_view(request, request_auth)
        denial = authorize_by_settings(request, request_auth, is_optional=is_optional)
        if denial is not None:
            return make_response(request, denial)
    elif not request_auth.is_ambient:
        # CsrfViewMiddleware reads it; Django's own test client sets it, too.
        request.__dict__["_dont_enforce_csrf_checks"] = True
    set_identity(request, request_auth)
    return None
