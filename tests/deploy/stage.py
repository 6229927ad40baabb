"""A proxy with its file of deploy/, `aveverify serve` beside it, and a service behind it: each a process or a port."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from aveverify.clock import SystemClock
from aveverify.testing import FakeIssuer
from tests.deploy.upstream import Upstream, serve_upstream
from tests.processes import ROOT, Program, free_port, python, running

DEPLOY = ROOT / "deploy"

# Port of the proxy, of the service that it asks, and of the service behind it; and a folder of its own.
RunProxy = Callable[[int, int, int, Path], AbstractContextManager[Program]]


def with_ports(name: str, proxy: int, auth: int, upstream: int) -> str:
    """A file of deploy/ with other ports."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    for written, wanted in ((8080, proxy), (4180, auth), (3000, upstream)):
        text, count = re.subn(rf":{written}\b", f":{wanted}", text)
        assert count >= 1, written
    return text


@contextmanager
def run_nginx(proxy: int, auth: int, upstream: int, folder: Path) -> Iterator[Program]:
    """Run nginx in the foreground, as one process."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    text = with_ports("nginx.conf", proxy, auth, upstream).replace("/var/log/nginx/", f"{folder}/")
    # Where nobody but root could write otherwise.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(text.replace("http {\n", f"http {{\n{places}", 1))
    options = f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;"
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", options]
    with running(command, folder / "nginx.log") as nginx:
        nginx.wait_for_port(proxy)
        yield nginx


@contextmanager
def run_caddy(proxy: int, auth: int, upstream: int, folder: Path) -> Iterator[Program]:
    """Run Caddy in the foreground."""
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed")
    (folder / "Caddyfile").write_text(with_ports("Caddyfile", proxy, auth, upstream))
    command = [program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with running(command, folder / "caddy.log", home) as caddy:
        caddy.wait_for_port(proxy)
        yield caddy


@contextmanager
def run_serve(folder: Path, *options: str) -> Iterator[tuple[Program, int, int]]:
    """Run `aveverify serve`; gives its port and that of its admin application."""
    command = python("aveverify", "serve", "--bind", "127.0.0.1:0", "--admin-port", "0", *options)
    with running(command, folder / "serve.log", {"PYTHONUNBUFFERED": "1"}) as serve:
        serve.wait_for_text("Application startup complete")
        (line,) = [line for line in serve.output.splitlines() if line.startswith("aveverify serves")]
        auth, health = (int(part.rpartition(":")[2].partition("/")[0]) for part in line.split(","))
        yield serve, auth, health


@dataclass(frozen=True)
class Stage:
    """What a test needs: whom to ask, and who saw it.

    Attributes:
        port: The proxy's port.
        upstream: The service behind it.
        serve: The service that it asks.
        proxy: The proxy itself.
        issuer: Its tokens are accepted.
        lost: An issuer that nobody can reach.
    """

    port: int
    upstream: Upstream
    serve: Program
    proxy: Program
    issuer: FakeIssuer
    lost: FakeIssuer


@contextmanager
def open_stage(run_proxy: RunProxy, folder: Path, *options: str, asks_nobody: bool = False) -> Iterator[Stage]:
    """Start everything; with `asks_nobody` the proxy asks at a port on which nobody listens."""
    issuer, lost = FakeIssuer(clock=SystemClock()), FakeIssuer(f"http://127.0.0.1:{free_port()}", clock=SystemClock())
    with issuer.serve(), serve_upstream() as upstream:
        entries = [{"domain": each.issuer, "applicationID": each.application_id} for each in (issuer, lost)]
        config = folder / "auth.json"
        config.write_text(json.dumps({"providers": entries}))
        with run_serve(folder, "--auth-config", str(config), *options) as (serve, auth, _):
            port = free_port()
            with run_proxy(port, free_port() if asks_nobody else auth, upstream.port, folder) as proxy:
                yield Stage(port, upstream, serve, proxy, issuer, lost)
