"""Fetchers that a test can stop in the middle: tests wait for events, never for a stop-watch."""

from __future__ import annotations

from threading import Event, Lock

from aveverify import Fetcher, FetchRequest, FetchResponse
from aveverify.testing import FakeIssuer


class BlockingFetcher:
    """Passes requests on to another fetcher, unless it is blocked.

    Attributes:
        requests: Every request, in order.
        arrived: Set when a request is blocked.
    """

    def __init__(self, behind: Fetcher) -> None:
        self.requests: list[FetchRequest] = []
        self.arrived = Event()
        self._may_pass = Event()
        self._may_pass.set()
        self._behind = behind
        self._lock = Lock()

    def block(self) -> None:
        self.arrived.clear()
        self._may_pass.clear()

    def unblock(self) -> None:
        self._may_pass.set()

    def count(self, ending: str) -> int:
        """Return how many requests went to a URL with this ending."""
        with self._lock:
            return sum(request.url.endswith(ending) for request in self.requests)

    def fetch(self, request: FetchRequest) -> FetchResponse:
        with self._lock:
            self.requests.append(request)
        if not self._may_pass.is_set():
            self.arrived.set()
            self._may_pass.wait()
        return self._behind.fetch(request)


class LateKeys:
    """A fetcher that can hold back a JWK Set that the issuer has sent already.

    Attributes:
        arrived: Set when a JWK Set is held back.
        released: Set to let it go.
    """

    def __init__(self, issuer: FakeIssuer) -> None:
        self.arrived, self.released = Event(), Event()
        self._hold_next = False
        self._issuer = issuer

    def hold_next(self) -> None:
        self._hold_next = True

    def fetch(self, request: FetchRequest) -> FetchResponse:
        response = self._issuer.fetch(request)
        if self._hold_next and request.url == self._issuer.jwks_uri:
            self._hold_next = False
            self.arrived.set()
            self.released.wait()
        return response
