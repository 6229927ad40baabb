"""`aveverify serve`: options, environment, ports, workers, an orderly end and its exit codes."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import socket
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from aveverify import ConfigurationError
from aveverify.cli import _make_parser, main
from aveverify.cli.serve.application import make_service, open_verifier
from aveverify.cli.serve.command import _read_environment
from aveverify.cli.serve.settings import Settings, read_settings
from aveverify.cli.serve.workers import run_workers, until_stopped
from aveverify.cli.terminal import UsageError
from aveverify.clock import SystemClock
from aveverify.testing import FakeIssuer
from tests.hmac_keys import KEY_FILE, KEY_TEXT
from tests.processes import free_port, python, running
from tests.servers.fleet.servers import run_redis

TRUST = ("--issuer", "https://issuer.test", "--application-id", "app_test")
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
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
    return read_settings(arguments)


def trust(issuer: FakeIssuer) -> tuple[str, ...]:
    return ("--issuer", issuer.issuer, "--application-id", issuer.application_id)


# --- settings -------------------------------------------------------------------------------------------------------


def test_without_options_it_serves_this_machine_alone() -> None:
    settings = parse(*TRUST)

    assert (settings.host, settings.port, settings.admin_port, settings.workers) == ("127.0.0.1", 4180, 4181, 1)
    assert (settings.required, settings.writes_identity, settings.sign_key) == (True, False, None)


def test_every_option_can_be_given_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)
    by_option = parse(
        *TRUST, "--optional", "--scope", "read", "--scope", "write", "--realm", "here", "--resource-metadata",
        "https://api.test/meta", "--sign-key", str(key), "--sign-audience", "billing", "--bind", "[::1]:5000",
        "--admin-port", "same", "--workers", "3", "--warm-up", "--fail-closed", "--redis-url", "redis://127.0.0.1",
        "--redis-hmac-key", str(key), "--access-log",
    )  # fmt: skip
    variables = {
        "OPTIONAL": "1", "SCOPE": "read write", "REALM": "here", "RESOURCE_METADATA": "https://api.test/meta",
        "SIGN_KEY": str(key), "SIGN_AUDIENCE": "billing", "BIND": "[::1]:5000", "ADMIN_PORT": "same", "WORKERS": "3",
        "WARM_UP": "yes", "FAIL_CLOSED": "true", "REDIS_URL": "redis://127.0.0.1", "REDIS_HMAC_KEY": str(key),
        "ACCESS_LOG": "on",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(f"AVEVERIFY_{name}", value)

    by_environment = parse(*TRUST)

    assert {**vars(by_environment), "trust": None} == {**vars(by_option), "trust": None}
    assert by_option.sign_key == KEY_TEXT
    assert by_option.host == "::1"


def test_an_option_outweighs_the_environment_and_a_place_without_a_value_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AVEVERIFY_REALM", "there")
    monkeypatch.setenv("AVEVERIFY_WORKERS", "")
    monkeypatch.setenv("AVEVERIFY_OPTIONAL", "0")

    settings = parse(*TRUST, "--realm", "here")

    assert (settings.realm, settings.workers, settings.required) == ("here", 1, True)


VARIABLES = [
    "SCOPE", "REALM", "RESOURCE_METADATA", "SIGN_KEY", "SIGN_AUDIENCE", "REDIS_URL", "REDIS_HMAC_KEY", "OPTIONAL",
    "IDENTITY", "WARM_UP", "FAIL_CLOSED", "ACCESS_LOG",
]  # fmt: skip


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", ["", " ", "\n", "\t \n"], ids=repr)
def test_cfg_013_a_variable_without_a_value_never_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, name: str, value: str
) -> None:
    """A deployment that lost its scope must not let everyone in."""
    monkeypatch.setenv(f"AVEVERIFY_{name}", value)

    assert main(["serve", *TRUST]) == 2
    assert f"AVEVERIFY_{name} is empty" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["AUTH_CONFIG", "ISSUER", "APPLICATION_ID"])
@pytest.mark.parametrize("command", ["serve", "verify"])
@pytest.mark.parametrize("value", ["", " "], ids=repr)
def test_cfg_013_so_it_is_with_what_names_the_provider(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, command: str, name: str, value: str
) -> None:
    variables = {"ISSUER": "https://issuer.test", "APPLICATION_ID": "app_test", name: value}
    for one, text in variables.items():
        monkeypatch.setenv(f"AVEVERIFY_{one}", text)

    assert main([command]) == 2
    assert f"AVEVERIFY_{name} is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    ["--scope", "--realm", "--resource-metadata", "--sign-key", "--sign-audience", "--redis-url", "--redis-hmac-key",
     "--bind", "--admin-port", "--workers", "--issuer", "--application-id"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["", " ", "\n"], ids=repr)
def test_cfg_013_an_option_without_a_value_is_refused(capsys: Output, option: str, value: str) -> None:
    """`--scope "$SCOPE"`, where the variable of the shell is not set."""
    further = ["--redis-url", "redis://127.0.0.1"] if option == "--redis-hmac-key" else []

    assert main(["serve", *TRUST, *further, option, value]) == 2
    assert f"{option} is empty" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--auth-config", ""], ["--issuer", "", "--application-id", "app"]], ids=repr)
@pytest.mark.parametrize("command", ["serve", "verify"])
def test_cfg_013_so_it_is_with_the_options_of_every_command(capsys: Output, command: str, options: list[str]) -> None:
    assert main([command, *options]) == 2
    assert f"{options[0]} is empty" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--sign-key", "--redis-hmac-key"])
@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t"], ids=repr)
def test_cfg_013_the_file_of_a_key_is_not_empty(capsys: Output, tmp_path: Path, option: str, content: bytes) -> None:
    key = tmp_path / "key"
    key.write_bytes(content)

    assert main(["serve", *TRUST, "--redis-url", "redis://127.0.0.1", option, str(key)]) == 2
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
    monkeypatch.setenv(variable, "admin")

    assert main(["serve", *TRUST]) == 2
    assert f"{variable} is unknown (did you mean AVEVERIFY_{meant}?)" in capsys.readouterr().err


def test_variables_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes makes these for a service of this name."""
    for name in ("PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_4180_TCP", "PORT_4180_TCP_ADDR", "FAST"):
        monkeypatch.setenv(f"AVEVERIFY_{name}", "tcp://10.0.0.1:4180")

    assert parse(*TRUST).port == 4180


