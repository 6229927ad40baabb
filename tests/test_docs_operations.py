"""`docs/operations.md` is true: its tests exist, its numbers are the defaults, its examples run."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from aveverify import CachePolicy, Verifier, events
from aveverify._jwks.event_publisher import _WARNINGS
from aveverify.events import Event
from aveverify.redis import RedisDocumentStore
from aveverify.status import ProviderStatus
from drill.accounting import BROKEN, Outcome
from tests.hmac_keys import KEY
from tests.missing import skip_missing

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "operations.md").read_text(encoding="utf-8")
PROOFS = sorted(set(re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", PAGE)))
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def section(title: str) -> str:
    """Return the text below a heading."""
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(title: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@cache
def decorators_in(path: str) -> dict[str, list[str]]:
    """Return the tests of a file, each with its decorators."""
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {
        node.name: [ast.unparse(decorator) for decorator in node.decorator_list]
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    }


@pytest.mark.parametrize(("path", "name"), PROOFS, ids=[name for _, name in PROOFS])
def test_every_named_test_exists_and_must_pass(path: str, name: str) -> None:
    assert name in decorators_in(path)
    assert not any("xfail" in decorator for decorator in decorators_in(path)[name])


def test_every_situation_names_its_test() -> None:
    table = rows("What happens when")
    assert len(table) > 25
    for row in table:
        assert len(row) == 4
        assert re.fullmatch(r"`[a-z_/]+\.py::test_\w+`", row[3]), row[0]


def test_the_table_of_situations_comes_first() -> None:
    """An on-call engineer finds it on the first screen."""
    assert re.findall(r"^## (.+)$", PAGE, re.MULTILINE)[0] == "What happens when"
    assert PAGE[: PAGE.index("## What happens when")].count("\n") < 20


def test_every_kind_of_fault_has_a_row() -> None:
    happens = " ".join(row[0] for row in rows("What happens when"))
    for word in ("slow", "down", "rotation", "lies", "flood", "forks", "cold", "store", "suspended", "TLS"):
        assert word in happens, word


def test_the_last_drill_kept_every_promise() -> None:
    """Every outcome has a row, and those that must not occur did not."""
    found = {name.strip("*"): figures for name, *figures in rows("The drill")}
    for outcome in Outcome:
        label = f"{outcome.value}** (must be 0)" if outcome in BROKEN else outcome.value
        assert label in found, label
        if outcome in BROKEN:
            assert found[label] == ["0", "0"], label
    made, allowed = (found[f"fetches {what}"] for what in ("at the issuer", "that the policy allows"))
    assert all(int(count) <= int(bound) for count, bound in zip(made, allowed, strict=True))
    assert all(int(count) > 1000 for count in found["accepted"])


def test_every_setting_is_explained_with_its_default() -> None:
    found = {name.strip("`"): float(default) for name, default, _ in rows("Cache policy settings")}
    assert found == {field.name: float(getattr(CachePolicy(), field.name)) for field in fields(CachePolicy)}
    assert all(reason for _, _, reason in rows("Cache policy settings"))


@pytest.mark.parametrize("row", rows("How long a removed key stays trusted"), ids=lambda row: str(row[0]))
def test_the_numbers_of_the_contract_are_computed_from_the_defaults(row: list[str]) -> None:
    said = re.search(r"max-age=(\d+)", row[0])
    max_age_seconds = float(said[1]) if said else None
    computed = [
        CachePolicy().worst_case_trust_seconds(outage=outage, max_age_seconds=max_age_seconds)
        for outage in (False, True)
    ]
    assert [f"{seconds:.0f} s" for seconds in computed] == row[1:]


def test_every_event_is_listed_with_its_log_level() -> None:
    found = {row[0].strip("`"): row[1] for row in rows("Logs, events, metrics and alerts")}
    classes = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]
    assert found == {
        kind.__name__: "warning" if issubclass(kind, _WARNINGS) else "info" for kind in classes if kind is not Event
    }


def test_every_field_of_the_status_is_listed() -> None:
    named = set(re.findall(r"`([a-z_]+)`", section("Start-up and readiness")))
    assert {field.name for field in fields(ProviderStatus)} <= named


def test_the_redis_rights_are_those_of_the_docstring() -> None:
    (rights,) = re.findall(r"`(ACL SETUSER .*?)`", section("Fleets"))
    assert rights in " ".join((RedisDocumentStore.__doc__ or "").split())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.splitlines()[-1].strip())
def test_every_example_runs_as_it_is_printed(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", KEY.hex())
    namespace: dict[str, Any] = {"__name__": "keys"}
    if "redis" in example and find_spec("redis") is None:
        skip_missing("redis-py")
    if "otel" in example and find_spec("opentelemetry") is None:
        skip_missing("opentelemetry-api")
    exec(compile(example, "docs/operations.md", "exec"), namespace)  # noqa: S102 - our own page
    verifier = namespace["verifier"]
    assert isinstance(verifier, Verifier)
    if "readiness" in namespace:
        code, body = namespace["readiness"]()
        assert (code, body["is_ready"], body["providers"][0]["state"]) == (503, False, "unused")
    verifier.close()
