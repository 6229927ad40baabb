"""`aveverify.otel`: what a collector sees of the keys, and that nothing of a token can become a label. ERR-005."""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from aveverify import CachePolicy, InvalidTokenError, Provider, Verifier
from aveverify.events import (
    BudgetExhausted,
    Event,
    FetchFailed,
    KeyReplaced,
    KeysFetched,
    KeysRotated,
    ProviderDown,
    ProviderUp,
    ServedStale,
)
from aveverify.otel import KeyMetrics
from aveverify.testing import FakeClock, FakeIssuer
from tests.missing import skip_missing

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

ISSUERS = ("https://a.test", "https://b.test/")
FRESH = CachePolicy().fresh_seconds
Points = dict[tuple[str, frozenset[tuple[str, Any]]], float]


class Collector:
    """A meter provider with `KeyMetrics`, and what it has measured."""

    def __init__(self) -> None:
        sdk, export = _import_sdk()
        self._reader: InMemoryMetricReader = export.InMemoryMetricReader()
        self.provider: MeterProvider = sdk.MeterProvider([self._reader])
        self.metrics = KeyMetrics(self.provider.get_meter("test"))

    def points(self) -> Points:
        """Every value by its name and labels."""
        data = self._reader.get_metrics_data()
        return {
            (metric.name, frozenset((point.attributes or {}).items())): getattr(point, "value", 0)
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    def meters(self) -> set[str]:
        """The names of the meters that have measured something."""
        data = self._reader.get_metrics_data()
        resources = data.resource_metrics if data is not None else ()
        return {scope.scope.name for resource in resources for scope in resource.scope_metrics}

    def value(self, name: str, **labels: str) -> float | None:
        """The value with exactly these labels, written with `_` for `.`."""
        wanted = frozenset((f"aveverify.{label.replace('_', '.')}", text) for label, text in labels.items())
        return self.points().get((f"aveverify.key.{name}", wanted))


def _import_sdk() -> tuple[Any, Any]:
    try:
        return import_module("opentelemetry.sdk.metrics"), import_module("opentelemetry.sdk.metrics.export")
    except ImportError:
        skip_missing("opentelemetry-sdk")


@pytest.fixture
def collector() -> Collector:
    return Collector()


class TestCounters:
    @pytest.mark.parametrize(
        ("event", "name", "labels", "amount"),
        [
            pytest.param(
                KeysFetched(issuers=ISSUERS, kids=("k",), changed=True, fresh_seconds=600),
                "fetches",
                {"outcome": "changed"},
                1,
                id="keys that changed",
            ),
            pytest.param(
                KeysFetched(issuers=ISSUERS, kids=("k",), changed=False, fresh_seconds=600),
                "fetches",
                {"outcome": "unchanged"},
                1,
                id="keys that did not change",
            ),
            pytest.param(
                FetchFailed(issuers=ISSUERS, cause="the deadline passed", failures=3, retry_after_seconds=4),
                "fetches",
                {"outcome": "failed"},
                1,
                id="a failed fetch",
            ),
            pytest.param(
                KeysRotated(issuers=ISSUERS, added=("n",), removed=("o",), shares_no_key=True),
                "rotations",
                {},
                1,
                id="a rotation",
            ),
            pytest.param(KeyReplaced(issuers=ISSUERS, kids=("k", "l")), "replacements", {}, 2, id="two replaced keys"),
            pytest.param(
                ServedStale(issuers=ISSUERS, age_seconds=700, usable_seconds=1), "stale_served", {}, 1, id="stale keys"
            ),
            pytest.param(
                BudgetExhausted(issuers=ISSUERS, budget="unknown_key", retry_after_seconds=30),
                "budget_exhausted",
                {"budget": "unknown_key"},
                1,
                id="a spent budget",
            ),
        ],
    )
    def test_an_event_is_counted_for_each_issuer_that_shares_the_keys(
        self, collector: Collector, *, event: Event, name: str, labels: Mapping[str, str], amount: int
    ) -> None:
        collector.metrics(event)
        collector.metrics(event)
        for issuer in ISSUERS:
            assert collector.value(name, issuer=issuer, **labels) == 2 * amount
        assert len(collector.points()) == 2

    @pytest.mark.parametrize(
        "event",
        [ProviderDown(issuers=ISSUERS, has_keys=True), ProviderUp(issuers=ISSUERS, failures=1), Event(issuers=ISSUERS)],
        ids=lambda event: type(event).__name__,
    )
    def test_what_other_events_say_is_counted_already(self, collector: Collector, event: Event) -> None:
        collector.metrics(event)
        assert collector.points() == {}

    def test_err_005_no_token_makes_a_label(self, collector: Collector, issuer: FakeIssuer) -> None:
        verifier = issuer.verifier(on_event=collector.metrics)
        collector.metrics.observe(verifier)
        verifier.verify(issuer.token())
        before = set(collector.points())
        for number in range(50):
            for token in (
                issuer.token(header={"kid": f"s3cret-{number}"}),
                issuer.token(iss=f"https://s3cret-{number}.test"),
                issuer.token(header={"alg": f"s3cret-{number}"}),
            ):
                with pytest.raises(InvalidTokenError):
                    verifier.verify(token)
        after = set(collector.points())
        # A spent budget, and fetches that changed nothing.
        assert len(after - before) == 2
        assert "s3cret" not in repr(after)


class TestGauges:
    def observed(self, collector: Collector, issuer: FakeIssuer) -> Verifier:
        verifier = issuer.verifier(on_event=collector.metrics)
        collector.metrics.observe(verifier)
        return verifier

    def test_before_the_first_fetch_nothing_is_available(self, collector: Collector, issuer: FakeIssuer) -> None:
        verifier = self.observed(collector, issuer)
        labels = {"issuer": issuer.issuer, "provider_kind": "oidc"}
        assert collector.value("available", **labels) == 0
        assert collector.value("failures", **labels) == 0
        assert collector.value("age", **labels) is None
        assert collector.value("usable", **labels) is None
        assert (issuer.discovery_requests, verifier.status().is_ready) == (0, False)

    def test_age_and_rest_follow_the_clock(self, collector: Collector, issuer: FakeIssuer, clock: FakeClock) -> None:
        verifier = self.observed(collector, issuer)
        verifier.warm_up()
        issuer.go_down()
        labels = {"issuer": issuer.issuer, "provider_kind": "oidc"}
        cap = CachePolicy().worst_case_trust_seconds(outage=True)
        for seconds, available in ((0, 1), (FRESH, 1), (cap - FRESH, 0), (1, 0)):
            clock.tick(seconds=seconds)
            age = collector.value("age", **labels)
            assert age is not None
            assert collector.value("usable", **labels) == max(cap - age, 0)
            assert collector.value("available", **labels) == available
        assert age == cap + 1

    def test_failures_in_a_row_show_while_they_last(
        self, collector: Collector, issuer: FakeIssuer, clock: FakeClock
    ) -> None:
        verifier = self.observed(collector, issuer)
        labels = {"issuer": issuer.issuer, "provider_kind": "oidc"}
        issuer.go_down()
        for failures in (1, 2):
            clock.tick(seconds=60)
            verifier.warm_up()
            assert collector.value("failures", **labels) == failures
        issuer.come_up()
        clock.tick(seconds=60)
        verifier.warm_up()
        assert collector.value("failures", **labels) == 0
        assert collector.value("available", **labels) == 1

    def test_every_provider_of_every_observed_verifier_is_seen(self, collector: Collector, clock: FakeClock) -> None:
        first, second = (FakeIssuer(f"https://{name}.test", clock=clock) for name in ("first", "second"))
        custom = Provider.custom_jwt(
            issuer=second.issuer, jwks=second.jwks_uri, algorithm="RS256", application_id=second.application_id
        )
        verifiers = [first.verifier(first.provider, custom)]
        collector.metrics.observe(verifiers[0])
        collector.metrics.observe(verifiers[0])
        found = {labels for name, labels in collector.points() if name == "aveverify.key.available"}
        assert found == {
            frozenset({("aveverify.issuer", first.issuer), ("aveverify.provider.kind", "oidc")}),
            frozenset({("aveverify.issuer", second.issuer), ("aveverify.provider.kind", "customJwt")}),
        }

    def test_a_closed_verifier_is_passed_over(self, collector: Collector, issuer: FakeIssuer) -> None:
        verifier = self.observed(collector, issuer)
        verifier.close()
        assert collector.points() == {}

    def test_a_verifier_that_is_gone_is_forgotten(self, collector: Collector, issuer: FakeIssuer) -> None:
        self.observed(collector, issuer)
        assert collector.points() == {}


def test_without_a_meter_the_global_provider_makes_one(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.metrics.get_meter", collector.provider.get_meter)

    KeyMetrics()(FetchFailed(issuers=ISSUERS[:1], cause="the deadline passed", failures=1, retry_after_seconds=4))

    assert collector.value("fetches", issuer=ISSUERS[0], outcome="failed") == 1
    assert "aveverify" in collector.meters()


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    load: Callable[..., object] = builtins.__import__

    def without(name: str, *arguments: object) -> object:
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError) as caught:
        KeyMetrics()
    assert str(caught.value) == "KeyMetrics needs opentelemetry-api; pip install aveverify[otel] does it"


def test_the_package_is_not_loaded_before_it_is_used() -> None:
    source = "import sys, aveverify.otel; print(any(name.startswith('opentelemetry') for name in sys.modules))"
    found = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
