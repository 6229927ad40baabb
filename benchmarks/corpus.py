"""What is measured on: keys, and tokens that are signed before the first clock reading.

Every process of a run reads the same corpus from a file, so all contestants see the same bytes. The claims and the
header have the shape of an ordinary sign-in: 13 claims, a key id of 43 characters, 952 characters with RS256-2048.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from aveverify import FetchResponse, SystemClock
from aveverify.testing import FakeIssuer
from benchmarks.signing import Algorithm, Signer

AUDIENCE = "app_0123456789abcdefghij"
LIFETIME_SECONDS = 24 * 3600
FOREIGN_ISSUER = "https://elsewhere.example"

# The keys of the run, by the name that the tables print.
SIGNERS: dict[str, tuple[Algorithm, int]] = {
    "RS256-2048": ("RS256", 2048),
    "RS256-4096": ("RS256", 4096),
    "ES256": ("ES256", 256),
    "EdDSA": ("EdDSA", 256),
}


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """One public key of the issuer, in the two forms that libraries load."""

    algorithm: Algorithm
    kid: str
    jwk: dict[str, Any]
    pem: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """One issuer as its verifiers know it, and everything it signed.

    Attributes:
        issuer: The URL of the issuer, which answers on this machine.
        jwks_uri: Where its keys are.
        keys: The public keys by name.
        tokens: Good tokens by the name of their key; all distinct.
        refused: Tokens under RS256-2048 that must be refused, by why.
        flaws: One wrong token of each kind, by the name of the key and the kind.
    """

    issuer: str
    jwks_uri: str
    keys: dict[str, PublishedKey]
    audience: str = AUDIENCE
    tokens: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    flaws: dict[str, dict[str, str]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write everything to a file."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        members = json.loads(path.read_text(encoding="utf-8"))
        keys = {name: PublishedKey(**key) for name, key in members.pop("keys").items()}
        return cls(keys=keys, **members)


@contextmanager
def serve_corpus(count: int, names: tuple[str, ...] = tuple(SIGNERS)) -> Iterator[Corpus]:
    """Make a corpus, and serve its discovery document and keys over HTTP for the length of a `with` block.

    Args:
        count: How many distinct tokens of each kind.
        names: Which keys, of `SIGNERS`.

    Yields:
        The corpus.
    """
    signers = {name: Signer(*SIGNERS[name]) for name in names}
    issuer = FakeIssuer(application_id=AUDIENCE, algorithms=("EdDSA", "RS256"), clock=SystemClock())
    keys = {
        name: PublishedKey(signer.algorithm, signer.kid, signer.jwk, signer.pem) for name, signer in signers.items()
    }
    document = json.dumps({"keys": [key.jwk for key in keys.values()]}).encode()
    issuer.answer_keys_with(FetchResponse(status=200, headers={"Content-Type": "application/json"}, body=document))
    with issuer.serve() as url:
        corpus = Corpus(issuer=url, jwks_uri=issuer.jwks_uri, keys=keys)
        for name, signer in signers.items():
            corpus.tokens[name] = [signer.sign(claims(url, number)) for number in range(count)]
            corpus.flaws[name] = make_flaws(signer, url)
        corpus.refused.update(make_refused(next(iter(signers.values())), url, count))
        yield corpus


def claims(issuer: str, number: int, **changes: object) -> dict[str, Any]:
    """The claims of one user; a change to None leaves the claim out."""
    now = int(time.time())
    members: dict[str, Any] = {
        "iss": issuer,
        "sub": f"user_{number:016}",
        "aud": AUDIENCE,
        "exp": now + LIFETIME_SECONDS,
        "iat": now - 60,
        "auth_time": now - 60,
        "azp": AUDIENCE,
        "nonce": f"n-{number:020}",
        "name": "Ada Lovelace",
        "preferred_username": "ada",
        "picture": f"https://images.example/u/{number:08}.png",
        "email": "ada@mail.example",
        "sid": f"sid_{number:016}",
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def make_flaws(signer: Signer, issuer: str) -> dict[str, str]:
    """One wrong token of each kind: everything else about it is in order."""
    good = signer.sign(claims(issuer, 0))
    past = int(time.time()) - 3600
    return {
        "flipped signature": flip(good),
        "expired": signer.sign(claims(issuer, 0, iat=past - 3600, exp=past)),
        "wrong iss": signer.sign(claims(issuer, 0, iss=FOREIGN_ISSUER)),
        "wrong aud": signer.sign(claims(issuer, 0, aud="app_of_somebody_else")),
        "no exp": signer.sign(claims(issuer, 0, exp=None)),
        "second spelling": respell(good),
        "padded signature": good + "=",
    }


def make_refused(signer: Signer, issuer: str, count: int) -> dict[str, list[str]]:
    """Distinct tokens that are refused, by why."""
    numbers = range(count)
    good = [signer.sign(claims(issuer, number)) for number in numbers]
    past = int(time.time()) - 3600
    expired = [claims(issuer, number, iat=past - 3600, exp=past) for number in numbers]
    return {
        "malformed": [token.replace(".", ".!", 1) for token in good],
        "no provider": [signer.sign(claims(issuer, number, iss=FOREIGN_ISSUER)) for number in numbers],
        "unknown kid": [signer.sign(claims(issuer, number), kid="k" * 43) for number in numbers],
        "expired": [signer.sign(members) for members in expired],
        "forged": [flip(token) for token in good],
    }


def flip(token: str) -> str:
    """Change one character in the middle of the signature."""
    place = token.rindex(".") + 40
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]


def respell(token: str) -> str:
    """Set an unused bit of the last character: the same bytes of signature, in another spelling (RFC 4648 §3.5)."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


def split(token: str) -> tuple[bytes, str]:
    """The signing input and the signature's text."""
    signing_input, _, signature = token.rpartition(".")
    return signing_input.encode(), signature
