"""What all commands share: help, usage, streams and exit codes."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import subprocess
import sys

import pytest

import aveverify
from aveverify.cli import main
from aveverify.cli.terminal import Colour, hide_tokens, paint
from tests.cli.streams import InterruptedKeyboard, Terminal

HERE = ["--issuer", "https://issuer.test", "--application-id", "app"]


def test_the_command_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["aveverify", "verify", *HERE, "no token"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("aveverify", run_name="__main__")
    assert stopped.value.code == 1
    assert "MALFORMED_TOKEN" in capsys.readouterr().out


def test_the_command_runs_in_a_process_of_its_own() -> None:
    completed = subprocess.run(
        [sys.executable, "-W", "error", "-m", "aveverify", "verify", *HERE],
        input="no token",
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (completed.returncode, completed.stderr) == (1, "")
    assert completed.stdout.startswith("refused: MALFORMED_TOKEN\n")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"aveverify {aveverify.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["sing"], ["verify", "--leeway-seconds", "long"], ["verify", "a", "--file", "b"]], ids=" ".join
)
def test_usage_errors_are_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: aveverify")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["eyJhbGciOiJub25lIn0.eyJhIjoxfQ."], id="in the place of the command"),
        pytest.param(["verify", "a.b.c", "eyJhbGciOiJub25lIn0.eyJhIjoxfQ."], id="a second one"),
        pytest.param(["verify", "--leeway-seconds", "eyJhbGciOiJub25lIn0.eyJhIjoxfQ."], id="in the place of a number"),
        pytest.param(["verify", "--file", "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", *HERE], id="in the place of a file"),
        pytest.param(["verify", "--auth-config", "eyJhbGciOiJub25lIn0.eyJhIjoxfQ."], id="in the place of a config"),
    ],
)
def test_a_misplaced_token_is_not_printed_either(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        assert main(arguments) == 2
    printed = capsys.readouterr()
    assert "eyJ" not in printed.out + printed.err
    assert printed.err


def test_texts_without_tokens_stay_as_they_are() -> None:
    assert hide_tokens("cannot read key.json") == "cannot read key.json"


def test_ctrl_c_is_130_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(InterruptedKeyboard()))
    assert main(["verify", *HERE]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_closed_output_is_141_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="ascii") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert main(["verify", *HERE, "no token"]) == 141


def test_a_terminal_without_a_character_gets_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding="ascii"))
    assert (
        main(["verify", *HERE, "eyJpc3MiOiJ4In0.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiYXVkIjoib3JpZ2luOnkifQ.x"]) == 1
    )
    assert rb"origin:\u2026" in data.getvalue()


def test_only_a_terminal_without_no_color_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert paint("text", Colour.RED) == "text"
    with contextlib.redirect_stdout(Terminal()):
        assert paint("text", Colour.RED) == "\x1b[31mtext\x1b[0m"
        monkeypatch.setenv("NO_COLOR", "1")
        assert paint("text", Colour.RED) == "text"
