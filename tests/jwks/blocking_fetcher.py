"""A fetcher that can be stopped in the middle: tests wait on events, never on a stop-watch."""

from __future__ import annotations

from threading import Event, Lock

from aveverify import Fetcher, FetchRequest, FetchResponse


class Gate:
    """Passes requests on to another fetcher while it is open.

    Attributes:
        requests: Every request, in order.
        arrived: Set when a request stands before the closed gate.
    """

    def __init__(self, behind: Fetcher) -> None:
        self.requests: list[FetchRequest] = []
        self.arrived = Event()
        self._open = Event()
        self._open.set()
        self._behind = behind
        self._lock = Lock()

    def shut(self) -> None:
        self.arrived.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def count(self, ending: str) -> int:
        """Return how many requests went to an address with this ending."""
        with self._lock:
            return sum(request.url.endswith(ending) for request in self.requests)

    def fetch(self, request: FetchRequest) -> FetchResponse:
        with self._lock:
            self.requests.append(request)
        if not self._open.is_set():
            self.arrived.set()
            self._open.wait()
        return self._behind.fetch(request)