def test_htp_043_a_service_without_providers_does_not_start(capsys: Output) -> None:
    for command in ("serve", "verify"):
        assert main([command, "--auth-config", '{"providers": []}']) == 2
        assert "providers is empty" in capsys.readouterr().err


def test_a_switch_that_is_neither_on_nor_off_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes `AVEVERIFY_OPTIONAL=maybe` must not find out by who comes in."""
    monkeypatch.setenv("AVEVERIFY_OPTIONAL", "maybe")

    with pytest.raises(UsageError, match="AVEVERIFY_OPTIONAL"):
        parse(*TRUST)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--bind", "127.0.0.1"], "--bind", id="no port"),
        pytest.param(["--bind", "127.0.0.1:http"], "--bind", id="a word"),
        pytest.param(["--bind", ":65536"], "--bind", id="beyond all ports"),
        pytest.param(["--admin-port", "-1"], "--admin-port", id="below all ports"),
        pytest.param(["--workers", "0"], "--workers", id="no worker"),
        pytest.param(["--workers", "257"], "--workers", id="a crowd"),
        pytest.param(["--identity", "--sign-key", "key"], "--identity", id="plain and signed"),
        pytest.param(["--redis-hmac-key", "key"], "--redis-url", id="a key for nothing"),
        pytest.param(["--sign-key", "/nowhere/key"], "--sign-key", id="no key file"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error(options: list[str], message: str, capsys: Output) -> None:
    assert main(["serve", *TRUST, *options]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_trust_is_a_usage_error(capsys: Output) -> None:
    assert main(["serve", "--bind", "127.0.0.1:0"]) == 2
    assert "AVEVERIFY_ISSUER" in capsys.readouterr().err


def test_settings_show_no_secret(tmp_path: Path) -> None:
    """ERR-006."""
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)

    shown = repr(parse(*TRUST, "--sign-key", str(key), "--redis-url", "redis://:secret@127.0.0.1"))

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

    assert main(["serve", *TRUST, *options]) == 2
    assert extra in capsys.readouterr().err


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide a package from whoever looks for it."""
    found = importlib.util.find_spec

    def find_spec(name: str, *rest: Any) -> Any:  # noqa: ANN401 - importlib's
        return None if name == package else found(name, *rest)

    monkeypatch.setattr("aveverify.cli.serve.command.find_spec", find_spec)
    monkeypatch.setattr("aveverify.cli.serve.application.find_spec", find_spec)


def test_missing_metrics_are_told_and_are_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without("prometheus_client", monkeypatch)
    settings = parse(*TRUST, "--admin-port", "same")

    with open_verifier(settings) as verifier, service_client(make_service(settings, verifier)) as client:
        assert client.get("/metrics").status_code == 404
        assert client.get("/healthz").status_code == 200
        assert client.get("/auth").status_code == 401

    assert "aveverify[prometheus]" in caplog.text


