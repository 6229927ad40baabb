"""Cache headers of Django's responses, in time for Django's own cache. HTP-050; RFC 9111 §4.1."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Final, TypeVar

from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.middleware.cache import UpdateCacheMiddleware

from aveverify._http.caching import ANYTHING, make_private, merge_vary
from aveverify._http.request_auth import RequestAuth
from aveverify.django._streams import end_with_token

if TYPE_CHECKING:
    from django.http import HttpRequest

R = TypeVar("R")

# The attribute of a request that holds its `RequestAuth`.
REQUEST_AUTH: Final = "_aveverify_request_auth"
_IS_PATCHED: Final = "_aveverify_adds_cache_headers"


def add_cache_headers(response: R, request_auth: RequestAuth) -> R:
    """Name the headers that decide in `Vary`, and say `private`, where the credentials were read.

    Args:
        response: The return value of a view; anything but a response is left alone.
        request_auth: The authentication of the request.

    Returns:
        The same object.
    """
    if isinstance(response, HttpResponseBase) and request_auth.has_looked:
        headers, vary = response.headers, request_auth.policy.parameters.vary
        # Most responses have neither header. `headers.get` of an absent name raises and catches a KeyError inside: two
        # of them cost 0.8 µs, one pass over the names 0.2 µs.
        names = [name.lower() for name in headers]
        if vary:
            headers["Vary"] = merge_vary(headers["Vary"], vary) if "vary" in names else vary
        if request_auth.is_personal:
            headers["Cache-Control"] = make_private(headers["Cache-Control"] if "cache-control" in names else None)
    if request_auth.policy.ends_streams and isinstance(response, StreamingHttpResponse):
        end_with_token(response, request_auth)
    return response


def patch_cache_middleware() -> None:
    """Let Django's cache see our headers before it stores a response. Idempotent.

    `cache_page` under a decorator of this package, and cache middleware behind ours, store a response before it comes
    back to us: without our headers, as one page for all users. Neither can be found from here, so the method that all
    of them call is replaced by one that adds the headers first.
    """
    store = UpdateCacheMiddleware.process_response
    if hasattr(store, _IS_PATCHED):
        return

    @wraps(store)
    def process_response(
        self: UpdateCacheMiddleware, request: HttpRequest, response: HttpResponseBase | str
    ) -> HttpResponseBase | str:
        # getattr() finds it in a request of REST framework, too, which shows the attributes of Django's.
        request_auth = getattr(request, REQUEST_AUTH, None)
        if isinstance(request_auth, RequestAuth) and isinstance(response, HttpResponseBase):
            add_cache_headers(response, request_auth)
            if response.headers.get("Vary") == ANYTHING:
                # Django 5.2.0 takes "*" for the name of a header, which no request has, and stores the page for all.
                return response
        return store(self, request, response)

    setattr(process_response, _IS_PATCHED, True)
    UpdateCacheMiddleware.process_response = process_response  # type: ignore[method-assign]
