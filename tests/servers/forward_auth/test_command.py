"""`aveverify serve`: options, environment, ports, workers, graceful end and exit codes."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import multiprocessing
import os
import re
import signal
import socket
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import httpx
import pytest
from starlette.testclient import TestClient

from aveverify import ConfigurationError
from aveverify.cli import _make_parser, main
from aveverify.cli.serve.application import make_service, open_verifier
from aveverify.cli.serve.command import _read_environment
from aveverify.cli.serve.server import serve_as_worker
from aveverify.cli.serve.settings import Settings, parse_settings
from aveverify.cli.serve.workers import RESTART_PAUSE_SECONDS, catch_stop_signals, run_worker, run_workers
from aveverify.cli.terminal import UsageError
from aveverify.clock import SystemClock
from aveverify.testing import FakeIssuer
from tests.cli.streams import WatchedOutput
from tests.hmac_keys import KEY_FILE, KEY_TEXT
from tests.processes import free_port, python, running
from tests.servers.fleet.servers import run_redis

PROVIDER = ("--issuer", "https://issuer.test", "--application-id", "app_test")
TWO_WORKERS = ("--admin-port", "off", "--workers", "2", "--optional")
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # At its import prometheus_client decides, by the environment, whether this process counts in memory or in a folder.
    importlib.import_module("prometheus_client")
    for name in [name for name in os.environ if name.startswith("AVEVERIFY_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("httpx")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture
def live_issuer() -> Iterator[FakeIssuer]:
    issuer = FakeIssuer(clock=SystemClock())
    with issuer.serve():
        yield issuer


def parse(*options: str) -> Settings:
    arguments: Namespace = _make_parser().parse_args(["serve", *options])
    _read_environment(arguments)
    return parse_settings(arguments)


def provider_options(issuer: FakeIssuer) -> tuple[str, ...]:
    return ("--issuer", issuer.issuer, "--application-id", issuer.application_id)


# --- settings -------------------------------------------------------------------------------------------------------


def test_without_options_it_serves_this_machine_alone() -> None:
    settings = parse(*PROVIDER)

    assert (settings.host, settings.port, settings.admin_port, settings.workers) == ("127.0.0.1", 4180, 4181, 1)
    assert (settings.required, settings.writes_identity, settings.sign_key) == (True, False, None)


def test_every_option_can_be_given_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)
    by_option = parse(
        *PROVIDER, "--optional", "--scope", "read", "--scope", "write",
        "--any-scope", "a", "--any-scope", "b", "--scope-claim", "scp", "--realm", "here", "--resource-metadata",
        "https://api.test/meta", "--sign-key", str(key), "--sign-audience", "billing", "--bind", "[::1]:5000",
        "--admin-port", "same", "--workers", "3", "--warm-up", "--fail-closed", "--redis-url", "redis://127.0.0.1",
        "--redis-hmac-key", str(key), "--access-log",
    )  # fmt: skip
    variables = {
        "OPTIONAL": "1", "SCOPE": "read write", "ANY_SCOPE": "a b", "SCOPE_CLAIM": "scp",
        "REALM": "here", "RESOURCE_METADATA": "https://api.test/meta",
        "SIGN_KEY": str(key), "SIGN_AUDIENCE": "billing", "BIND": "[::1]:5000", "ADMIN_PORT": "same", "WORKERS": "3",
        "WARM_UP": "yes", "FAIL_CLOSED": "true", "REDIS_URL": "redis://127.0.0.1", "REDIS_HMAC_KEY": str(key),
        "ACCESS_LOG": "on",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(f"AVEVERIFY_{name}", value)

    by_environment = parse(*PROVIDER)

    same = Namespace()
    assert replace(by_environment, verifier_options=same) == replace(by_option, verifier_options=same)
    assert by_option.sign_key == KEY_TEXT
    assert by_option.host == "::1"
    assert (by_option.any_scopes, by_option.scope_claims) == (("a", "b"), ("scp",))


def test_an_option_takes_precedence_over_the_environment_and_an_empty_address_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AVEVERIFY_REALM", "there")
    monkeypatch.setenv("AVEVERIFY_WORKERS", "")
    monkeypatch.setenv("AVEVERIFY_OPTIONAL", "0")

    settings = parse(*PROVIDER, "--realm", "here")

    assert (settings.realm, settings.workers, settings.required) == ("here", 1, True)


def expect_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command that would serve fail at once, instead of serving until the test's timeout."""
    monkeypatch.setattr("aveverify.cli.serve.server.run_server", lambda _settings: pytest.fail("it serves"))


