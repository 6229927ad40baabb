"""An issuer on this machine that publishes whichever keys a measurement needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aveverify import FetchResponse, SystemClock
from aveverify.testing import FakeIssuer
from benchmarks.corpus import AUDIENCE


@contextmanager
def serve_keys(jwks: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Serve a discovery document and these keys over HTTP, for the length of a `with` block.

    Args:
        jwks: The public keys.

    Yields:
        The issuer's URL.
    """
    issuer = FakeIssuer(application_id=AUDIENCE, algorithms=("EdDSA", "RS256"), clock=SystemClock())
    body = json.dumps({"keys": list(jwks)}).encode()
    issuer.answer_keys_with(FetchResponse(status=200, headers={"Content-Type": "application/json"}, body=body))
    with issuer.serve() as url:
        yield url
