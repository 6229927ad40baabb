"""The parts of each worker: a verifier that trusts the drill's certificate authority, and a header with its process.

The verifier is an ordinary one. Its fetcher adds the process id to each request, so that the issuer can tell the
workers apart.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from dataclasses import replace
from typing import Final

from aveverify import CachePolicy, FetchRequest, FetchResponse, HttpxFetcher, Provider, Verifier
from drill.plan import APPLICATION_ID, WORKER_HEADER

SETTINGS: Final = "AVEVERIFY_DRILL"


class ProcessFetcher:
    """Fetches as `HttpxFetcher` does, and adds the process id to each request.

    Args:
        fetcher: Fetches the documents.
    """

    def __init__(self, fetcher: HttpxFetcher) -> None:
        self._fetcher = fetcher

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Fetch one document."""
        return self._fetcher.fetch(replace(request, headers={**request.headers, WORKER_HEADER: str(os.getpid())}))


def make_verifier() -> Verifier:
    """Make the verifier of this process, from the settings in its environment."""
    settings = json.loads(os.environ[SETTINGS])
    trusted = ssl.create_default_context(cafile=settings["authority"])
    return Verifier(
        Provider(issuer=settings["issuer"], application_id=APPLICATION_ID),
        fetcher=ProcessFetcher(HttpxFetcher(ssl_context=trusted)),
        cache_policy=CachePolicy(**settings["policy"]),
    )


class WorkerHeader:
    """Describes the process that answers: its id, its parent, and the keys that it had when it was forked.

    Args:
        verifier: The verifier of the process.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._inherited: list[str] = []
        self._inherited_at = 0.0
        # Registered after the verifier's own hook, so that its status is that of the child.
        os.register_at_fork(after_in_child=self._note_inheritance)

    def _note_inheritance(self) -> None:
        status = self._verifier.status().providers[0]
        self._inherited = [kid for kid in status.kids if kid is not None]
        self._inherited_at = time.monotonic() - (status.age_seconds or 0.0)

    def write(self) -> str:
        """Return the value of the header."""
        members = {"worker": os.getpid(), "parent": os.getppid(), "kids": self._inherited, "at": self._inherited_at}
        return json.dumps(members)