VARIABLES = [
    "SCOPE", "ANY_SCOPE", "SCOPE_CLAIM",
    "REALM", "RESOURCE_METADATA", "SIGN_KEY", "SIGN_AUDIENCE", "REDIS_URL", "REDIS_HMAC_KEY", "OPTIONAL",
    "IDENTITY", "WARM_UP", "FAIL_CLOSED", "ACCESS_LOG",
]  # fmt: skip


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", ["", " ", "\n", "\t \n"], ids=repr)
def test_cfg_013_a_variable_without_a_value_never_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, name: str, value: str
) -> None:
    """A deployment that lost its scope must not accept every token."""
    expect_no_server(monkeypatch)
    monkeypatch.setenv(f"AVEVERIFY_{name}", value)

    assert main(["serve", *PROVIDER]) == 2
    assert f"AVEVERIFY_{name} is empty" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["AUTH_CONFIG", "ISSUER", "APPLICATION_ID"])
@pytest.mark.parametrize("command", ["serve", "verify"])
@pytest.mark.parametrize("value", ["", " "], ids=repr)
def test_cfg_013_a_variable_of_the_provider_without_a_value_never_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, command: str, name: str, value: str
) -> None:
    variables = {"ISSUER": "https://issuer.test", "APPLICATION_ID": "app_test", name: value}
    for one, text in variables.items():
        monkeypatch.setenv(f"AVEVERIFY_{one}", text)

    assert main([command]) == 2
    assert f"AVEVERIFY_{name} is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    ["--scope", "--any-scope", "--scope-claim",
     "--realm", "--resource-metadata", "--sign-key", "--sign-audience", "--redis-url", "--redis-hmac-key",
     "--bind", "--admin-port", "--workers", "--issuer", "--application-id"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["", " ", "\n"], ids=repr)
def test_cfg_013_an_option_without_a_value_is_refused(capsys: Output, option: str, value: str) -> None:
    """`--scope "$SCOPE"`, where the variable of the shell is not set."""
    further = ["--redis-url", "redis://127.0.0.1"] if option == "--redis-hmac-key" else []

    assert main(["serve", *PROVIDER, *further, option, value]) == 2
    assert f"{option} is empty" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--auth-config", ""], ["--issuer", "", "--application-id", "app"]], ids=repr)
@pytest.mark.parametrize("command", ["serve", "verify"])
def test_cfg_013_an_option_of_the_provider_without_a_value_is_refused_by_every_command(
    capsys: Output, command: str, options: list[str]
) -> None:
    assert main([command, *options]) == 2
    assert f"{options[0]} is empty" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--sign-key", "--redis-hmac-key"])
@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t"], ids=repr)
def test_cfg_013_the_file_of_a_key_is_not_empty(capsys: Output, tmp_path: Path, option: str, content: bytes) -> None:
    key = tmp_path / "key"
    key.write_bytes(content)

    assert main(["serve", *PROVIDER, "--redis-url", "redis://127.0.0.1", option, str(key)]) == 2
    assert f"the file of {option} is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("AVEVERIFY_SCOPES", "SCOPE"),
        ("AVEVERIFY_SIGN_KEYS", "SIGN_KEY"),
        ("AVEVERIFY_FAILCLOSED", "FAIL_CLOSED"),
        ("AVEVERIFY_APPLICATIONID", "APPLICATION_ID"),
        ("AVEVERFIY_SCOPE", "SCOPE"),
        ("AVE_VERIFY_SIGN_KEY", "SIGN_KEY"),
    ],
)
def test_htp_043_a_misspelt_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, variable: str, meant: str
) -> None:
    expect_no_server(monkeypatch)
    monkeypatch.setenv(variable, "admin")

    assert main(["serve", *PROVIDER]) == 2
    assert f"{variable} is unknown (did you mean AVEVERIFY_{meant}?)" in capsys.readouterr().err


