"""`aveverify demo`: the tour runs over real HTTP, and finds every response that differs from the expected one."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from aveverify.cli import main
from aveverify.cli.demo.exchanges import EXCHANGES
from tests.cli.streams import WatchedOutput

Output = pytest.CaptureFixture[str]


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("aveverify-")]


def test_every_response_is_as_expected(capsys: Output) -> None:
    assert main(["demo"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "\x1b" not in printed.out
    for exchange in EXCHANGES:
        assert exchange.title in printed.out
    for line in (
        "  response     200 OK",
        "  challenge    Bearer",
        "  reason       EXPIRED (OIDC-19): the token has expired (exp)",
        "  hint         this is Ave's access_token_jwt; send the id_token",
        "  response     503 Service Unavailable",
        "All 10 responses are as expected.",
    ):
        assert line in printed.out.splitlines()


def test_it_prints_no_token_and_leaves_nothing_behind(capsys: Output) -> None:
    assert main(["demo"]) == 0
    assert "eyJ" not in capsys.readouterr().out
    assert our_threads() == []


def test_the_tour_shows_every_kind_of_answer() -> None:
    assert {exchange.status for exchange in EXCHANGES} == {200, 401, 503}


def _with_header(response: httpx.Response, name: str, value: str | None) -> httpx.Response:
    headers = {key: text for key, text in response.headers.items() if key != name}
    return httpx.Response(
        response.status_code, headers=headers | ({name: value} if value else {}), content=response.content
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(
            lambda response: httpx.Response(418, headers=response.headers, content=response.content),
            "A good id_token: status should be 200, is 418",
            id="status",
        ),
        pytest.param(
            lambda response: _with_header(response, "www-authenticate", None),
            "No token: challenge should be 'Bearer', is None",
            id="challenge",
        ),
        pytest.param(
            lambda response: _with_header(response, "retry-after", None),
            "too old: Retry-After should be True, is False",
            id="retry-after",
        ),
        pytest.param(
            lambda response: httpx.Response(
                response.status_code, headers=response.headers, content=b'{"subject":"x"}   '
            ),
            "A good id_token: identity should be",
            id="identity",
        ),
    ],
)
def test_a_changed_answer_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, change: Callable[[httpx.Response], httpx.Response], named: str
) -> None:
    get = httpx.Client.get

    def get_changed(client: httpx.Client, url: str, headers: dict[str, str]) -> httpx.Response:
        return change(get(client, url, headers=headers))

    monkeypatch.setattr(httpx.Client, "get", get_changed)
    assert main(["demo"]) == 1
    assert named in capsys.readouterr().out.rpartition("not as expected:\n")[2]


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_its_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["demo"]) == 2
    assert capsys.readouterr() == ("", f'aveverify: the demo needs {package}: pip install "aveverify[demo]"\n')


@pytest.fixture
def _sigint_interrupts() -> Iterator[None]:
    """Ctrl-C interrupts, also where the shell runs the tests in the background and ignores SIGINT."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("_sigint_interrupts")
def test_it_keeps_serving_until_ctrl_c() -> None:
    """The printed curl lines work; then the user types Ctrl-C."""
    output = WatchedOutput("Ctrl-C stops both.")

    def try_the_lines() -> dict[str, int]:
        try:
            assert output.printed.wait(30)
            return dict(map(run_curl, (line for line in output.getvalue().splitlines() if "curl" in line)))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as pool, contextlib.redirect_stdout(output):
        future = pool.submit(try_the_lines)
        assert main(["demo", "--serve"]) == 0
    assert future.result() == {"accepted": 200, "refused": 401, "no token": 401, "issuer": 200}
    assert "log  refused: EXPIRED" in output.getvalue()
    assert output.getvalue().endswith("\nstopped\n")
    assert our_threads() == []


def run_curl(line: str) -> tuple[str, int]:
    """Send the request of a curl line; return its name and the status."""
    name, _, command = line.partition("curl ")
    *options, url = shlex.split(command)
    headers = dict(text.split(": ", 1) for text in options if ": " in text)
    return name.strip(), httpx.get(url, headers=headers, trust_env=False).status_code
