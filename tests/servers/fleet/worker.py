"""One worker of a fleet: a process with one verifier, which does what is said on its standard input.

    python -m tests.servers.fleet.worker '{"issuer": …, "application_id": …, "store": …, "hmac_key": …, …}'

Each line of input is a list, the command and its argument; each line of output answers one of them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

# Loaded before the start, so that all workers of a fleet set off together.
import httpx

from aveverify import CachePolicy, InvalidTokenError, KeysUnavailableError, Provider, Verifier
from aveverify._jwks import shared_cache
from aveverify.redis import RedisDocumentStore
from aveverify.testing import FakeClock


def main() -> None:
    settings = json.loads(sys.argv[1])
    clock = FakeClock() if settings["time_stands_still"] else None
    policy = CachePolicy()
    if clock is not None:
        # Where time stands still, nobody loses patience, however busy this machine is.
        policy = CachePolicy(waiter_seconds=600, flight_deadline_seconds=600)
        vars(shared_cache)["_MAX_POLLS"] = 1_000
    hmac_key = settings["hmac_key"]
    store = RedisDocumentStore.from_url(
        settings["store"],
        hmac_key=None if hmac_key is None else bytes.fromhex(hmac_key),
        timeout_seconds=settings["timeout_seconds"],
    )
    provider = Provider(issuer=settings["issuer"], application_id=settings["application_id"])
    with Verifier(provider, clock=clock, cache_policy=policy, document_store=store) as verifier:
        say(f"ready, with httpx {httpx.__version__}")
        for line in sys.stdin:
            command, argument = json.loads(line)
            if command == "verify":
                say(verify(verifier, argument))
            elif clock is not None:
                clock.tick(seconds=argument)
                say("ticked")
    store.close()


def verify(verifier: Verifier, token: str) -> str:
    try:
        return verifier.verify(token).subject
    except (InvalidTokenError, KeysUnavailableError) as error:
        return error.reason.value


def say(answer: Any) -> None:  # noqa: ANN401 - any JSON
    print(json.dumps(answer), flush=True)  # noqa: T201 - the other end of the pipe is the test


if __name__ == "__main__":
    main()