def test_variables_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets these for a service of this name."""
    for name in ("PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_4180_TCP", "PORT_4180_TCP_ADDR", "FAST"):
        monkeypatch.setenv(f"AVEVERIFY_{name}", "tcp://10.0.0.1:4180")

    assert parse(*PROVIDER).port == 4180


def test_htp_043_a_service_without_providers_does_not_start(capsys: Output) -> None:
    for command in ("serve", "verify"):
        assert main([command, "--auth-config", '{"providers": []}']) == 2
        assert "providers is empty" in capsys.readouterr().err


def test_a_switch_that_is_neither_on_nor_off_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`AVEVERIFY_OPTIONAL=maybe` must not silently mean yes or no."""
    monkeypatch.setenv("AVEVERIFY_OPTIONAL", "maybe")

    with pytest.raises(UsageError, match="AVEVERIFY_OPTIONAL"):
        parse(*PROVIDER)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--bind", "127.0.0.1"], "--bind", id="no port"),
        pytest.param(["--bind", "127.0.0.1:http"], "--bind", id="a word"),
        pytest.param(["--bind", ":65536"], "--bind", id="above all ports"),
        pytest.param(["--admin-port", "-1"], "--admin-port", id="below all ports"),
        pytest.param(["--workers", "0"], "--workers", id="no worker"),
        pytest.param(["--workers", "257"], "--workers", id="too many workers"),
        pytest.param(["--identity", "--sign-key", "key"], "--identity", id="plain and signed"),
        pytest.param(["--redis-hmac-key", "key"], "--redis-url", id="a key without a Redis server"),
        pytest.param(["--sign-key", "/nowhere/key"], "--sign-key", id="no key file"),
    ],
)
def test_a_malformed_option_is_a_usage_error(options: list[str], message: str, capsys: Output) -> None:
    assert main(["serve", *PROVIDER, *options]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_provider_is_a_usage_error(capsys: Output) -> None:
    assert main(["serve", "--bind", "127.0.0.1:0"]) == 2
    assert "AVEVERIFY_ISSUER" in capsys.readouterr().err


def test_settings_show_no_secret(tmp_path: Path) -> None:
    """ERR-006."""
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)

    shown = repr(parse(*PROVIDER, "--sign-key", str(key), "--redis-url", "redis://:secret@127.0.0.1"))

    assert "secret" not in shown
    assert KEY_TEXT.decode() not in shown


