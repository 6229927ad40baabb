"""The fixtures of the shared HTTP tests: one issuer, one warm verifier, and a cold one for each test that breaks it."""

from __future__ import annotations

from tests.http.conftest import edge, issuer, observer, scene, shared_issuer, shared_verifier, tokens, verifier

__all__ = ["edge", "issuer", "observer", "scene", "shared_issuer", "shared_verifier", "tokens", "verifier"]
