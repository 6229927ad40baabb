"""The fixtures of the shared HTTP tests: one issuer, one warm verifier, and a cold one for each test that breaks it."""

from __future__ import annotations

from tests.http.conftest import (
    integration,
    issuer,
    observer,
    scenario,
    shared_issuer,
    shared_verifier,
    tokens,
    verifier,
)

__all__ = ["integration", "issuer", "observer", "scenario", "shared_issuer", "shared_verifier", "tokens", "verifier"]
