"""The middleware: every request is verified before any view, without a thread of its own in either world."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from aveverify._core.identity import Identity
from aveverify._http.current_identity import serving
from aveverify._http.request_auth import RequestAuth
from aveverify.django._caches import mark
from aveverify.django._enforcement import installation
from aveverify.django._requests import judge_by_settings, request_auth_of, respond, show
from aveverify.django._settings import kept
from aveverify.errors import AveVerifyError

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class AveAuthMiddleware:
    """Verifies the bearer token of every request; `request.ave_identity` and `get_user_identity` give the result.

    A request whose token does not come from a cookie is not checked for CSRF: no other site can make a browser send an
    Authorization header. Put it behind Django's `AuthenticationMiddleware`, whose user it replaces.

    Args:
        get_response: What comes behind it.

    Raises:
        ConfigurationError: `AVEVERIFY` in the settings is wrong.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True
    # For `_enforcement`, which knows a subclass by it.
    is_ave_auth_middleware: ClassVar[bool] = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        # A server that is configured wrongly must not start.
        kept.get()
        installation.note()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request.

        Args:
            request: The request; gets the identity.

        Returns:
            The response of whatever comes behind, or a refusal.
        """
        if self._is_async:
            return self._serve_async(request)
        request_auth = request_auth_of(request)
        request_auth.authenticate()
        refusal = _admit(request, request_auth)
        if refusal is not None:
            return refusal
        with serving(request):
            return mark(cast("HttpResponseBase", self._get_response(request)), request_auth)

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        request_auth = request_auth_of(request)
        await request_auth.authenticate_async()
        refusal = _admit(request, request_auth)
        if refusal is not None:
            return refusal
        with serving(request):
            return mark(await cast("Awaitable[HttpResponseBase]", self._get_response(request)), request_auth)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answer a refusal that a view let through.

        Args:
            request: The request.
            exception: Whatever the view raised.

        Returns:
            The answer; None where the exception is none of ours.
        """
        request_auth = request_auth_of(request)
        if isinstance(exception, AveVerifyError) and request_auth.owns(exception):
            return respond(request, request_auth.error_response(exception))
        return None


def _admit(request: HttpRequest, request_auth: RequestAuth) -> HttpResponseBase | None:
    denial = judge_by_settings(request, request_auth)
    if denial is not None:
        return respond(request, denial.response)
    if isinstance(request_auth.authenticate(), Identity) and not request_auth.is_ambient:
        # What Django's own test client says of its requests; read by CsrfViewMiddleware.
        request.__dict__["_dont_enforce_csrf_checks"] = True
    show(request, request_auth)
    return None
