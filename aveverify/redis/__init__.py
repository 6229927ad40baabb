"""`RedisDocumentStore`: workers share the documents of issuers through Redis or Valkey (extra `redis`)."""

from __future__ import annotations

from aveverify.redis._document_store import (
    DEFAULT_PREFIX,
    DEFAULT_TIMEOUT_SECONDS,
    RedisClient,
    RedisDocumentStore,
)

__all__ = ["DEFAULT_PREFIX", "DEFAULT_TIMEOUT_SECONDS", "RedisClient", "RedisDocumentStore"]
