"""The README's examples run as they are printed, against an issuer of ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from aveverify import InvalidTokenError, Reason, Verifier, _reasons
from aveverify.testing import FakeClock, FakeIssuer

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
# Without those that `make snippets` takes from files that are tested themselves.
EXAMPLES = re.findall(r"(?<!-->\n)```python\n(.*?)```", README, re.DOTALL)


def example(mark: str) -> str:
    (found,) = [text for text in EXAMPLES if mark in text]
    return str(found)


@pytest.fixture
def ave(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer("https://aveid.net", application_id="app_123", clock=clock)


def run(source: str, issuer: FakeIssuer) -> dict[str, Any]:
    """Run an example as it is printed; only its verifier gets the network and the clock of the fake issuer."""
    connected = source.replace(
        'Verifier(Provider.ave("app_123"))', 'Verifier(Provider.ave("app_123"), fetcher=_issuer, clock=_issuer.clock)'
    )
    namespace: dict[str, Any] = {"__name__": "readme", "_issuer": issuer}
    exec(compile(connected, "README.md", "exec"), namespace)  # noqa: S102 - our own README
    return namespace


def test_every_example_is_run_here() -> None:
    assert len(EXAMPLES) == 7


def test_the_five_lines_verify_a_token(ave: FakeIssuer) -> None:
    namespace = run(example("def greet"), ave)
    token = ave.token(sub="ada", azp="app_123", email="ada@example.com", plan="pro")
    assert namespace["greet"](token) == "ada ada@example.com pro"


def test_other_issuers_are_configured_as_shown(ave: FakeIssuer) -> None:
    namespace = run(example("custom_jwt"), ave)
    assert [provider.kind for provider in namespace["verifier"].providers] == ["oidc", "customJwt"]
    assert namespace["same"].providers == (namespace["oidc"],)


def test_the_starlette_app_answers_with_convexs_identity(ave: FakeIssuer) -> None:
    client = TestClient(run(example("Starlette("), ave)["app"])
    answer = client.get("/me", headers={"Authorization": f"Bearer {ave.token(sub='ada', azp='app_123')}"})
    assert (answer.status_code, answer.json()["tokenIdentifier"]) == (200, "https://aveid.net|ada")
    assert client.get("/me").status_code == 401


def test_the_fastapi_app_answers_with_convexs_identity(ave: FakeIssuer) -> None:
    client = TestClient(run(example("FastAPI("), ave)["app"])
    answer = client.get("/me", headers={"Authorization": f"Bearer {ave.token(sub='ada', azp='app_123')}"})
    assert (answer.status_code, answer.json()["tokenIdentifier"]) == (200, "https://aveid.net|ada")
    assert client.get("/me").json()["error"] == "unauthorized"


@pytest.mark.parametrize("name", ["FastAPI", "Starlette", "Litestar", "Flask", "Django", "Django REST framework"])
def test_every_framework_is_shown_in_few_lines(name: str) -> None:
    section = README.split(f"### {name}\n", 1)[1].split("###", 1)[0]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    lines = [line for line in "".join(code).splitlines() if line.strip()]
    assert 0 < len(lines) <= 15


def test_the_flask_app_answers_with_convexs_identity(ave: FakeIssuer) -> None:
    client = run(example("Flask("), ave)["app"].test_client()
    answer = client.get("/me", headers={"Authorization": f"Bearer {ave.token(sub='ada', azp='app_123')}"})
    assert (answer.status_code, answer.get_json()["tokenIdentifier"]) == (200, "https://aveid.net|ada")
    assert client.get("/me").status_code == 401


def test_the_store_of_a_fleet_is_made_as_shown_and_asks_nobody_yet(ave: FakeIssuer) -> None:
    namespace = run(example("RedisDocumentStore"), ave)
    assert isinstance(namespace["verifier"], Verifier)
    namespace["store"].close()


def test_the_example_for_tests_is_a_test(ave: FakeIssuer) -> None:
    assert isinstance(run(example("aveverify.testing"), ave)["verifier"], Verifier)


def test_every_reason_of_a_refused_token_is_explained() -> None:
    named = set(re.findall(r"`([A-Z_]{4,})`", README))
    refusals = {reason for reason in Reason if _reasons.TABLE[reason].step is not None} | {Reason.CLOCK_UNUSABLE}
    assert {reason.value for reason in refusals - {Reason.KEYS_UNAVAILABLE}} <= named


def test_the_exception_of_the_readme_is_the_one_that_is_raised(ave: FakeIssuer) -> None:
    with pytest.raises(InvalidTokenError):
        run(example("def greet"), ave)["greet"]("x")