@pytest.mark.parametrize(
    ("package", "options", "extra"),
    [
        pytest.param("uvicorn", [], "aveverify[serve]", id="serve"),
        pytest.param("redis", ["--redis-url", "redis://127.0.0.1"], "aveverify[redis]", id="redis"),
    ],
)
def test_a_missing_extra_is_named(
    package: str, options: list[str], extra: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    without(package, monkeypatch)

    assert main(["serve", *PROVIDER, *options]) == 2
    assert extra in capsys.readouterr().err


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide an installed package from `find_spec`."""
    found = importlib.util.find_spec

    def find_spec(name: str) -> object:
        return None if name == package else found(name)

    monkeypatch.setattr("aveverify.cli.serve.command.find_spec", find_spec)
    monkeypatch.setattr("aveverify.cli.serve.application.find_spec", find_spec)


def test_missing_metrics_are_logged_and_are_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without("prometheus_client", monkeypatch)
    settings = parse(*PROVIDER, "--admin-port", "same")

    with open_verifier(settings) as verifier, TestClient(make_service(settings, verifier)) as client:
        assert client.get("/metrics").status_code == 404
        assert client.get("/healthz").status_code == 200
        assert client.get("/auth").status_code == 401

    assert "aveverify[prometheus]" in caplog.text


def test_a_shared_document_store_without_a_key_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)
    address = ("--redis-url", f"redis://127.0.0.1:{free_port()}")

    open_verifier(parse(*PROVIDER, *address, "--redis-hmac-key", str(key))).close()
    assert caplog.records == []

    open_verifier(parse(*PROVIDER, *address)).close()
    assert "no --redis-hmac-key" in caplog.text


def test_an_unreadable_redis_address_is_not_repeated(capsys: Output) -> None:
    """ERR-002: it may hold a password."""
    assert main(["serve", *PROVIDER, "--redis-url", "http://:secret@127.0.0.1"]) == 2

    error = capsys.readouterr().err
    assert "redis://" in error
    assert "secret" not in error


def test_cfg_014_the_redis_url_of_the_service_cannot_switch_checks_off(capsys: Output) -> None:
    url = "rediss://:hidden@127.0.0.1/0?ssl_cert_reqs=none"
    assert main(["serve", *PROVIDER, "--redis-url", url]) == 2

    error = capsys.readouterr().err
    assert "'ssl_cert_reqs'" in error
    assert "ssl_ca_certs=FILE" in error
    assert "hidden" not in error


@pytest.mark.parametrize("text", [b"32 random bytes or more, shared!\n", b"00" * 32, bytes(32), b"changeme" * 6])
@pytest.mark.parametrize("option", ["--sign-key", "--redis-hmac-key"])
def test_cfg_015_a_key_file_that_can_be_guessed_stops_the_start(
    option: str, text: bytes, live_issuer: FakeIssuer, tmp_path: Path, capsys: Output
) -> None:
    key = tmp_path / "key"
    key.write_bytes(text)
    options = ["--bind", "127.0.0.1:0", "--admin-port", "off", "--redis-url", f"redis://127.0.0.1:{free_port()}"]

    assert main(["serve", *provider_options(live_issuer), *options, option, str(key)]) == 2

    assert "openssl rand -base64 48" in capsys.readouterr().err


@pytest.mark.parametrize("text", [b"short", b"changeme" * 6])
@pytest.mark.parametrize("option", ["--sign-key", "--redis-hmac-key"])
def test_cfg_015_a_key_that_is_no_secret_is_refused_by_the_name_of_its_option(
    option: str, text: bytes, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(text)

    with pytest.raises(ConfigurationError, match=f"the key of {option}.*openssl rand -base64 48"):
        parse(*PROVIDER, "--redis-url", "redis://127.0.0.1", option, str(key))


def test_an_audience_without_a_key_to_sign_with_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--sign-audience goes with --sign-key"):
        parse(*PROVIDER, "--sign-audience", "billing")


def test_a_port_in_use_is_a_usage_error(live_issuer: FakeIssuer, capsys: Output) -> None:
    with socket.create_server(("127.0.0.1", 0)) as in_use:
        code = main(["serve", *provider_options(live_issuer), "--bind", f"127.0.0.1:{in_use.getsockname()[1]}"])

    assert code == 2
    assert "cannot listen" in capsys.readouterr().err


def test_fail_closed_does_not_start_without_keys(capsys: Output) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}"

    code = main(["serve", "--issuer", unreachable, "--application-id", "app_test", "--fail-closed", "--bind", ":0"])

    assert code == 3
    assert "KEYS_UNAVAILABLE" in capsys.readouterr().err


# --- the running service ----------------------------------------------------------------------------------------------


@contextmanager
def harmless_stop_signals() -> Iterator[None]:
    """Keep a late SIGTERM or SIGINT of a test from ending the test run."""
    previous = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def serve_while(options: list[str], visit: Callable[[list[int]], None]) -> str:
    """Run the command in the main thread of this process, on free ports, and stop it by a signal after the visit.

    Args:
        options: Those of the command, but for `--bind`.
        visit: Sends requests; runs in another thread, with the ports that the command has printed.

    Returns:
        What the command has printed.
    """
    output = WatchedOutput("aveverify serves")
    has_ended = threading.Event()

    def visit_and_stop() -> None:
        while not output.printed.wait(0.05):
            if has_ended.is_set():
                return
        try:
            visit([int(port) for port in re.findall(r":(\d+)/", output.getvalue())])
        finally:
            if not has_ended.is_set():
                os.kill(os.getpid(), signal.SIGTERM)

    with harmless_stop_signals(), ThreadPoolExecutor(1) as pool, redirect_stdout(output):
        visiting = pool.submit(visit_and_stop)
        try:
            code = main(["serve", "--bind", "127.0.0.1:0", *options])
        finally:
            has_ended.set()
        visiting.result()
    assert code == 0
    return output.getvalue()


def get(port: int, path: str, token: str | None = None) -> httpx.Response:
    """Send a request, as soon as a server listens."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    end = time.monotonic() + 30
    while True:
        try:
            return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, trust_env=False, timeout=20)
        except httpx.ConnectError:
            assert time.monotonic() < end, "no server listens"
            time.sleep(0.02)


