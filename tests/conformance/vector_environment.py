"""The environment of one vector: a clock that stands still, endpoints that answer from a map, and verifiers.

Uses only the public API, as a test suite outside of the project would.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aveverify import (
    FetchError,
    FetchRequest,
    FetchResponse,
    Identity,
    InvalidTokenError,
    KeysUnavailableError,
    Verifier,
    parse_auth_config,
)
from aveverify._core.jose.encoding import JsonValue
from tests.conformance.collection import TokenVector

# Shorter pieces occur in ordinary words, so that finding one in a message would prove nothing.
TELLING_CHARACTERS = 9


class StandingClock:
    """A clock that stands at one instant."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        """The instant of the vector."""
        return self._now

    def monotonic(self) -> float:
        """No time passes."""
        return 0.0


class Endpoints:
    """Answers from a map of URLs; what is not listed refuses the connection.

    Notes every request for an address that follows neither from the configuration nor from a discovery document
    fetched there: such an address can only come from the token, or from a redirect.
    """

    def __init__(self, http: Mapping[str, Mapping[str, Any]], configured: set[str]) -> None:
        self._http = http
        self._known = configured
        self.strays: list[str] = []

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Give the listed answer."""
        if request.url not in self._known:
            self.strays.append(request.url)
        answer = self._http.get(request.url)
        if answer is None or "error" in answer:
            message = "connection refused"
            raise FetchError(message)
        body = base64.b64decode(answer["body_base64"]) if "body_base64" in answer else answer["body"].encode()
        self._known |= key_addresses(body)
        return FetchResponse(status=answer["status"], headers=answer["headers"], body=body)


def configured_addresses(providers: Sequence[Mapping[str, Any]]) -> set[str]:
    """The addresses that follow from a configuration alone."""
    addresses = set()
    for entry in providers:
        if entry.get("type") == "customJwt":
            addresses.add(entry["jwks"])
        else:
            domain = entry["domain"] if re.match(r"\w+://", entry["domain"]) else f"https://{entry['domain']}"
            addresses.add(domain.rstrip("/") + "/.well-known/openid-configuration")
    return addresses


def key_addresses(body: bytes) -> set[str]:
    """The address that a discovery document names; none for any other body."""
    try:
        document = json.loads(body)
    except ValueError:
        return set()
    address = document.get("jwks_uri") if isinstance(document, dict) else None
    return {address} if isinstance(address, str) else set()


class VectorEnvironment:
    """The endpoints of one vector, and fresh verifiers that reach nothing else."""

    def __init__(self, vector: TokenVector) -> None:
        self._vector = vector
        self.endpoints = Endpoints(vector.http, configured_addresses(vector.providers))

    def verifier(self, **options: Any) -> Verifier:
        """A verifier with the vector's providers that has verified nothing yet; with default options unless given."""
        return Verifier(
            *parse_auth_config({"providers": self._vector.providers}),
            clock=StandingClock(self._vector.now),
            fetcher=self.endpoints,
            **options,
        )


def ask(verify: Callable[[str | bytes], Identity], token: str | bytes) -> dict[str, Any]:
    """The answer to a token, in the words of the vectors."""
    try:
        return accepted(verify(token))
    except (InvalidTokenError, KeysUnavailableError) as error:
        return refused(error, token)


async def ask_async(verify: Callable[[str | bytes], Awaitable[Identity]], token: str | bytes) -> dict[str, Any]:
    """The answer to a token, in the words of the vectors."""
    try:
        return accepted(await verify(token))
    except (InvalidTokenError, KeysUnavailableError) as error:
        return refused(error, token)


def accepted(identity: Identity) -> dict[str, Any]:
    """The answer that an identity is."""
    return {"verdict": "accept", "identity": identity.to_convex()}


def refused(error: InvalidTokenError | KeysUnavailableError, token: str | bytes) -> dict[str, Any]:
    """The answer that an error is; the error may quote nothing of the token."""
    assert error.__context__ is None, "the context of our error is that of a library; its message may quote the token"
    assert error.__cause__ is None, "the context of our error is that of a library; its message may quote the token"
    text = token.decode("latin-1") if isinstance(token, bytes) else token
    for piece in (text, text.rpartition(".")[2]):
        if len(piece) >= TELLING_CHARACTERS:
            assert piece not in str(error), "the message quotes the token"
            assert piece not in repr(error), "the repr quotes the token"
    verdict = "reject" if isinstance(error, InvalidTokenError) else "unavailable"
    return {"verdict": verdict, "code": error.convex_code}


def exact(value: JsonValue) -> JsonValue:
    """A JSON value with the type of each scalar beside it: `1`, `1.0` and `True` are equal in Python, but not here."""
    match value:
        case dict():
            return {key: exact(member) for key, member in value.items()}
        case list():
            return [exact(entry) for entry in value]
        case _:
            return type(value).__name__, value
