"""`ForwardAuthMetrics`: the outcomes of the forward-auth service, for Prometheus (extra `prometheus`).

Every label is part of a closed list of words, never of a token or a configuration (ERR-005).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from aveverify.errors import AveVerifyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aveverify.verifier import Verifier

__all__ = ["ForwardAuthMetrics"]

# prometheus_client's own name for the folder in which several processes keep their counters.
MULTIPROCESS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


class ForwardAuthMetrics:
    """Counts outcomes, and reads the verifier's status at each scrape.

    `aveverify_forward_auth_requests_total` with the labels `outcome` (`accepted`, `anonymous`, `no_credentials`, or a
    `Reason`) and `status`; `aveverify_ready`; `aveverify_cached_tokens`. The counter is summed over all workers where
    `PROMETHEUS_MULTIPROC_DIR` is set; the gauges are those of the worker that answers.

    Args:
        verifier: The verifier whose status is shown.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._registry = CollectorRegistry()
        shares = bool(os.environ.get(MULTIPROCESS_FOLDER))
        self._requests = Counter(
            "aveverify_forward_auth_requests",
            "Requests to the forward-auth service, by outcome",
            ("outcome", "status"),
            registry=None if shares else self._registry,
        )
        if shares:
            # The counts of this process are in the folder, too.
            MultiProcessCollector(self._registry)  # type: ignore[no-untyped-call]
        self._registry.register(_StatusCollector(verifier))

    def count(self, outcome: str, status: int) -> None:
        """Count one request.

        Args:
            outcome: The outcome, of the closed list of `aveverify.forward_auth`.
            status: The status of the response.
        """
        self._requests.labels(outcome, str(status)).inc()

    def render(self) -> tuple[str, bytes]:
        """Return content type and text for `/metrics`."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)


class _StatusCollector(Collector):
    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            status = self._verifier.status()
        except AveVerifyError:
            # The verifier is closed, or its clock is unusable: it is not ready.
            yield GaugeMetricFamily("aveverify_ready", "1 while keys of every provider may be used", 0)
            return
        yield GaugeMetricFamily("aveverify_ready", "1 while keys of every provider may be used", int(status.is_ready))
        yield GaugeMetricFamily("aveverify_cached_tokens", "Accepted tokens in the token cache", status.cached_tokens)
