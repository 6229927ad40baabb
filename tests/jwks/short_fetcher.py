"""A fetcher that gives requests little time while a server never answers, and enough for a busy machine otherwise."""

from __future__ import annotations

from dataclasses import replace

from aveverify import FetchRequest, FetchResponse, HttpxFetcher

_LASTING_SECONDS = 0.3


class ShortFetcher:
    """Fetches with httpx.

    Attributes:
        fault_lasts: Whether the server never answers: then a request may take 0.3 s only.
    """

    def __init__(self, fetcher: HttpxFetcher) -> None:
        self.fault_lasts = False
        self._fetcher = fetcher

    def fetch(self, request: FetchRequest) -> FetchResponse:
        return self._fetcher.fetch(replace(request, deadline_seconds=_LASTING_SECONDS) if self.fault_lasts else request)

    def close(self) -> None:
        self._fetcher.close()
