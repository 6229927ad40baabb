"""A client of redis-py for one URL. The one place that imports redis-py."""

from __future__ import annotations

# Name look-ups import it, and a fork in the middle of an import would leave its lock held in the child.
import encodings.idna  # noqa: F401 - as above
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def make_client(url: str, timeout_seconds: float) -> Redis:
    """Make a client that opens its first connection at the first call.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_seconds: How long one read may take.

    Raises:
        ValueError: redis-py cannot read the URL.
    """
    options: dict[str, Any] = {}
    if url.startswith("rediss:"):
        # Before its version 6 redis-py accepted a certificate of any name.
        options["ssl_check_hostname"] = True
    return Redis.from_url(
        url,
        # These end the threads of calls that timed out.
        socket_connect_timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        # No second attempt: a request to the issuer helps more than one to a dead server.
        retry=Retry(NoBackoff(), 0),
        **options,
    )
