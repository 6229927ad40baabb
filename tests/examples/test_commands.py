"""Every example as the comment at its top says: its two commands, a real server and a real issuer on this machine."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from aveverify import SystemClock
from aveverify.testing import FakeIssuer
from tests.examples.visits import ADA

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SERVERS = {
    "starlette": EXAMPLES / "starlette_app.py",
    "fastapi": EXAMPLES / "fastapi_app.py",
    "litestar": EXAMPLES / "litestar_app.py",
    "flask": EXAMPLES / "flask_app.py",
    "django": EXAMPLES / "django_app.py",
    "drf": EXAMPLES / "drf_app" / "manage.py",
}
ALL = {**SERVERS, "same_user": EXAMPLES / "same_user" / "users.py", "local_issuer": EXAMPLES / "local_issuer.py"}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
# How often a server that starts is asked whether it answers; each time it may take so long.
ATTEMPTS, PAUSE_SECONDS = 600, 0.05

each_server = pytest.mark.parametrize("name", SERVERS)


def commands_of(path: Path) -> tuple[str, str]:
    """The two commands in the comment at the top of an example."""
    install, run = re.findall(r"^    (\S.*)$", path.read_text(encoding="utf-8").split('"""')[1], re.MULTILINE)
    return install, run


@pytest.mark.parametrize("name", ALL)
def test_the_first_command_installs_an_extra_that_exists(name: str) -> None:
    install, run = commands_of(ALL[name])
    extra = re.fullmatch(r'pip install "?aveverify(?:\[(\w+)\])?"?( uvicorn)?', install)
    assert extra is not None
    assert extra[1] is None or extra[1] in EXTRAS
    assert f"python {ALL[name].relative_to(ROOT)}" in run


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def running(name: str, issuer: FakeIssuer) -> Iterator[str]:
    """Run the second command of an example in a process of its own; yields its URL."""
    _, run = commands_of(SERVERS[name])
    words = [word for word in run.split() if "=" not in word]
    port = free_port()
    # Django's command takes the port as a word; its reloader would be a second process.
    django = [f"127.0.0.1:{port}", "--noreload"] if "runserver" in words else []
    environ = {
        **os.environ,
        "AVEVERIFY_ISSUER": issuer.issuer,
        "AVEVERIFY_APPLICATION_ID": issuer.application_id,
        "PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, *words[1:], *django],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_for(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(ATTEMPTS):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            try:
                process.wait(PAUSE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            assert process.stdout is not None
            pytest.fail(f"the example ended: {process.stdout.read().decode()}")
        else:
            return
    pytest.fail("the example never answered")


@each_server
def test_the_second_command_starts_a_server_that_knows_its_users(name: str) -> None:
    issuer = FakeIssuer(clock=SystemClock())
    with issuer.serve(), running(name, issuer) as url, httpx.Client(base_url=url, trust_env=False) as client:
        me = client.get("/me", headers={"Authorization": f"Bearer {issuer.token()}"})
        nobody = client.get("/me")
        expired = client.get("/me", headers={"Authorization": f"Bearer {issuer.forge('expired')}"})
    assert (me.status_code, ADA.items() <= me.json().items()) == (200, True)
    assert (nobody.status_code, expired.status_code) == (401, 401)
    assert expired.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_the_local_issuer_prints_what_the_examples_need() -> None:
    process = subprocess.Popen(
        [sys.executable, str(ALL["local_issuer"])], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        variables, call = (process.stdout.readline().decode() for _ in range(2))
        url = variables.split("AVEVERIFY_ISSUER=")[1].split()[0]
        metadata = httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False).json()
    finally:
        process.kill()
        process.communicate()
    assert metadata["issuer"] == url
    assert re.search(r"Bearer [\w-]+\.[\w-]+\.[\w-]+'", call)
