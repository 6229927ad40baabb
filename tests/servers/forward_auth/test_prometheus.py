"""Metrics of the forward-auth service: counts by a closed list of words, and nothing of any token."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aveverify import Verifier
from aveverify.prometheus import ForwardAuthMetrics
from aveverify.testing import FakeIssuer

if TYPE_CHECKING:
    import pytest


def lines_of(metrics: ForwardAuthMetrics) -> list[str]:
    content_type, text = metrics.render()
    assert content_type.startswith("text/plain")
    return text.decode().splitlines()


def test_outcomes_are_counted(verifier: Verifier) -> None:
    metrics = ForwardAuthMetrics(verifier)
    metrics.count("accepted", 200)
    metrics.count("accepted", 200)
    metrics.count("EXPIRED", 401)

    lines = lines_of(metrics)

    assert 'aveverify_forward_auth_requests_total{outcome="accepted",status="200"} 2.0' in lines
    assert 'aveverify_forward_auth_requests_total{outcome="EXPIRED",status="401"} 1.0' in lines


def test_readiness_is_that_of_the_verifier(verifier: Verifier, issuer: FakeIssuer) -> None:
    metrics = ForwardAuthMetrics(verifier)
    assert "aveverify_ready 0.0" in lines_of(metrics)

    verifier.verify(issuer.token())

    assert {"aveverify_ready 1.0", "aveverify_cached_tokens 1.0"} <= set(lines_of(metrics))


def test_a_closed_verifier_is_not_ready_and_stops_no_collecting(issuer: FakeIssuer) -> None:
    verifier = issuer.verifier()
    metrics = ForwardAuthMetrics(verifier)
    verifier.close()

    assert "aveverify_ready 0.0" in lines_of(metrics)


def test_no_label_comes_from_a_token_or_a_configuration(verifier: Verifier, issuer: FakeIssuer) -> None:
    """ERR-005."""
    verifier.verify(issuer.token())

    assert "issuer.test" not in "\n".join(lines_of(ForwardAuthMetrics(verifier)))


COUNT_TWO = """
from aveverify import Provider, Verifier
from aveverify.prometheus import ForwardAuthMetrics

metrics = ForwardAuthMetrics(Verifier(Provider.ave("app_test")))
metrics.count("accepted", 200)
metrics.count("accepted", 200)
"""


def test_counts_of_all_workers_are_summed(verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes have counted two requests each in the shared folder."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNT_TWO], check=True, timeout=50)

    lines = lines_of(ForwardAuthMetrics(verifier))

    assert "aveverify_ready 0.0" in lines
    assert 'aveverify_forward_auth_requests_total{outcome="accepted",status="200"} 4.0' in lines
