"""The application of gunicorn, behind the middleware, loaded before the workers are forked.

A thread of the parent keeps its keys fresh, so that forks happen during its fetches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Thread
from typing import TYPE_CHECKING

from aveverify import get_user_identity
from aveverify.wsgi import AveAuthMiddleware
from drill.plan import WORKER_HEADER
from drill.worker import WorkerHeader, make_verifier

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOOK_SECONDS = 0.2

_verifier = make_verifier()
_header = WorkerHeader(_verifier)


def greet(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Respond with the subject."""
    identity = get_user_identity(environ)
    start_response("200 OK", [])
    return [b"" if identity is None else identity.subject.encode()]


_protected = AveAuthMiddleware(greet, _verifier, required=True)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Add a header with the process to each answer."""

    def start_with_header(
        status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        return start_response(status, [*headers, (WORKER_HEADER, _header.write())], exc_info)

    return _protected(environ, start_with_header)


def _keep_warm() -> None:
    while True:
        _verifier.warm_up()
        time.sleep(_LOOK_SECONDS)


Thread(target=_keep_warm, daemon=True).start()