def service_client(app: Any) -> Any:  # noqa: ANN401 - any application
    from starlette.testclient import TestClient  # noqa: PLC0415 - used here alone

    return TestClient(app)


def test_a_fleet_shares_its_documents_under_a_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)
    address = ("--redis-url", f"redis://127.0.0.1:{free_port()}")

    open_verifier(parse(*TRUST, *address, "--redis-hmac-key", str(key))).close()
    assert caplog.records == []

    open_verifier(parse(*TRUST, *address)).close()
    assert "no --redis-hmac-key" in caplog.text


def test_an_unreadable_redis_address_is_not_repeated(capsys: Output) -> None:
    """ERR-002: it may hold a password."""
    assert main(["serve", *TRUST, "--redis-url", "http://:secret@127.0.0.1"]) == 2

    error = capsys.readouterr().err
    assert "redis://" in error
    assert "secret" not in error


def test_cfg_014_the_redis_url_of_the_service_cannot_switch_checks_off(capsys: Output) -> None:
    url = "rediss://:hidden@127.0.0.1/0?ssl_cert_reqs=none"
    assert main(["serve", *TRUST, "--redis-url", url]) == 2

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

    assert main(["serve", *trust(live_issuer), *options, option, str(key)]) == 2

    assert "openssl rand -base64 48" in capsys.readouterr().err


@pytest.mark.parametrize("text", [b"short", b"changeme" * 6])
@pytest.mark.parametrize("option", ["--sign-key", "--redis-hmac-key"])
def test_cfg_015_a_key_that_is_no_secret_is_refused_by_the_name_of_its_option(
    option: str, text: bytes, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(text)

    with pytest.raises(ConfigurationError, match=f"the key of {option}.*openssl rand -base64 48"):
        parse(*TRUST, "--redis-url", "redis://127.0.0.1", option, str(key))


def test_an_audience_without_a_key_to_sign_with_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--sign-audience goes with --sign-key"):
        parse(*TRUST, "--sign-audience", "billing")


def test_a_port_that_is_taken_is_a_usage_error(live_issuer: FakeIssuer, capsys: Output) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code = main(["serve", *trust(live_issuer), "--bind", f"127.0.0.1:{taken.getsockname()[1]}"])

    assert code == 2
    assert "cannot listen" in capsys.readouterr().err


def test_fail_closed_does_not_start_without_keys(capsys: Output) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"

    code = main(["serve", "--issuer", nobody, "--application-id", "app_test", "--fail-closed", "--bind", ":0"])

    assert code == 3
    assert "KEYS_UNAVAILABLE" in capsys.readouterr().err


# --- at work --------------------------------------------------------------------------------------------------------


def serve_while(options: list[str], request_auth: Callable[[], None]) -> int:
    """Run the command in this process, as its main thread, and stop it by a signal when the visitor has gone."""
    failures: list[BaseException] = []

    def stroll() -> None:
        try:
            request_auth()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=stroll)
    visitor.start()
    code = main(["serve", *options])
    visitor.join()
    if failures:
        raise failures[0]
    return code


