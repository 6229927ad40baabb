"""Pickles: those of version 0.1 load, and new ones name public modules only, so that private ones may move.

`pickles_of_version_0_1.json` was written by version 0.1 in base64. Its tokens were made by a fake issuer; the file
holds the claims of one identity, and neither a token nor a signature.
"""

from __future__ import annotations

import base64
import json
import pickle
import pickletools
import re
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from aveverify import (
    AveVerifyError,
    CachePolicy,
    ConfigurationError,
    Identity,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Provider,
    Reason,
    Verifier,
)
from aveverify.asgi import AveAuthMiddleware
from aveverify.errors import Fault, Hint, Problem, Step
from aveverify.status import ProviderStatus, VerifierStatus
from aveverify.testing import FakeClock, FakeIssuer
from tests.conftest import NOW

STORED = json.loads((Path(__file__).parent / "pickles_of_version_0_1.json").read_text(encoding="utf-8"))
VALUES: dict[str, bytes] = {name: base64.b64decode(text) for name, text in STORED["values"].items()}
WORDS: dict[str, bytes] = {name: base64.b64decode(text) for name, text in STORED["words"].items()}
PUBLIC_MODULES = {
    "aveverify.cache_policy", "aveverify.errors", "aveverify.identity", "aveverify.provider", "aveverify.status",
    "collections", "copyreg", "builtins",
}  # fmt: skip


def identity() -> Identity:
    issuer = FakeIssuer(clock=FakeClock(now=NOW))
    return issuer.verifier().verify(issuer.token(sub="ada", plan="pro", name="Ada"))


def status() -> VerifierStatus:
    """Return the status that version 0.1 pickled. The names of its random key are written out."""
    provider = ProviderStatus(
        issuer="https://issuer.test", kind="oidc", state="fresh", kids=("rs256-5b5b4750",),
        thumbprint="47e48b9d85111cb313067603fe3fbfc316925fea1d8e2321037b38b299712943", age_seconds=0.0,
        fresh_until=1700000600.0, usable_until=1700004200.0, last_success_at=1700000000.0, last_error=None, failures=0,
        retry_after_seconds=0.0, is_fetching=False, unknown_key_refusals=0, bad_signature_refusals=0,
    )  # fmt: skip
    return VerifierStatus(providers=(provider,), cached_tokens=1)


def refused(token_of: Callable[[FakeIssuer], str]) -> InvalidTokenError:
    issuer = FakeIssuer(clock=FakeClock(now=NOW))
    with pytest.raises(InvalidTokenError) as caught:
        issuer.verifier().verify(token_of(issuer))
    return caught.value


def unknown_option() -> ConfigurationError:
    options: dict[str, Any] = {"foo": 1}
    with pytest.raises(ConfigurationError) as caught:
        Verifier(Provider.ave("a"), **options)
    return caught.value


def fresh() -> dict[str, Any]:
    """Return for each pickled value an equal one, made now."""
    return {
        "identity": identity(),
        "provider": Provider.ave("app_1"),
        "custom_jwt_provider": Provider.custom_jwt(
            issuer="https://a.example", jwks="https://a.example/jwks", algorithm="RS256", application_id="x"
        ),
        "invalid_token": refused(lambda issuer: issuer.token(exp=1)),
        "malformed_token": refused(lambda _: "aaa.bbb"),
        "keys_unavailable": KeysUnavailableError(3, kind="oidc", issuer="https://a.example", cause="x"),
        "invalid_request": InvalidRequestError(),
        "insufficient_scope": InsufficientScopeError(("a", "b")),
        "configuration": ConfigurationError(Problem.MISSING, "issuer"),
        "unknown_option": unknown_option(),
        "status": status(),
        "cache_policy": CachePolicy(),
    }


def facts(value: Any) -> object:
    """Return what two equal values have in common; errors have no `==`."""
    if isinstance(value, AveVerifyError):
        return type(value), str(value), value.__reduce__()
    if isinstance(value, Identity):
        return value, value.to_convex(), dict(value.claims), value.provider, value.expires_at
    return value


def names_in(pickled: bytes) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of everything that a pickle of protocol 4 or newer refers to."""
    texts: list[str] = []
    memo: list[str] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        value: Any = argument
        if opcode.name in ("SHORT_BINUNICODE", "BINUNICODE"):
            texts.append(value)
        elif opcode.name == "MEMOIZE":
            memo.append(texts[-1] if texts else "")
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            texts.append(memo[value])
        elif opcode.name == "STACK_GLOBAL":
            yield texts[-2], texts[-1]


def test_every_pickle_of_the_file_has_an_equal_value_here() -> None:
    assert set(VALUES) == set(fresh())


@pytest.mark.parametrize("name", VALUES)
def test_a_value_pickled_by_version_0_1_loads_and_equals_a_new_one(name: str) -> None:
    loaded = pickle.loads(VALUES[name])  # noqa: S301 - committed bytes
    made = fresh()[name]

    assert type(loaded) is type(made)
    assert facts(loaded) == facts(made)


@pytest.mark.parametrize("name", WORDS)
def test_a_word_pickled_by_version_0_1_loads_as_the_member_of_that_name(name: str) -> None:
    """Hints and faults are pickled by their sentence; a reworded one must still be found by the old sentence."""
    vocabulary, _, member = name.partition(".")
    loaded = pickle.loads(WORDS[name])  # noqa: S301 - committed bytes

    assert (
        loaded is {"Fault": Fault, "Hint": Hint, "Problem": Problem, "Reason": Reason, "Step": Step}[vocabulary][member]
    )


@pytest.mark.parametrize("pickled", VALUES.values(), ids=VALUES)
def test_the_stored_pickles_hold_no_token_and_no_signature(pickled: bytes) -> None:
    # A header begins with `eyJ`; the shortest signature has 86 characters of base64url.
    assert not re.search(rb"eyJ|[A-Za-z0-9_-]{86,}", pickled)


def misspelt_option() -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        AveAuthMiddleware(None, FakeIssuer(clock=FakeClock(now=NOW)).verifier(), require=True)  # type: ignore[call-arg, arg-type]  # the misspelling
    return caught.value


@pytest.mark.parametrize("protocol", range(4, pickle.HIGHEST_PROTOCOL + 1))
def test_a_new_pickle_names_only_public_modules(protocol: int) -> None:
    words: list[Enum] = [word for words in (Fault, Hint, Problem, Reason, Step) for word in words]
    found = {
        named
        for value in (*fresh().values(), misspelt_option(), *words)
        for named in names_in(pickle.dumps(value, protocol))
    }

    assert {module for module, _ in found} <= PUBLIC_MODULES
    assert ("aveverify.errors", "Reason") in found
    assert ("aveverify.identity", "_rebuild") in found
    assert ("aveverify.errors", "_rebuild_unknown_option") in found


def test_a_misspelt_option_is_still_a_type_error_after_pickling() -> None:
    error = misspelt_option()
    loaded = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here

    assert isinstance(loaded, TypeError)
    assert facts(loaded) == facts(error)
