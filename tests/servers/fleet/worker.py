"""One worker of a fleet: a process with one verifier, which runs the commands of a test.

Each message is a command and its argument; the worker sends one answer to each of them.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

# Imported before a verifier is made, so that all workers of a fleet start to fetch together.
import httpx

from aveverify import CachePolicy, InvalidTokenError, KeysUnavailableError, Provider, Verifier
from aveverify._jwks import shared_cache
from aveverify.redis import RedisDocumentStore
from aveverify.testing import FakeClock


def serve(connection: Connection, settings: dict[str, Any]) -> None:
    """Run commands until the test closes the connection."""
    clock = FakeClock(now=1_700_000_000) if settings["time_stands_still"] else None
    policy = CachePolicy()
    if clock is not None:
        # While time stands still no wait ends, however busy this machine is.
        policy = CachePolicy(waiter_seconds=600, flight_deadline_seconds=600)
        vars(shared_cache)["_MAX_POLLS"] = 1_000
    store = RedisDocumentStore.from_url(
        settings["store"], hmac_key=settings["hmac_key"], timeout_seconds=settings["timeout_seconds"]
    )
    provider = Provider(issuer=settings["issuer"], application_id=settings["application_id"])
    with Verifier(provider, clock=clock, cache_policy=policy, document_store=store) as verifier:
        connection.send(f"ready, with httpx {httpx.__version__}")
        while True:
            try:
                command, argument = connection.recv()
            except EOFError:
                break
            if command == "verify":
                connection.send(verify(verifier, argument))
            elif clock is not None:
                clock.tick(seconds=argument)
                connection.send("ticked")
    store.close()


def verify(verifier: Verifier, token: str) -> str:
    try:
        return verifier.verify(token).subject
    except (InvalidTokenError, KeysUnavailableError) as error:
        return error.reason.value
