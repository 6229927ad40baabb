"""The files of a fleet, and the page about proxies: the variables exist, and the example runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from aveverify.cli.serve.command import _SETTINGS
from aveverify.clock import SystemClock
from aveverify.identity_header import IdentitySigner
from aveverify.testing import FakeIssuer
from tests.hmac_keys import KEY_FILE, KEY_TEXT
from tests.servers.proxies.scenario import DEPLOY

PAGE = DEPLOY.parent / "docs" / "proxies.md"
FLEET = DEPLOY / "fleet"
TRUST = {"AVEVERIFY_ISSUER", "AVEVERIFY_APPLICATION_ID", "AVEVERIFY_AUTH_CONFIG"}
KNOWN = TRUST | {f"AVEVERIFY_{name.upper()}" for name in _SETTINGS}


@pytest.fixture
def services() -> Any:
    return yaml.safe_load((FLEET / "compose.yml").read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("path", [*FLEET.iterdir(), DEPLOY / "README.md", PAGE], ids=lambda path: path.name)
def test_every_variable_is_known_to_the_command(path: Path) -> None:
    assert set(re.findall(r"\bAVEVERIFY_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))) <= KNOWN


def test_shared_documents_are_sealed_and_the_keys_are_two(services: Any) -> None:
    environment = services["auth"]["environment"]

    assert environment["AVEVERIFY_REDIS_HMAC_KEY"] != environment["AVEVERIFY_SIGN_KEY"]
    assert {environment["AVEVERIFY_REDIS_HMAC_KEY"], environment["AVEVERIFY_SIGN_KEY"]} == {
        f"/run/secrets/{name}" for name in services["auth"]["secrets"]
    }


def test_the_page_shows_how_a_python_service_reads_the_signed_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sign-key").write_bytes(KEY_FILE)
    issuer = FakeIssuer(clock=SystemClock())
    with issuer.verifier() as verifier:
        value = IdentitySigner(KEY_TEXT)(verifier.verify(issuer.token(sub="ada")))
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    namespace: dict[str, Any] = {}

    exec(compile(example, PAGE.name, "exec"), namespace)  # noqa: S102 - our own page

    assert namespace["user_of"]({"X-Ave-Identity": value}) == "https://issuer.test|ada"


def test_only_the_proxy_can_be_reached_from_outside(services: Any) -> None:
    assert {name for name, service in services.items() if "ports" in service} == {"nginx"}
