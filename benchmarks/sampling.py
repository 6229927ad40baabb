"""The process that is profiled: `python -m benchmarks.sampling CORPUS SECONDS`; prints JSON."""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any

import aveverify
from benchmarks.contestants.ours import make_verifier, oidc
from benchmarks.corpus import Corpus
from benchmarks.scale.timing import pinned, time_once

MAIN = "RS256-2048"
PACKAGE = str(Path(aveverify.__file__).parent)
# A prime number of microseconds: no step of the loop shall keep time with it.
INTERVAL_SECONDS = 0.000_701
SMALLEST_SHARE = 0.003
CALLS = 20_000


def name_of(frame: FrameType | None) -> str:
    """The function of the package in which a frame stands, or was called; what is outside belongs to its caller."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE):
            return f"{Path(file).relative_to(PACKAGE).with_suffix('')}: {frame.f_code.co_qualname}".replace("/", ".")
        frame = frame.f_back
    return "the loop of the measurement"


def sample(call: Callable[[str], object], tokens: Sequence[str], seconds: float) -> dict[str, Any]:
    """Profile calls with one token after the other.

    Args:
        call: What is profiled.
        tokens: What it is called with, round and round.
        seconds: For how long.

    Returns:
        The time of one call without the timer, and for each function its share.
    """
    endless = itertools.cycle(tokens)

    def job() -> object:
        return call(next(endless))

    counts: Counter[str] = Counter()

    def note(_signal: int, frame: FrameType | None) -> None:
        counts[name_of(frame)] += 1

    with pinned():
        ns = min(time_once(job, CALLS if seconds >= 1 else 200) for _ in range(3))
        signal.signal(signal.SIGALRM, note)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL_SECONDS, INTERVAL_SECONDS)
        end = perf_counter() + seconds
        while perf_counter() < end:
            for token in tokens:
                call(token)
        signal.setitimer(signal.ITIMER_REAL, 0)
    total = counts.total()
    rows = [
        [name, round(ns * number / total), number / total]
        for name, number in counts.most_common()
        if number / total >= SMALLEST_SHARE
    ]
    return {"ns": ns, "samples": total, "rows": rows}


def main() -> None:
    """Profile cold and warm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    logging.getLogger("aveverify").setLevel(logging.ERROR)
    corpus = Corpus.read(arguments.corpus)
    tokens = corpus.tokens[MAIN]
    cold = make_verifier(oidc(corpus)).verify
    warm = make_verifier(oidc(corpus), token_cache_size=1_000).verify
    for token in tokens:
        warm(token)
    print(json.dumps({kind: sample(call, tokens, arguments.seconds) for kind, call in
                      {"cold RS256-2048": cold, "warm RS256-2048": warm}.items()}))  # fmt: skip


if __name__ == "__main__":
    main()
