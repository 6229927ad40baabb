"""The pytest plugin, as a project gets it that has installed the package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from aveverify import InvalidTokenError, Reason, Verifier
from aveverify.testing import FakeClock, FakeIssuer

OVERRIDE = """
import pytest
from aveverify.testing import FakeIssuer

@pytest.fixture
def ave_issuer(ave_clock):
    return FakeIssuer("https://login.example.test", algorithms=("EdDSA",), clock=ave_clock)
"""
USE = """
def test_good(ave_verifier, ave_token, ave_clock):
    token = ave_token(sub="ada")
    assert ave_verifier.verify(token).token_identifier == "https://login.example.test|ada"
"""
ANYIO = """
import pytest

@pytest.mark.anyio
async def test_both_event_loops(ave_verifier, ave_issuer, anyio_backend_name):
    for _ in range(2):
        assert (await ave_verifier.verify_async(ave_issuer.token(sub="ada"))).subject == "ada"
        ave_issuer.rotate(keep_old=False)
    print("ran under", anyio_backend_name)

@pytest.fixture
async def token(ave_token):
    return ave_token(sub="grace")

@pytest.mark.anyio
async def test_an_asynchronous_fixture(ave_verifier, token):
    assert (await ave_verifier.verify_async(token)).subject == "grace"
"""
START = """
import sys

def test_nothing_is_loaded_before_it_is_asked_for():
    assert not {"aveverify", "httpx", "jwt", "cryptography"} & set(sys.modules)
"""


def test_the_fixtures_belong_together(
    ave_clock: FakeClock, ave_issuer: FakeIssuer, ave_verifier: Verifier, ave_token: Callable[..., str]
) -> None:
    token = ave_token(sub="ada")
    assert ave_verifier.verify(token).subject == "ada"
    assert ave_issuer.clock is ave_verifier.clock is ave_clock
    ave_clock.tick(seconds=3600)
    with pytest.raises(InvalidTokenError) as caught:
        ave_verifier.verify(token)
    assert caught.value.reason is Reason.EXPIRED


def test_pytest_finds_it_where_the_package_is_installed() -> None:
    (found,) = entry_points(group="pytest11", name="aveverify")
    assert found.value == "pytest_aveverify"


def run_pytest(folder: Path, *arguments: str, autoload: bool = True, **files: str) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--disable-warnings", *arguments, "."],
        env=os.environ | ({} if autoload else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_the_fixtures_work_with_anyios_plugin_under_both_event_loops(tmp_path: Path) -> None:
    ran = run_pytest(tmp_path, "-s", "-p", "no:xdist", test_anyio=ANYIO)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "4 passed" in ran.stdout
    assert {name for name in ("asyncio", "trio") if f"ran under {name}" in ran.stdout} == {"asyncio", "trio"}


def test_a_project_overrides_one_fixture_and_the_others_follow(tmp_path: Path) -> None:
    ran = run_pytest(tmp_path, conftest=OVERRIDE, test_use=USE)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_start_of_a_test_run_loads_nothing_of_the_verifier(tmp_path: Path) -> None:
    ran = run_pytest(tmp_path, test_start=START)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_project_without_autoload_names_the_plugin(tmp_path: Path) -> None:
    conftest = f'pytest_plugins = ["pytest_aveverify"]\n{OVERRIDE}'
    ran = run_pytest(tmp_path, autoload=False, conftest=conftest, test_use=USE)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_plugin_can_be_switched_off(tmp_path: Path) -> None:
    ran = run_pytest(tmp_path, "-p", "no:aveverify", test_use=USE)
    assert ran.returncode == 1
    assert "fixture 'ave_verifier' not found" in ran.stdout
