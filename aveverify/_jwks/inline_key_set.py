"""A JWK Set that the configuration itself contains, as a `data:` URL: no age, no refresh (JWKS-01)."""

from __future__ import annotations

from typing import Final

from aveverify._core.jose.jwk_set import parse_key_set
from aveverify._core.key_cache.state import CacheState, Instant, Snapshot
from aveverify._core.key_cache.urls import decode_data_url, is_data_url

_FOREVER: Final = float("inf")


def read_inline_key_set(url: str | None) -> CacheState | None:
    """Return the state of a key cache with the keys of a `data:` URL; None for any other URL."""
    if url is None or not is_data_url(url):
        return None
    snapshot = Snapshot(
        key_set=parse_key_set(decode_data_url(url) or b"", "customJwt"),
        document_issuer=None,
        content=b"",
        # Newer than any question: a refresh would find the same.
        refresh_number=1,
        started=Instant(0.0, 0.0),
        refresh_seconds=_FOREVER,
        fresh_seconds=_FOREVER,
        usable_seconds=_FOREVER,
        generation=0,
    )
    return CacheState(snapshot=snapshot)
