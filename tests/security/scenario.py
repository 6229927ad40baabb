"""Where an attack is played: one issuer, a provider of either kind that trusts it, and a record of every request.

An answer is one word: `accept`, or Convex's code of the refusal, shortened; `unavailable …` where no key can be had.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import pytest

from aveverify import (
    AveVerifyError,
    FetchRequest,
    FetchResponse,
    KeysUnavailableError,
    Provider,
    Verifier,
)
from aveverify._core.jose.encoding import JsonValue
from aveverify.testing import FakeClock, FakeIssuer
from aveverify.testing._keys import KeyAlgorithm, SigningKey, dump_json, encode
from tests.conftest import NOW

SHORT = {
    "InvalidAuthHeader": "IAH",
    "Unauthenticated": "UNA",
    "NoAuthProvider": "NAP",
    "AuthProviderDiscoveryFailed": "DISC",
}
URL = "https://good.example"
# Payloads and signatures are longer; shorter pieces occur in ordinary words.
TELLING_CHARACTERS = 20


@cache
def issuer() -> FakeIssuer:
    """The issuer that is in order; its keys are made once. No test may change it."""
    clock = FakeClock(now=NOW)
    return FakeIssuer(URL, application_id="app", algorithms=("RS256", "ES256", "EdDSA"), clock=clock)


@cache
def key(algorithm: KeyAlgorithm = "RS256") -> SigningKey:
    """A published key of the issuer."""
    return next(one for one in issuer()._published if one.algorithm == algorithm)


class Wire:
    """The issuer's `Fetcher`: keeps every request, and can give other keys or another discovery document."""

    def __init__(self, keys: Sequence[Mapping[str, JsonValue]] | None = None, **metadata: JsonValue) -> None:
        self.keys = keys
        self.metadata = metadata
        self.requests: list[FetchRequest] = []

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Answer as the issuer does, but for what was changed."""
        self.requests.append(request)
        answer = issuer().fetch(request)
        if request.url == issuer().jwks_uri and self.keys is not None:
            return FetchResponse(status=200, headers={"Content-Type": "application/json"}, body=_dump(self.keys))
        if request.url != issuer().jwks_uri and self.metadata:
            changed = json.loads(answer.body) | self.metadata
            return FetchResponse(status=200, headers={"Content-Type": "application/json"}, body=dump_json(changed))
        return answer

    @property
    def strays(self) -> set[str]:
        """The addresses that follow neither from the configuration nor from the document fetched there."""
        return {one.url for one in self.requests} - {URL + "/.well-known/openid-configuration", issuer().jwks_uri}


def _dump(keys: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def provider(kind: Literal["oidc", "customJwt"], algorithm: Literal["RS256", "ES256"] = "RS256") -> Provider:
    """The provider of a kind that trusts the issuer."""
    return issuer().provider if kind == "oidc" else issuer().custom_jwt_provider(algorithm)


def answer(verifier: Verifier, token: str | bytes) -> str:
    """Ask both entry points, twice each: they agree, only our own errors come out, and these give nothing away."""
    asked: list[Callable[[], object]] = [
        lambda: verifier.verify(token),
        lambda: asyncio.run(verifier.verify_async(token)),
    ] * 2
    secrets = [part for part in str(token).split(".")[1:] if len(part) >= TELLING_CHARACTERS]
    (word,) = {_word(ask, secrets) for ask in asked}
    return word


def _word(ask: Callable[[], object], secrets: list[str]) -> str:
    try:
        ask()
    except AveVerifyError as error:
        said = f"{error} {error!r}"
        assert [secret for secret in secrets if secret in said] == []
        code = SHORT[error.convex_code or ""]
        return f"unavailable {code}" if isinstance(error, KeysUnavailableError) else code
    return "accept"


class Case(NamedTuple):
    """One attack.

    Attributes:
        make: Makes the token.
        oidc: The answer of an OIDC provider; None where the path has no such case.
        custom: The answer of a customJwt provider.
        keys: The key set, if not the issuer's.
        algorithm: Of the customJwt provider.
    """

    make: Callable[[], str | bytes]
    oidc: str | None
    custom: str | None
    keys: Callable[[], Sequence[Mapping[str, Any]]] | None = None
    algorithm: Literal["RS256", "ES256"] = "RS256"


def cases(*rows: tuple[str, Case]) -> pytest.MarkDecorator:
    """Parametrise a test with both paths of each case; the name of a row begins with the attack's id."""
    return pytest.mark.parametrize(
        ("case", "kind"),
        [
            pytest.param(case, kind, id=f"{name}, {kind}")
            for name, case in rows
            for kind, expected in (("oidc", case.oidc), ("customJwt", case.custom))
            if expected is not None
        ],
    )


def check(case: Case, kind: Literal["oidc", "customJwt"]) -> None:
    """Play one case: the answer is the one that is asked for, and no request was led astray."""
    wire = Wire(None if case.keys is None else case.keys())
    with issuer().verifier(provider(kind, case.algorithm), fetcher=wire) as verifier:
        assert answer(verifier, case.make()) == (case.oidc if kind == "oidc" else case.custom)
    assert wire.strays == set()


def token(claims: Mapping[str, JsonValue] | None = None, **header: JsonValue) -> str:
    """A token in order but for these claims and header members, signed by the RSA key."""
    return issuer().token(claims, header=header)


def header(members: Mapping[str, Any] | bytes, algorithm: KeyAlgorithm = "RS256") -> str:
    """A token with exactly this header, signed all the same."""
    data = members if isinstance(members, bytes) else json.dumps(members).encode()
    return signed(data, dump_json(issuer().claims()), algorithm)


def payload(text: str | bytes) -> str:
    """A token with exactly this payload, signed."""
    return issuer().sign(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


def with_member(name: str, literal: str) -> str:
    """A token in order in which one claim is written exactly so."""
    members = {key: value for key, value in issuer().claims().items() if key != name}
    return payload(dump_json(members)[:-1] + f',"{name}":{literal}}}'.encode())


def signed(head: bytes, body: bytes, algorithm: KeyAlgorithm = "RS256") -> str:
    """Any two segments with a good signature."""
    signing_input = f"{encode(head)}.{encode(body)}"
    return f"{signing_input}.{encode(key(algorithm).sign(signing_input.encode()))}"


def now() -> int:
    """The instant of all of it."""
    return int(issuer().clock.now())
