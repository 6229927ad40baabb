"""What responses say to caches, and to Django's own cache before it stores them. HTP-050; RFC 9111 §4.1."""

from __future__ import annotations

from functools import wraps
from typing import Any, Final, TypeVar

from django.http.response import HttpResponseBase
from django.middleware.cache import UpdateCacheMiddleware

from aveverify._http.caching import ANYTHING, make_private, merge_vary
from aveverify._http.request_auth import RequestAuth

R = TypeVar("R")

# Where a request holds its visit.
VISIT: Final = "_aveverify_visit"
_IS_OURS: Final = "_aveverify_marks"


def mark(response: R, request_auth: RequestAuth) -> R:
    """Let a response tell caches by which headers it differs, where the credentials were looked at.

    Args:
        response: What a view has returned; only a response is changed.
        request_auth: What the request has shown.

    Returns:
        The same object.
    """
    if isinstance(response, HttpResponseBase) and request_auth.has_looked:
        headers, vary = response.headers, request_auth.policy.parameters.vary
        if vary:
            headers["Vary"] = merge_vary(headers.get("Vary"), vary)
        if request_auth.is_personal:
            headers["Cache-Control"] = make_private(headers.get("Cache-Control"))
    return response


def mark_before_storing() -> None:
    """Let Django's cache see what `mark` says before it stores a response. Idempotent.

    `cache_page` under a decorator of this package, and cache middleware behind ours, store a response before it comes
    back to us: unmarked, as the one page for all users. Neither can be seen from here, so the method that all of them
    call is replaced by one that marks the response first.
    """
    store = UpdateCacheMiddleware.process_response
    if hasattr(store, _IS_OURS):
        return

    @wraps(store)
    def process_response(self: UpdateCacheMiddleware, request: Any, response: Any) -> Any:  # noqa: ANN401 - as Django has it
        # REST framework has a request of its own, which shows the members of Django's.
        request_auth = getattr(request, VISIT, None)
        if isinstance(request_auth, RequestAuth) and mark(response, request_auth).headers.get("Vary") == ANYTHING:
            # Django 5.2.0 takes this for the name of a header, which no request has.
            return response
        return store(self, request, response)

    setattr(process_response, _IS_OURS, True)
    UpdateCacheMiddleware.process_response = process_response  # type: ignore[method-assign]
