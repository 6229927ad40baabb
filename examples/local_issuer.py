"""A local issuer, to run the examples without an account: real tokens for an invented user.

    pip install aveverify
    python examples/local_issuer.py

Prints the environment of an example, and a request with a token. Ctrl-C ends it.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from threading import Event

from aveverify import SystemClock
from aveverify.testing import FakeIssuer

if __name__ == "__main__":
    issuer = FakeIssuer(application_id="app_local", clock=SystemClock())
    with issuer.serve() as url, suppress(KeyboardInterrupt):
        sys.stdout.write(
            f"export AVEVERIFY_ISSUER={url} AVEVERIFY_APPLICATION_ID={issuer.application_id}\n"
            f"curl -H 'Authorization: Bearer {issuer.token(scope='reports:read')}' http://127.0.0.1:8000/me\n"
        )
        sys.stdout.flush()
        Event().wait()