def get(port: int, path: str, token: str | None = None) -> httpx.Response:
    """Ask, as soon as somebody listens."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    end = time.monotonic() + 30
    while True:
        try:
            return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, trust_env=False, timeout=20)
        except httpx.ConnectError:
            assert time.monotonic() < end, "nobody listens"
            time.sleep(0.02)


def test_two_ports_have_two_applications(live_issuer: FakeIssuer, capsys: Output) -> None:
    port, admin = free_port(), free_port()
    token = live_issuer.token(sub="ada")

    def request_auth() -> None:
        assert get(port, "/auth", token).headers["X-Ave-Subject"] == "ada"
        assert get(admin, "/readyz").status_code == 200
        assert 'outcome="accepted",status="200"} 1.0' in get(admin, "/metrics").text
        assert {get(port, path).status_code for path in ("/healthz", "/readyz", "/metrics")} == {404}
        assert get(admin, "/auth", token).status_code == 404

    options = ["--bind", f"127.0.0.1:{port}", "--admin-port", str(admin), "--fail-closed"]
    assert serve_while([*trust(live_issuer), *options], request_auth) == 0
    assert capsys.readouterr().out == (
        f"aveverify serves auth at http://127.0.0.1:{port}/auth, health at http://127.0.0.1:{admin}/healthz\n"
    )


def test_one_port_may_have_both(live_issuer: FakeIssuer, tmp_path: Path) -> None:
    port = free_port()
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)

    def request_auth() -> None:
        assert get(port, "/healthz").status_code == 200
        assert get(port, "/auth", live_issuer.token()).headers["X-Ave-Identity"].count(".") == 2

    options = ["--bind", f"127.0.0.1:{port}", "--admin-port", "same", "--sign-key", str(key)]
    assert serve_while([*trust(live_issuer), *options], request_auth) == 0


def test_health_may_be_nowhere(live_issuer: FakeIssuer, capsys: Output, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    caplog.set_level(logging.INFO, "aveverify.serve")

    def request_auth() -> None:
        assert get(port, "/auth?access_token=secret").status_code == 200
        assert get(port, "/healthz").status_code == 404

    options = ["--bind", f"127.0.0.1:{port}", "--admin-port", "off", "--optional", "--access-log", "--identity"]
    assert serve_while([*trust(live_issuer), *options], request_auth) == 0
    assert "health" not in capsys.readouterr().out
    messages = [record.getMessage() for record in caplog.records if record.name == "aveverify.serve"]
    assert messages == ["200 anonymous"]
    assert "secret" not in caplog.text


def test_workers_serve_one_port_and_count_together(live_issuer: FakeIssuer, tmp_path: Path) -> None:
    """ERR-005: each has keys of its own, and `/metrics` sums up whom they served."""
    port, admin = free_port(), free_port()
    options = ["--bind", f"127.0.0.1:{port}", "--admin-port", str(admin), "--workers", "2", "--warm-up"]
    command = python("aveverify", "serve", *trust(live_issuer), *options)

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
    """Through a real Redis, sealed with a key of all."""
    key = tmp_path / "key"
    key.write_bytes(KEY_FILE)
    with run_redis() as redis, ExitStack() as stack:
        for number in range(3):
            port = free_port()
            options = ["--bind", f"127.0.0.1:{port}", "--admin-port", "off"]
            options += ["--redis-url", redis.url, "--redis-hmac-key", str(key)]
            command = python("aveverify", "serve", *trust(live_issuer), *options)
            stack.enter_context(running(command, tmp_path / str(number))).wait_for_port(port)
            assert get(port, "/auth", live_issuer.token()).status_code == 200

    assert (live_issuer.discovery_requests, live_issuer.jwks_requests) == (1, 1)


def test_workers_are_started_and_ended_from_here(live_issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    port = free_port()
    options = ["--bind", f"127.0.0.1:{port}", "--admin-port", "off", "--workers", "2", "--optional"]

    def request_auth() -> None:
        assert get(port, "/auth").status_code == 200
        assert "PROMETHEUS_MULTIPROC_DIR" in os.environ

    assert serve_while([*trust(live_issuer), *options], request_auth) == 0
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_a_folder_for_counts_that_the_operator_chose_stays(
    live_issuer: FakeIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    port = free_port()
    options = ["--bind", f"127.0.0.1:{port}", "--admin-port", "off", "--workers", "2", "--optional"]

    assert serve_while([*trust(live_issuer), *options], lambda: assert_ok(get(port, "/auth"))) == 0
    assert list(tmp_path.glob("*.db")) != []


def assert_ok(answer: httpx.Response) -> None:
    assert answer.status_code == 200


def note_and_end(sockets: list[socket.socket]) -> None:
    """A worker that tells that it lives, and dies."""
    with socket.create_connection(sockets[0].getsockname(), timeout=20):
        pass
    os._exit(7)


def test_a_worker_that_dies_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, until_stopped() as stopped:
        births = 0

        def count() -> None:
            listener.settimeout(30)
            nonlocal births
            while births < 2:
                listener.accept()[0].close()
                births += 1
            os.kill(os.getpid(), signal.SIGTERM)

        midwife = threading.Thread(target=count)
        midwife.start()
        run_workers(note_and_end, [listener], 1, stopped)
        midwife.join()

    assert births == 2
    assert "(code 7)" in caplog.text


def test_a_worker_serves_until_it_is_told_to_stop(live_issuer: FakeIssuer) -> None:
    """In this process, where it can be watched; SIGINT, which a terminal sends to all of them."""
    from aveverify.cli.serve.server import serve_as_worker  # noqa: PLC0415 - used here alone

    settings = parse(*trust(live_issuer), "--admin-port", "same")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def request_auth() -> None:
            assert json.loads(get(port, "/readyz").text)["is_ready"] is False
            os.kill(os.getpid(), signal.SIGINT)

        visitor = threading.Thread(target=request_auth)
        visitor.start()
        serve_as_worker(settings, [listener])
        visitor.join()
