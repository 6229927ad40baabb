"""Token sizes from half a KiB to the limit of 16 KiB: cost per byte, and whether any step is steeper than its size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from aveverify import AveVerifyError, Provider, Verifier
from benchmarks.contestants.ours import make_verifier
from benchmarks.corpus import AUDIENCE, claims
from benchmarks.curve import Curve
from benchmarks.run import Extent
from benchmarks.scale.issuers import serve_keys
from benchmarks.scale.shapes import OVERHEAD_BYTES, all_shapes, signed_shape
from benchmarks.scale.timing import time_jobs
from benchmarks.signing import Signer

KIB = 1024
# Base64 rounds up, and the limit is exact.
MARGIN_BYTES = 16
VALID_SIZES = (1 * KIB, 2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB)
HOSTILE_SIZES = (2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB)
# Doubling the size may double the time; a quarter more is noise and caches, and what is beyond grows by a power.
STEEP = 2.5
# Below this a step is a question of which branch refused, not of growth.
SHORTEST_US = 5.0


def curves(extent: Extent) -> list[Curve]:
    """Valid tokens, then shapes."""
    signer = Signer("RS256")
    with serve_keys([signer.jwk]) as issuer:
        verifier = make_verifier(Provider(issuer=issuer, application_id=AUDIENCE))
        pace = (1, 100_000) if extent.is_smoke else (40, 5_000_000)
        return [valid(signer, issuer, verifier, pace), hostile(signer, issuer, verifier, pace)]


def outcome_of(verifier: Verifier, token: str) -> str:
    """The reason of a refusal, or `accepted`."""
    try:
        verifier.verify(token)
    except AveVerifyError as error:
        return str(getattr(error, "reason", type(error).__name__))
    return "accepted"


def job(verifier: Verifier, token: str) -> Callable[[], object]:
    """One verification, accepted or refused."""

    def verify() -> None:
        try:
            verifier.verify(token)
        except AveVerifyError:
            return

    return verify


def smallest(signer: Signer, issuer: str) -> str:
    """A token with no more than it must have: about half a KiB."""
    unneeded = ("auth_time", "azp", "nonce", "name", "preferred_username", "picture", "email", "sid")
    return signer.sign(claims(issuer, 0, **dict.fromkeys(unneeded)))


def valid(signer: Signer, issuer: str, verifier: Verifier, pace: tuple[int, int]) -> Curve:
    """One long claim, or many short ones, and what each further byte costs."""
    tokens = [smallest(signer, issuer)]
    names = ["required claims only"]
    for size in VALID_SIZES:
        for shape in ("one long string", "many members"):
            if size > OVERHEAD_BYTES:
                tokens.append(signed_shape(signer, issuer, shape, size - MARGIN_BYTES))
                names.append(shape)
    for name, token in zip(names, tokens, strict=True):
        if outcome_of(verifier, token) != "accepted":
            message = f"{name}, {len(token)} bytes: {outcome_of(verifier, token)}"
            raise RuntimeError(message)
    medians = time_jobs([job(verifier, token) for token in tokens], *pace)
    rows: list[list[object]] = [
        [name, len(token), median, (median - medians[0]) * 1000 / max(1, len(token) - len(tokens[0]))]
        for name, token, median in zip(names, tokens, medians, strict=True)
    ]
    title = "Cold verification by the size of the token, RS256-2048"
    return Curve(title, ["claims", "bytes", "µs", "ns per further byte"], rows)


def hostile(signer: Signer, issuer: str, verifier: Verifier, pace: tuple[int, int]) -> Curve:
    """Every shape in every size, signed by the issuer where it is a token, so that it gets as far as it can."""
    by_size = {size: all_shapes(signer, issuer, size - MARGIN_BYTES) for size in HOSTILE_SIZES}
    shapes = list(by_size[HOSTILE_SIZES[0]])
    jobs = [job(verifier, by_size[size][shape]) for shape in shapes for size in HOSTILE_SIZES]
    medians = time_jobs(jobs, *pace)
    rows: list[list[object]] = []
    for place, shape in enumerate(shapes):
        own = medians[place * len(HOSTILE_SIZES) : (place + 1) * len(HOSTILE_SIZES)]
        largest = by_size[HOSTILE_SIZES[-1]][shape]
        steps = [late / early for early, late in pairwise(own) if early > SHORTEST_US]
        steepest = max(steps, default=0.0)
        remark = "STEEPER THAN ITS SIZE" if steepest > STEEP else ""
        rows.append([shape, outcome_of(verifier, largest), *own, own[-1] * 1000 / len(largest), steepest, remark])
    sizes = [f"µs at {size // KIB} KiB" for size in HOSTILE_SIZES]
    title = "Shapes made to be expensive, by size (doubling the size may double the time)"
    return Curve(title, ["shape", "verdict", *sizes, "ns per byte", "steepest step", "remark"], rows)
