"""Runs the OpenID provider of `oidc-provider.mjs`, and signs in at it without a browser.

`package-lock.json` holds the hash of every package and no registry address. To update it, run in this folder:
`npm install --package-lock-only --omit-lockfile-registry-resolved`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx

SOURCES = Path(__file__).parent
SCRIPT = SOURCES / "oidc-provider.mjs"
LOCK = SOURCES / "package-lock.json"
FOLDER = Path(__file__).parents[2] / ".real-issuer"
# A copy of the lock whose packages are installed.
INSTALLED = FOLDER / "installed.json"

CALLBACK = "http://127.0.0.1:1/signed-in"
# Sign-in, consent and the redirects between them; more means an endless loop.
MAX_PAGES = 12

Change = Literal["status", "soft", "hard", "same-kid"]


class NotInstallableError(Exception):
    """The provider cannot be installed on this machine; the text says why."""


def install() -> str:
    """Install the locked packages, unless they are installed.

    Returns:
        The path of node.

    Raises:
        NotInstallableError: Node or npm is missing, or npm could not install a package.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        message = "needs node and npm"
        raise NotInstallableError(message)
    lock = LOCK.read_bytes()
    if not INSTALLED.exists() or INSTALLED.read_bytes() != lock:
        FOLDER.mkdir(exist_ok=True)
        for file in (SOURCES / "package.json", LOCK):
            shutil.copy(file, FOLDER)
        # `ci` installs exactly what is locked, and refuses a package with another hash.
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        result = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            message = f"npm could not install the locked packages: {result.stderr.strip()[-300:]}"
            raise NotInstallableError(message)
        INSTALLED.write_bytes(lock)
    return node


@dataclass(frozen=True)
class RealIssuer:
    """A running provider."""

    issuer: str
    _process: subprocess.Popen[str] = field(repr=False)

    def change(self, what: Change) -> dict[str, Any]:
        """Change the keys, and return the published keys and the number of requests so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def key_requests(self) -> int:
        """How many requests for the JWK Set have come so far."""
        count: int = self.change("status")["requests"]["keys"]
        return count

    def sign_in(self, client_id: str, *, user: str = "grace", resource: str | None = None) -> dict[str, Any]:
        """Run the authorization code flow.

        Args:
            client_id: The client that requests the tokens.
            user: The name of the user; any name is accepted.
            resource: The resource that the access token is for; it is a JWT then.

        Returns:
            The answer of the token endpoint.
        """
        with httpx.Client(trust_env=False) as browser:
            metadata = browser.get(f"{self.issuer}/.well-known/openid-configuration").json()
            query = {"client_id": client_id, "response_type": "code", "redirect_uri": CALLBACK}
            query |= {"scope": "openid profile email"} | ({"resource": resource} if resource else {})
            code = follow_to_callback(browser, browser.get(metadata["authorization_endpoint"], params=query), user)
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
            answer = browser.post(metadata["token_endpoint"], data=form, auth=(client_id, "not-secret"))
            answer.raise_for_status()
            tokens: dict[str, Any] = answer.json()
            return tokens


@contextmanager
def running() -> Iterator[RealIssuer]:
    """Run a provider for the length of a `with` block."""
    node = install()
    # Beside node_modules, where node looks up its import.
    script = shutil.copy(SCRIPT, FOLDER)
    process = subprocess.Popen(
        [node, script],
        cwd=FOLDER,
        env={**os.environ, "NODE_NO_WARNINGS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    # Leaving closes the pipes, which ends the process, and waits for it.
    with process:
        assert process.stdout is not None
        yield RealIssuer(json.loads(process.stdout.readline())["issuer"], process)


def follow_to_callback(browser: httpx.Client, page: httpx.Response, user: str) -> str:
    """Follow redirects and fill in forms until the provider sends us back to the client.

    Returns:
        The authorization code.
    """
    for _ in range(MAX_PAGES):
        if not page.has_redirect_location:
            form = Form(page.text)
            page = browser.post(page.url.join(form.action), data=form.fields(user))
        elif page.headers["location"].startswith(CALLBACK):
            (code,) = parse_qs(urlsplit(page.headers["location"]).query)["code"]
            return code
        else:
            page = browser.get(page.url.join(page.headers["location"]))
    message = f"no end to the pages of {page.url}"
    raise RuntimeError(message)


class Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self._inputs: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the inputs that a browser would send."""
        attributes = dict(attrs)
        if tag == "form" and not self.action:
            self.action = attributes.get("action") or ""
        if tag == "input" and attributes.get("name"):
            self._inputs.append(attributes)

    def fields(self, user: str) -> dict[str, str]:
        """The hidden values as they are, and the user's name in every other input."""
        return {entry["name"] or "": entry.get("value") or user for entry in self._inputs}
