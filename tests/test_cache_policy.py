"""`CachePolicy`: the defaults that the design names, and numbers that would switch a protection off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, fields
from typing import Any

import pytest

from aveverify import CachePolicy, ConfigurationError
from aveverify.errors import Problem
from tests.core.jose_factory import Json, raised

# Design §5.
DEFAULTS = {
    "fresh_seconds": 600, "min_fresh_seconds": 60, "max_fresh_seconds": 3600, "refresh_ahead": 0.8,
    "refresh_jitter": 0.1, "stale_if_error_seconds": 3600, "unknown_key_refetches": 2,
    "unknown_key_window_seconds": 30, "bad_signature_refetches": 1, "bad_signature_window_seconds": 60,
    "min_backoff_seconds": 1, "max_backoff_seconds": 30, "max_retry_after_seconds": 300,
    "flight_deadline_seconds": 5, "waiter_seconds": 5, "max_document_bytes": 512 * 1024,
    "discovery_seconds": 24 * 3600,
}  # fmt: skip
COUNTS = {"unknown_key_refetches", "bad_signature_refetches", "max_document_bytes"}
NAMES = [field.name for field in fields(CachePolicy)]


def wrong(**options: Any) -> ConfigurationError:
    make: Callable[..., CachePolicy] = CachePolicy
    error = raised(ConfigurationError, lambda: make(**options))
    assert error.problem is Problem.OUT_OF_RANGE
    assert (error.rule, error.convex_code) == ("CFG-009", None)
    return error


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_are_those_of_the_design(name: str) -> None:
    assert asdict(CachePolicy())[name] == DEFAULTS[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_holds_its_unit(name: str) -> None:
    """Style, habit 11."""
    assert name.endswith(("_seconds", "_bytes", "_refetches")) or name in ("refresh_ahead", "refresh_jitter")


@pytest.mark.parametrize(
    "value",
    [-1, -0.5, float("nan"), float("inf"), -float("inf"), True, False, None, "60", b"60", [60], 1j, 10**400],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_a_finite_number_and_not_negative(name: str, value: Any) -> None:
    """CFG-009."""
    assert wrong(**{name: value}).field == f"CachePolicy.{name}"


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_a_count_is_whole(name: str) -> None:
    assert wrong(**{name: 1.0}).field == f"CachePolicy.{name}"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in COUNTS])
def test_a_duration_may_be_whole_or_not(name: str) -> None:
    value = int(getattr(CachePolicy(), name)) or 0
    if name == "refresh_ahead":
        value = 1

    assert getattr(CachePolicy(**{name: value}), name) == value


@pytest.mark.parametrize(
    "name",
    [
        "flight_deadline_seconds", "waiter_seconds", "min_backoff_seconds", "min_fresh_seconds", "max_document_bytes",
        "unknown_key_window_seconds", "bad_signature_window_seconds",
    ],
)  # fmt: skip
def test_these_must_be_above_zero(name: str) -> None:
    """Without them a cache would ask at every token, or never get an answer."""
    assert wrong(**{name: 0}).field == f"CachePolicy.{name}"


@pytest.mark.parametrize(
    "name",
    [
        "stale_if_error_seconds", "unknown_key_refetches", "bad_signature_refetches", "refresh_jitter",
        "max_retry_after_seconds", "discovery_seconds",
    ],
)  # fmt: skip
def test_these_may_be_zero(name: str) -> None:
    """`stale_if_error_seconds=0` fails closed."""
    assert getattr(CachePolicy(**{name: 0}), name) == 0


@pytest.mark.parametrize(
    ("options", "field"),
    [
        pytest.param({"refresh_ahead": 0.49}, "refresh_ahead", id="refreshed too early"),
        pytest.param({"refresh_ahead": 1.01}, "refresh_ahead", id="refreshed too late"),
        pytest.param({"refresh_jitter": 0.51}, "refresh_jitter", id="too much jitter"),
        pytest.param({"fresh_seconds": 59}, "fresh_seconds", id="fresh below the floor"),
        pytest.param({"fresh_seconds": 3601}, "fresh_seconds", id="fresh above the ceiling"),
        pytest.param({"min_fresh_seconds": 601}, "fresh_seconds", id="the floor above fresh"),
        pytest.param({"max_fresh_seconds": 599}, "fresh_seconds", id="the ceiling below fresh"),
        pytest.param({"min_backoff_seconds": 31}, "min_backoff_seconds", id="the first pause above the longest"),
        pytest.param({"max_backoff_seconds": 0.5}, "min_backoff_seconds", id="the longest pause below the first"),
    ],
)
def test_settings_do_not_contradict_each_other(options: Json, field: str) -> None:
    assert wrong(**options).field == f"CachePolicy.{field}"


@pytest.mark.parametrize(
    "options",
    [
        {"refresh_ahead": 0.5}, {"refresh_ahead": 1}, {"refresh_jitter": 0.5}, {"fresh_seconds": 60},
        {"fresh_seconds": 3600}, {"min_backoff_seconds": 30}, {"max_backoff_seconds": 1},
    ],
    ids=str,
)  # fmt: skip
def test_the_ends_of_each_range_are_in_it(options: Json) -> None:
    policy = CachePolicy(**options)

    assert {name: getattr(policy, name) for name in options} == options


def test_a_policy_never_changes_and_is_compared_by_its_settings() -> None:
    policy = CachePolicy()

    with pytest.raises(FrozenInstanceError):
        policy.fresh_seconds = 1  # type: ignore[misc]
    assert policy == CachePolicy(fresh_seconds=600.0)
    assert hash(policy) == hash(CachePolicy())
    assert policy != CachePolicy(fresh_seconds=601)


def test_settings_are_given_by_name() -> None:
    make: Any = CachePolicy
    with pytest.raises(TypeError):
        make(600)
    with pytest.raises(TypeError):
        make(ttl=600)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("refresh_ahead", "refresh_jitter")])
def test_no_setting_is_beyond_thirty_years(name: str) -> None:
    """CFG-009: what is larger is a mistake, milliseconds perhaps."""
    assert wrong(**{name: 1_000_000_001}).field == f"CachePolicy.{name}"


@pytest.mark.parametrize("value", [999_999_999, 1_000_000_000], ids=["one below", "at the limit"])
def test_thirty_years_are_allowed(value: int) -> None:
    assert CachePolicy(discovery_seconds=value).discovery_seconds == value


@pytest.mark.parametrize(
    ("options", "question", "seconds"),
    [
        pytest.param({}, {}, 600, id="defaults"),
        pytest.param({}, {"outage": True}, 4200, id="an outage"),
        pytest.param({}, {"max_age_seconds": 300}, 300, id="max-age"),
        pytest.param({}, {"max_age_seconds": 0}, 60, id="max-age below the floor"),
        pytest.param({}, {"max_age_seconds": 86_400}, 3600, id="max-age above the ceiling"),
        pytest.param({}, {"max_age_seconds": 86_400, "outage": True}, 7200, id="both"),
        pytest.param({"stale_if_error_seconds": 0}, {"outage": True}, 600, id="failing closed"),
        pytest.param({"fresh_seconds": 120}, {}, 120, id="another freshness"),
        pytest.param({}, {"false_304": True}, 3600, id="a false 304"),
        pytest.param({}, {"false_304": True, "max_age_seconds": 60}, 3600, id="a false 304 with max-age"),
        pytest.param({}, {"false_304": True, "outage": True}, 7200, id="a false 304 and then an outage"),
        pytest.param({"stale_if_error_seconds": 0}, {"false_304": True}, 600, id="a false 304, failing closed"),
        pytest.param({"stale_if_error_seconds": 300}, {"false_304": True}, 900, id="a false 304, up to the cap"),
        pytest.param({"max_fresh_seconds": 600}, {"false_304": True}, 600, id="a false 304, up to the ceiling"),
    ],
)
def test_how_long_a_removed_key_is_trusted_at_worst(options: Json, question: Json, seconds: float) -> None:
    """SEC-15; ROT-004; NET-027."""
    assert CachePolicy(**options).worst_case_trust_seconds(**question) == seconds
