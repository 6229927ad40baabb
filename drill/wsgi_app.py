"""What gunicorn serves: an application behind the middleware, loaded before the workers are forked.

A thread of the parent keeps its keys warm, so that there are forks in the middle of its fetches.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Thread
from typing import TYPE_CHECKING, Any

from aveverify import get_user_identity
from aveverify.wsgi import AveAuthMiddleware
from drill.plan import WORKER_HEADER
from drill.worker import Card, make_verifier

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOOK_SECONDS = 0.2

_verifier = make_verifier()
_card = Card(_verifier)


def greet(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the subject."""
    identity = get_user_identity(environ)
    start_response("200 OK", [])
    return [b"" if identity is None else identity.subject.encode()]


_protected = AveAuthMiddleware(greet, _verifier, required=True)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Write on each answer, good or bad, who gave it."""

    def start_signed(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:  # noqa: ANN401 - as WSGI has it
        return start_response(status, [*headers, (WORKER_HEADER, _card.write())], *rest)

    return _protected(environ, start_signed)


def _keep_warm() -> None:
    while True:
        _verifier.warm_up()
        time.sleep(_LOOK_SECONDS)


Thread(target=_keep_warm, daemon=True).start()
