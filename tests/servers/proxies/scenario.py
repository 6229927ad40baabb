"""A proxy with its file of deploy/, `aveverify serve`, and a service behind the proxy."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from aveverify.clock import SystemClock
from aveverify.testing import FakeIssuer
from tests.missing import skip_missing
from tests.processes import ROOT, Program, free_port, python, running
from tests.raw_http import ask
from tests.servers.proxies.upstream import Upstream, serve_upstream

DEPLOY = ROOT / "deploy"

# The example of a path that needs no credentials: the comment after this sentence.
_EXAMPLE = re.compile(r"(is decided here[^\n]*:\n)((?:[ \t]*#[^\n]*\n)+)")


@dataclass(frozen=True)
class Setting:
    """The ports and the folder of a proxy.

    Attributes:
        proxy: The port of the proxy.
        auth: The port of `aveverify serve`.
        upstream: The port of the service behind the proxy.
        folder: A folder of its own.
        opens_healthz: Whether the file's example of a path without credentials is enabled.
    """

    proxy: int
    auth: int
    upstream: int
    folder: Path
    opens_healthz: bool = False

    def read(self, name: str) -> str:
        """Read a file of deploy/, with these ports."""
        text = (DEPLOY / name).read_text(encoding="utf-8")
        for written, wanted in ((8080, self.proxy), (4180, self.auth), (3000, self.upstream)):
            # In an address, or as a value of YAML.
            text = re.sub(rf"(:|port_value: ){written}\b", rf"\g<1>{wanted}", text)
        if self.opens_healthz:
            text = _EXAMPLE.sub(lambda found: found[1] + re.sub(r"(?m)^([ \t]*)# ?", r"\1", found[2]), text)
        return text


RunProxy = Callable[[Setting], AbstractContextManager[Program]]

# First the scripts of the locked packages; last the folder of system servers.
_PLACES = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin"))
_WHERE_FROM = {
    "traefik": "no package registry has it",
    "envoy": "the package of requirements/envoy.in needs a newer Linux",
}


def find_program(name: str) -> str:
    """Find a proxy on this machine; without it the test is skipped."""
    program = shutil.which(name, path=_PLACES)
    if program is None:
        skip_missing(name, _WHERE_FROM.get(name, ""))
    return program


@contextmanager
def run_nginx(setting: Setting, additions: Mapping[str, str] = MappingProxyType({})) -> Iterator[Program]:
    """Run nginx in the foreground, as one process, with a site's additions after the given lines."""
    folder = setting.folder
    text = setting.read("nginx.conf").replace("/var/log/nginx/", f"{folder}/")
    for line, added in additions.items():
        before, found, after = text.partition(line)
        assert found, line
        text = before + found + added.replace("FOLDER", str(folder)) + after
    # The default folders are writable by root alone.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(text.replace("http {\n", f"http {{\n{places}", 1))
    options = f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;"
    command = [find_program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", options]
    with running(command, folder / "nginx.log") as nginx:
        nginx.wait_for_port(setting.proxy)
        yield nginx


@contextmanager
def run_caddy(setting: Setting) -> Iterator[Program]:
    """Run Caddy in the foreground."""
    folder = setting.folder
    (folder / "Caddyfile").write_text(setting.read("Caddyfile"))
    command = [find_program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with running(command, folder / "caddy.log", home) as caddy:
        caddy.wait_for_port(setting.proxy)
        yield caddy


@contextmanager
def run_traefik(setting: Setting) -> Iterator[Program]:
    """Run Traefik in the foreground."""
    folder = setting.folder
    dynamic = folder / "traefik-dynamic.yml"
    dynamic.write_text(setting.read(dynamic.name))
    (folder / "traefik.yml").write_text(setting.read("traefik.yml").replace(dynamic.name, str(dynamic)))
    command = [find_program("traefik"), "--configfile", str(folder / "traefik.yml")]
    with running(command, folder / "traefik.log") as traefik:
        traefik.wait_for_port(setting.proxy)
        # It listens before it has read its routers; until then every path is a 404.
        traefik.wait_until(lambda: ask(setting.proxy).status != 404)
        yield traefik


@contextmanager
def run_envoy(setting: Setting) -> Iterator[Program]:
    """Run Envoy in the foreground."""
    folder = setting.folder
    (folder / "envoy.yaml").write_text(setting.read("envoy.yaml"))
    # Several instances run at the same time, without shared memory.
    command = [find_program("envoy"), "-c", str(folder / "envoy.yaml"), "--disable-hot-restart", "--concurrency", "1"]
    with running(command, folder / "envoy.log") as envoy:
        envoy.wait_for_port(setting.proxy)
        yield envoy


PROXIES: dict[str, RunProxy] = {"nginx": run_nginx, "caddy": run_caddy, "traefik": run_traefik, "envoy": run_envoy}


@contextmanager
def run_serve(folder: Path, *options: str) -> Iterator[tuple[Program, int, int]]:
    """Run `aveverify serve`; yields the program, its port and its admin port."""
    command = python("aveverify", "serve", "--bind", "127.0.0.1:0", "--admin-port", "0", *options)
    with running(command, folder / "serve.log", {"PYTHONUNBUFFERED": "1"}) as serve:
        serve.wait_for_text("Application startup complete")
        (line,) = [line for line in serve.output.splitlines() if line.startswith("aveverify serves")]
        auth, health = (int(part.rpartition(":")[2].partition("/")[0]) for part in line.split(","))
        yield serve, auth, health


@dataclass(frozen=True)
class Deployment:
    """A running proxy, and everything around it.

    Attributes:
        port: The proxy's port.
        upstream: The service behind the proxy.
        serve: The running `aveverify serve`.
        proxy: The running proxy.
        issuer: An issuer whose tokens are accepted.
        lost: A trusted issuer that cannot be reached.
    """

    port: int
    upstream: Upstream
    serve: Program
    proxy: Program
    issuer: FakeIssuer
    lost: FakeIssuer


@contextmanager
def run_deployment(
    run_proxy: RunProxy,
    folder: Path,
    *options: str,
    service_is_down: bool = False,
    opens_healthz: bool = False,
    serve_behind: Callable[[], AbstractContextManager[Upstream]] = serve_upstream,
) -> Iterator[Deployment]:
    """Run everything; with `service_is_down` the proxy is configured with a port on which no service listens."""
    issuer, lost = FakeIssuer(clock=SystemClock()), FakeIssuer(f"http://127.0.0.1:{free_port()}", clock=SystemClock())
    with issuer.serve(), serve_behind() as upstream:
        entries = [{"domain": each.issuer, "applicationID": each.application_id} for each in (issuer, lost)]
        config = folder / "auth.json"
        config.write_text(json.dumps({"providers": entries}))
        with run_serve(folder, "--auth-config", str(config), *options) as (serve, auth, _):
            port = free_port()
            asked = free_port() if service_is_down else auth
            with run_proxy(Setting(port, asked, upstream.port, folder, opens_healthz)) as proxy:
                yield Deployment(port, upstream, serve, proxy, issuer, lost)
