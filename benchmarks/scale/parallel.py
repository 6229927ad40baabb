"""Throughput against processes and threads, and what a thread pays for the interpreter's lock."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from threading import Barrier as ThreadBarrier
from threading import Thread
from time import perf_counter
from typing import Any

from benchmarks.contestants.ours import make_verifier, oidc
from benchmarks.contestants.raw import make_raw
from benchmarks.corpus import Corpus, serve_corpus
from benchmarks.curve import Curve
from benchmarks.run import Extent

MAIN = "RS256-2048"
KINDS = ("cold", "warm", "raw")
THREADS = (1, 2, 4)
# What is only computed: as if every further core gave what the last measured one gave.
EXTRAPOLATED = (4, 8, 16)
# CPython hands the lock over after 5 ms, or at once when a C function gives it up: `cryptography` does, hashlib does
# not for a token.
SWITCH_INTERVALS_SECONDS = (0.005, 0.0005, 0.05)


def curves(extent: Extent) -> list[Curve]:
    """Processes, threads, and the lock's hand-over."""
    seconds = 0.05 if extent.is_smoke else 1.0
    rounds = 1 if extent.is_smoke else 5
    with serve_corpus(min(extent.tokens, 128), (MAIN,)) as corpus:
        return [
            processes(corpus, seconds, rounds),
            threads(corpus, seconds, rounds),
            hand_over(corpus, seconds, rounds),
        ]


def make_work(corpus: Corpus, kind: str) -> Callable[[], object]:
    """What is done over and over: one pass through all tokens."""
    tokens: list[Any] = corpus.tokens[MAIN]
    if kind == "raw":
        check, tokens = make_raw(corpus, MAIN)
    else:
        check = make_verifier(oidc(corpus), token_cache_size=100_000 if kind == "warm" else 0).verify

    def one_pass() -> None:
        for token in tokens:
            check(token)

    one_pass()
    return one_pass


def count(work: Callable[[], object], seconds: float) -> float:
    """Passes in each second."""
    begun = perf_counter()
    passes = 0
    while (elapsed := perf_counter() - begun) < seconds:
        work()
        passes += 1
    return passes / elapsed


def in_process(corpus: Corpus, kind: str, seconds: float, start: Barrier, rates: Any) -> None:
    """The life of one process of the measurement."""
    work = make_work(corpus, kind)
    start.wait()
    rates.put(count(work, seconds))


def rate_of_processes(corpus: Corpus, kind: str, number: int, seconds: float) -> float:
    """Verifications in each second, by so many processes at once."""
    context = multiprocessing.get_context("spawn")
    start, rates = context.Barrier(number), context.SimpleQueue()
    workers = [context.Process(target=in_process, args=(corpus, kind, seconds, start, rates)) for _ in range(number)]
    for worker in workers:
        worker.start()
    total = sum(float(rates.get()) for _ in workers)
    for worker in workers:
        worker.join()
    return total * len(corpus.tokens[MAIN])


def processes(corpus: Corpus, seconds: float, rounds: int) -> Curve:
    """Throughput against processes: measured up to the cores there are, computed beyond."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    numbers = [number for number in (1, 2, 4, 8, 16, 32) if number <= cores]
    rows: list[list[object]] = []
    for kind in KINDS:
        # Interleaved, so that one process and several meet the same machine.
        readings = [[rate_of_processes(corpus, kind, number, seconds) for number in numbers] for _ in range(rounds)]
        rate = {number: statistics.median(own[place] for own in readings) for place, number in enumerate(numbers)}
        to_one = [statistics.median(own[place] / own[0] for own in readings) for place in range(len(numbers))]
        rows += [
            [kind, number, round(rate[number]), ratio, "measured"]
            for number, ratio in zip(numbers, to_one, strict=True)
        ]
        last = numbers[-1]
        rows += [
            [kind, number, round(rate[last] * number / last), to_one[-1] * number / last, "extrapolated"]
            for number in EXTRAPOLATED
            if number > last
        ]
    title = f"Throughput against processes, RS256-2048, {cores} logical cores"
    return Curve(title, ["what", "processes", "per second", "to one", "how"], rows)


def rate_of_threads(work: Callable[[], object], number: int, seconds: float) -> float:
    """Passes in each second, by so many threads at once."""
    start = ThreadBarrier(number)
    rates: list[float] = []

    def run() -> None:
        start.wait()
        rates.append(count(work, seconds))

    workers = [Thread(target=run) for _ in range(number)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates)


def threads(corpus: Corpus, seconds: float, rounds: int) -> Curve:
    """Throughput against threads: interleaved, so that 1, 2 and 4 meet the same machine."""
    rows: list[list[object]] = []
    for kind in KINDS:
        work = make_work(corpus, kind)
        readings = [[rate_of_threads(work, number, seconds) for number in THREADS] for _ in range(rounds)]
        for place, number in enumerate(THREADS):
            rate = statistics.median(own[place] for own in readings) * len(corpus.tokens[MAIN])
            rows.append([kind, number, round(rate), statistics.median(own[place] / own[0] for own in readings)])
    return Curve("Throughput against threads, RS256-2048", ["what", "threads", "per second", "to one"], rows)


def hand_over(corpus: Corpus, seconds: float, rounds: int) -> Curve:
    """Whether another switch interval mends what two threads lose."""
    work = make_work(corpus, "cold")
    usual = sys.getswitchinterval()
    rows: list[list[object]] = []
    try:
        for interval in SWITCH_INTERVALS_SECONDS:
            sys.setswitchinterval(interval)
            ratios = [rate_of_threads(work, 2, seconds) / rate_of_threads(work, 1, seconds) for _ in range(rounds)]
            rows.append([f"{interval * 1000:g} ms", statistics.median(ratios)])
    finally:
        sys.setswitchinterval(usual)
    title = "Two threads over one, cold, by the interpreter's switch interval (5 ms is the default)"
    return Curve(title, ["switch interval", "two threads to one"], rows)
