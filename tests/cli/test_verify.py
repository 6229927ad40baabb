"""`aveverify verify`: one token in, one result out, over real HTTP on this machine."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aveverify import SystemClock
from aveverify.cli import main
from aveverify.testing import FakeIssuer
from tests.cli.streams import EndlessInput, Keyboard

Output = pytest.CaptureFixture[str]
Type = Callable[[bytes], None]


@pytest.fixture(scope="module")
def issuer() -> Iterator[FakeIssuer]:
    """An issuer on a port of this machine, with the machine's clock, which is the command's."""
    issuer = FakeIssuer(algorithms=("EdDSA",), clock=SystemClock())
    with issuer.serve():
        yield issuer


@pytest.fixture
def provider_options(issuer: FakeIssuer) -> list[str]:
    return ["--issuer", issuer.issuer, "--application-id", "app_test"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH_CONFIG", "ISSUER", "APPLICATION_ID"):
        monkeypatch.delenv(f"AVEVERIFY_{name}", raising=False)


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Give the command these bytes as standard input."""
    return lambda data: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def result(output: Output) -> dict[str, Any]:
    """The one JSON object that was printed."""
    printed = output.readouterr()
    assert printed.err == ""
    members: dict[str, Any] = json.loads(printed.out)
    return members


class TestSources:
    def test_the_argument(self, issuer: FakeIssuer, provider_options: list[str], capsys: Output) -> None:
        assert main(["verify", *provider_options, "--json", issuer.token(sub="ada")]) == 0
        assert result(capsys)["identity"]["subject"] == "ada"

    @pytest.mark.parametrize("mark", [["-"], []], ids=["-", "nothing"])
    def test_standard_input_without_the_white_space_around_it(
        self, issuer: FakeIssuer, provider_options: list[str], capsys: Output, feed: Type, mark: list[str]
    ) -> None:
        feed(f" \n{issuer.token()}\r\n\n".encode())
        assert main(["verify", *provider_options, "--json", *mark]) == 0
        assert result(capsys)["verdict"] == "accepted"

    def test_a_file_without_the_white_space_around_it(
        self, issuer: FakeIssuer, provider_options: list[str], capsys: Output, tmp_path: Path
    ) -> None:
        file = tmp_path / "token.txt"
        file.write_text(f"{issuer.token()}\n")
        assert main(["verify", *provider_options, "--json", "--file", str(file)]) == 0
        assert result(capsys)["verdict"] == "accepted"

    def test_a_file_that_cannot_be_read_is_2(self, provider_options: list[str], capsys: Output, tmp_path: Path) -> None:
        assert main(["verify", *provider_options, "--file", str(tmp_path / "no-such-file")]) == 2
        assert "cannot be read" in capsys.readouterr().err

    def test_a_closed_standard_input_is_2(
        self, provider_options: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", None)
        assert main(["verify", *provider_options]) == 2
        assert "--file" in capsys.readouterr().err

    def test_at_a_terminal_the_command_asks_for_the_token(
        self, provider_options: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Keyboard(b"x")))
        assert main(["verify", *provider_options, "--json"]) == 1
        printed = capsys.readouterr()
        assert "Paste" in printed.err
        assert json.loads(printed.out)["reason"] == "MALFORMED_TOKEN"

    @pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"x" * 2_000_000], ids=["empty", "binary", "long"])
    def test_any_input_is_verified(self, provider_options: list[str], capsys: Output, feed: Type, data: bytes) -> None:
        feed(data)
        assert main(["verify", *provider_options, "--json"]) == 1
        assert result(capsys)["verdict"] == "refused"

    def test_an_endless_input_is_read_to_a_limit(
        self, provider_options: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(EndlessInput()))
        assert main(["verify", *provider_options, "--json"]) == 1
        assert result(capsys)["verdict"] == "refused"

    def test_the_help_warns_of_the_shells_history(self, capsys: Output) -> None:
        with pytest.raises(SystemExit) as stopped:
            main(["verify", "--help"])
        assert stopped.value.code == 0
        assert "history" in capsys.readouterr().out


