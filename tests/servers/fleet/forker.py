"""A process that uses a store, forks, and uses it on both sides: `python -m tests.servers.fleet.forker redis://…`."""

from __future__ import annotations

import os
import sys

from aveverify.document_store import StoredDocument
from aveverify.redis import RedisDocumentStore

URLS = [f"https://issuer.test/{number}" for number in range(50)]


def make(url: str) -> StoredDocument:
    return StoredDocument(url=url, fetched_at=1.0, headers={}, body=url.encode())


def main() -> None:
    # Time enough for a busy machine.
    store = RedisDocumentStore.from_url(sys.argv[1], timeout_seconds=30)
    for url in URLS:
        store.put(make(url), 60)
    child = os.fork()
    # Both read at once; over one shared connection they would read each other's answers.
    right = all(store.get(url) == make(url) for url in URLS * 4)
    if child == 0:
        os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    store.close()
    print(right, os.waitstatus_to_exitcode(status))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