def test_a_service_that_ends_early_gets_no_signal(capsys: Output) -> None:
    """Of the tests' own helper: a visit that never begins must not end the test run."""
    with pytest.raises(AssertionError):
        serve_while(["--issuer", "nonsense", "--application-id", "app"], lambda _ports: pytest.fail("no visit"))

    assert "issuer" in capsys.readouterr().err


def test_two_ports_have_two_applications(live_issuer: FakeIssuer) -> None:
    token = live_issuer.token(sub="ada")
    used: list[int] = []

    def visit(ports: list[int]) -> None:
        used[:] = port, admin = ports
        assert get(port, "/auth", token).headers["X-Ave-Subject"] == "ada"
        assert get(admin, "/readyz").status_code == 200
        assert 'outcome="accepted",status="200"} 1.0' in get(admin, "/metrics").text
        assert {get(port, path).status_code for path in ("/healthz", "/readyz", "/metrics")} == {404}
        assert get(admin, "/auth", token).status_code == 404

    printed = serve_while([*provider_options(live_issuer), "--admin-port", "0", "--fail-closed"], visit)
    port, admin = used
    assert printed == (
        f"aveverify serves auth at http://127.0.0.1:{port}/auth, health at http://127.0.0.1:{admin}/healthz\n"
    )


def test_one_port_may_have_both(live_issuer: FakeIssuer, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)

    def visit(ports: list[int]) -> None:
        port = ports[0]
        assert ports == [port, port]
        assert get(port, "/healthz").status_code == 200
        assert get(port, "/auth", live_issuer.token()).headers["X-Ave-Identity"].count(".") == 2

    serve_while([*provider_options(live_issuer), "--admin-port", "same", "--sign-key", str(key)], visit)


def test_health_may_be_off(live_issuer: FakeIssuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aveverify.serve")

    def visit(ports: list[int]) -> None:
        (port,) = ports
        assert get(port, "/auth?access_token=secret").status_code == 200
        assert get(port, "/healthz").status_code == 404

    options = ["--admin-port", "off", "--optional", "--access-log", "--identity"]
    assert "health" not in serve_while([*provider_options(live_issuer), *options], visit)
    messages = [record.getMessage() for record in caplog.records if record.name == "aveverify.serve"]
    assert messages == ["200 anonymous"]
    assert "secret" not in caplog.text


def test_workers_serve_one_port_and_count_together(live_issuer: FakeIssuer, tmp_path: Path) -> None:
    """ERR-005: each has keys of its own, and `/metrics` sums the requests of all."""
    port, admin = free_port(), free_port()
    options = ["--bind", f"127.0.0.1:{port}", "--admin-port", str(admin), "--workers", "2", "--warm-up"]
    command = python("aveverify", "serve", *provider_options(live_issuer), *options)

    with running(command, tmp_path / "log") as serve:
        serve.wait_for_text("Application startup complete", times=2)
        for _ in range(12):
            assert get(port, "/auth", live_issuer.token()).status_code == 200
        assert 'outcome="accepted",status="200"} 12.0' in get(admin, "/metrics").text
        serve.process.send_signal(signal.SIGTERM)
        assert serve.process.wait(30) == 0

    assert live_issuer.jwks_requests == 3
    assert "Traceback" not in serve.output


def test_services_of_a_fleet_make_one_fetch_together(live_issuer: FakeIssuer, tmp_path: Path) -> None:
    """Through a real Redis server, authenticated with a key that all of them have."""
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)
    with run_redis() as redis, ExitStack() as stack:
        for number in range(3):
            port = free_port()
            options = ["--bind", f"127.0.0.1:{port}", "--admin-port", "off"]
            options += ["--redis-url", redis.url, "--redis-hmac-key", str(key)]
            command = python("aveverify", "serve", *provider_options(live_issuer), *options)
            stack.enter_context(running(command, tmp_path / str(number))).wait_for_port(port)
            assert get(port, "/auth", live_issuer.token()).status_code == 200

    assert (live_issuer.discovery_requests, live_issuer.jwks_requests) == (1, 1)