class TestVerdicts:
    def test_an_accepted_token_gives_convexs_identity(
        self, issuer: FakeIssuer, provider_options: list[str], capsys: Output
    ) -> None:
        assert main(["verify", *provider_options, "--json", issuer.token(plan="pro", name="Zoë")]) == 0
        identity = {
            "tokenIdentifier": f"{issuer.issuer}|user_ada",
            "issuer": issuer.issuer,
            "subject": "user_ada",
            "name": "Zoë",
            "preferredUsername": "ada",
            "pictureUrl": "https://images.test/ada.png",
            "email": "ada@example.com",
            "plan": "pro",
        }
        assert result(capsys) == {"verdict": "accepted", "identity": identity}

    def test_an_accepted_token_for_people(
        self, issuer: FakeIssuer, provider_options: list[str], capsys: Output
    ) -> None:
        token = issuer.token()
        assert main(["verify", *provider_options, token]) == 0
        headline, _, identity = capsys.readouterr().out.partition("\n")
        assert headline == "accepted: getUserIdentity() gives"
        assert json.loads(identity)["subject"] == "user_ada"
        assert token not in identity

    def test_a_refused_token_says_why(self, issuer: FakeIssuer, provider_options: list[str], capsys: Output) -> None:
        assert main(["verify", *provider_options, "--json", issuer.forge("access_token")]) == 1
        assert result(capsys) == {
            "verdict": "refused",
            "reason": "AUDIENCE_MISMATCH",
            "rule": "SEL-01",
            "step": 2,
            "explanation": "no provider of this issuer is configured for this audience",
            "hint": "this is Ave's access_token_jwt; send the id_token",
            "convex_code": "NoAuthProvider",
        }

    def test_a_refused_token_for_people(self, issuer: FakeIssuer, provider_options: list[str], capsys: Output) -> None:
        token = issuer.forge("expired")
        assert main(["verify", *provider_options, token]) == 1
        printed = capsys.readouterr().out
        assert printed.splitlines()[:5] == [
            "refused: EXPIRED",
            "  explanation  the token has expired (exp)",
            "  rule         OIDC-19",
            "  step         6 of 6, check",
            "  convex code  Unauthenticated",
        ]
        assert token not in printed

    @pytest.mark.parametrize("flaw", FakeIssuer.FLAWS)
    def test_no_flaw_leads_to_a_traceback_or_shows_the_token(
        self, issuer: FakeIssuer, provider_options: list[str], capsys: Output, feed: Type, flaw: str
    ) -> None:
        token = issuer.forge(flaw)
        feed(token.encode())
        assert main(["verify", *provider_options]) == 1
        printed = capsys.readouterr()
        assert printed.err == ""
        assert printed.out.startswith(f"refused: {FakeIssuer.FLAWS[flaw]}\n")
        assert token not in printed.out

    def test_unavailable_keys_are_3(self, issuer: FakeIssuer, provider_options: list[str], capsys: Output) -> None:
        issuer.go_down()
        try:
            assert main(["verify", *provider_options, "--json", issuer.token()]) == 3
            members = result(capsys)
            assert main(["verify", *provider_options, issuer.token()]) == 3
        finally:
            issuer.come_up()
        assert (members["verdict"], members["reason"], members["step"]) == ("unavailable", "KEYS_UNAVAILABLE", 4)
        assert (members["convex_code"], members["retry_after_seconds"] >= 1) == ("AuthProviderDiscoveryFailed", True)
        printed = capsys.readouterr()
        assert printed.out.startswith("unavailable: KEYS_UNAVAILABLE\n")
        assert "  retry after  " in printed.out
        assert printed.err == ""


class TestConfiguration:
    def test_an_auth_config_as_text_or_file(self, issuer: FakeIssuer, capsys: Output, tmp_path: Path) -> None:
        text = json.dumps({"providers": [issuer.provider.to_auth_config()]})
        file = tmp_path / "auth-config"
        file.write_text(text)
        for config in (text, str(file)):
            assert main(["verify", "--auth-config", config, "--json", issuer.token()]) == 0
            assert result(capsys)["verdict"] == "accepted"

    def test_the_environment(self, issuer: FakeIssuer, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AVEVERIFY_ISSUER", issuer.issuer)
        monkeypatch.setenv("AVEVERIFY_APPLICATION_ID", "app_test")
        assert main(["verify", "--json", issuer.token()]) == 0
        assert result(capsys)["verdict"] == "accepted"

    def test_leeway_allows_clock_skew(self, issuer: FakeIssuer, provider_options: list[str], capsys: Output) -> None:
        token = issuer.token(exp=int(issuer.clock.now()) - 100)
        assert main(["verify", *provider_options, token]) == 1
        assert main(["verify", *provider_options, "--leeway-seconds", "300", token]) == 0
        assert "accepted" in capsys.readouterr().out

    def test_plain_http_has_to_be_spelled_out(self, capsys: Output) -> None:
        arguments = ["verify", "--issuer", "http://issuer.example", "--application-id", "app", "no token"]
        assert main(arguments) == 2
        assert "insecure_http" in capsys.readouterr().err
        assert main([*arguments, "--insecure-http"]) == 1

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            pytest.param([], "AVEVERIFY_ISSUER", id="no provider"),
            pytest.param(["--issuer", "https://a.example"], "--application-id", id="an issuer alone"),
            pytest.param(["--application-id", "app"], "--issuer", id="an application id alone"),
            pytest.param(["--auth-config", "{}", "--issuer", "https://a.example"], "--auth-config", id="both"),
            pytest.param(
                ["--auth-config", "{}", "--leeway-seconds", "5"], "--leeway-seconds", id="leeway without an issuer"
            ),
            pytest.param(["--insecure-http"], "--insecure-http", id="http without an issuer"),
            pytest.param(["--auth-config", "{}"], "providers", id="no providers"),
            pytest.param(["--auth-config", "no/such/file"], "cannot be read", id="no file"),
            pytest.param(["--issuer", "nonsense", "--application-id", "app"], "issuer", id="no URL"),
            pytest.param(
                ["--issuer", "https://a.example", "--application-id", "app", "--leeway-seconds", "301"],
                "leeway_seconds",
                id="too much leeway",
            ),
        ],
    )
    def test_wrong_options_of_the_verifier_are_2(self, capsys: Output, arguments: list[str], named: str) -> None:
        assert main(["verify", *arguments, "a.b.c"]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("aveverify: ")
        assert named in printed.err
        assert printed.out == ""
