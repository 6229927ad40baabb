"""More providers, and more keys of one provider: neither may be walked through for each token."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import ExitStack

from aveverify import InvalidTokenError, Provider, Verifier
from benchmarks.case import UnexpectedOutcomeError
from benchmarks.contestants.ours import POLICY, make_verifier
from benchmarks.corpus import AUDIENCE, FOREIGN_ISSUER, claims
from benchmarks.curve import Curve
from benchmarks.run import Extent
from benchmarks.scale.issuers import serve_keys
from benchmarks.scale.timing import time_jobs
from benchmarks.signing import Signer

PROVIDERS = (1, 10, 100, 1_000)
KEYS = (1, 10, 30, 100)
TOKENS = 64


def curves(extent: Extent) -> list[Curve]:
    """Providers, then keys."""
    pace = (1, 200_000) if extent.is_smoke else (60, 5_000_000)
    return [providers(pace), keys(pace)]


def over(call: Callable[[str], object], tokens: list[str]) -> Callable[[], object]:
    """What verifies the next token each time."""
    endless = itertools.cycle(tokens)
    return lambda: call(next(endless))


def refusal(verifier: Verifier) -> Callable[[str], object]:
    """What expects a refusal."""

    def verify(token: str) -> None:
        try:
            verifier.verify(token)
        except InvalidTokenError:
            return
        raise UnexpectedOutcomeError("a token of another issuer", "refusal", "acceptance")

    return verify


def providers(pace: tuple[int, int]) -> Curve:
    """A token of the last of so many providers, and a token of none."""
    signer = Signer("RS256")
    with serve_keys([signer.jwk]) as issuer:
        good = [signer.sign(claims(issuer, user)) for user in range(TOKENS)]
        foreign = [signer.sign(claims(issuer, user, iss=FOREIGN_ISSUER)) for user in range(TOKENS)]
        jobs = []
        for number in PROVIDERS:
            others = [
                Provider(issuer=f"https://issuer-{other}.example", application_id=AUDIENCE)
                for other in range(number - 1)
            ]
            verifier = Verifier(
                *others, Provider(issuer=issuer, application_id=AUDIENCE), cache_policy=POLICY, token_cache_size=0
            )
            verifier.verify(good[0])
            jobs += [over(verifier.verify, good), over(refusal(verifier), foreign)]
        medians = time_jobs(jobs, *pace)
    rows: list[list[object]] = [
        [number, medians[2 * place], medians[2 * place + 1]] for place, number in enumerate(PROVIDERS)
    ]
    title = "Cold verification by the number of providers, RS256-2048"
    return Curve(title, ["providers", "µs, the last one's token", "µs, nobody's token"], rows)


def keys(pace: tuple[int, int]) -> Curve:
    """A token under the last of so many keys."""
    jobs = []
    with ExitStack() as stack:
        for number in KEYS:
            signers = [Signer("EdDSA") for _ in range(number)]
            issuer = stack.enter_context(serve_keys([signer.jwk for signer in signers]))
            tokens = [signers[-1].sign(claims(issuer, user)) for user in range(TOKENS)]
            jobs.append(over(make_verifier(Provider(issuer=issuer, application_id=AUDIENCE)).verify, tokens))
        medians = time_jobs(jobs, *pace)
    rows: list[list[object]] = [[number, median] for number, median in zip(KEYS, medians, strict=True)]
    return Curve("Cold verification by the number of keys, EdDSA", ["keys", "µs, the last key's token"], rows)