def test_the_folder_for_counters_exists_while_workers_serve(
    live_issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

    def visit(ports: list[int]) -> None:
        assert get(ports[0], "/auth").status_code == 200
        assert "PROMETHEUS_MULTIPROC_DIR" in os.environ

    serve_while([*provider_options(live_issuer), *TWO_WORKERS], visit)
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_a_folder_for_counters_that_the_operator_chose_is_kept(
    live_issuer: FakeIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    def visit(ports: list[int]) -> None:
        assert get(ports[0], "/auth").status_code == 200

    serve_while([*provider_options(live_issuer), *TWO_WORKERS], visit)
    assert list(tmp_path.glob("*.db")) != []


def test_workers_stop_when_their_parent_is_killed(live_issuer: FakeIssuer, tmp_path: Path) -> None:
    """Workers that went on would keep the port, so that the service could not be started again."""
    port = free_port()
    options = ["--bind", f"127.0.0.1:{port}", *TWO_WORKERS]
    command = python("aveverify", "serve", *provider_options(live_issuer), *options)

    with running(command, tmp_path / "log") as serve:
        serve.wait_for_text("Application startup complete", times=2)
        serve.process.kill()
        serve.process.wait()
        wait_until_free(port)

    assert "the parent process has died" in serve.output
    assert "Traceback" not in serve.output


def wait_until_free(port: int) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < end, "the port is still in use"
            time.sleep(0.05)
        else:
            return


def test_a_worker_without_a_parent_sends_itself_sigterm(caplog: pytest.LogCaptureFixture) -> None:
    parent, writing_end = multiprocessing.Pipe(duplex=False)

    def serve(_sockets: list[socket.socket]) -> None:
        writing_end.close()
        assert stopped.poll(10)

    with catch_stop_signals() as stopped, parent:
        run_worker(serve, [], parent)

    assert "the parent process has died" in caplog.text


def note_and_end(sockets: list[socket.socket]) -> None:
    """A worker that connects once, and dies."""
    with socket.create_connection(sockets[0].getsockname(), timeout=20):
        pass
    os._exit(7)


class WatchedStop:
    """The connection of `catch_stop_signals`, which notes each pause instead of waiting."""

    def __init__(self, stopped: Connection) -> None:
        self._stopped = stopped
        self.pauses_seconds: list[float] = []

    def fileno(self) -> int:
        return self._stopped.fileno()

    def poll(self, seconds: float) -> bool:
        self.pauses_seconds.append(seconds)
        return self._stopped.poll(0)


def test_a_worker_that_dies_is_replaced_after_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    """Without the pause, a worker that fails at its start would be started as fast as the machine can."""

    def pauses_before_second_start() -> list[float]:
        try:
            for _ in range(2):
                listener.accept()[0].close()
            return watched.pauses_seconds[:]
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        harmless_stop_signals(),
        catch_stop_signals() as stopped,
        ThreadPoolExecutor(1) as pool,
    ):
        watched = WatchedStop(stopped)
        listener.settimeout(30)
        pauses = pool.submit(pauses_before_second_start)
        run_workers(note_and_end, [listener], 1, cast("Connection", watched))

    assert pauses.result()[0] == RESTART_PAUSE_SECONDS >= 1
    assert "(code 7)" in caplog.text


def test_a_worker_serves_until_sigint(live_issuer: FakeIssuer) -> None:
    """Run in this process, for its coverage; a terminal sends SIGINT to every worker."""
    settings = parse(*provider_options(live_issuer), "--admin-port", "same")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def visit() -> None:
            try:
                assert json.loads(get(port, "/readyz").text)["is_ready"] is False
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        with harmless_stop_signals(), ThreadPoolExecutor(1) as pool:
            visiting = pool.submit(visit)
            serve_as_worker(settings, [listener])
            visiting.result()
