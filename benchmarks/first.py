"""One fresh process, one verification: `python -m benchmarks.first CORPUS CONTESTANT known`; prints milliseconds.

`known` begins when the key is loaded; `fetched` begins before there is a verifier, and includes the fetch. Imports are
made before, except those that a library makes when it fetches.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import perf_counter

from benchmarks.corpus import Corpus

MAIN = "RS256-2048"


def main() -> None:
    """Verify one token, and print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("contestant")
    parser.add_argument("kind", choices=("known", "fetched"))
    arguments = parser.parse_args()
    corpus = Corpus.read(arguments.corpus)
    module = import_module(f"benchmarks.contestants.{arguments.contestant}")
    token = corpus.tokens[MAIN][0]
    make: Callable[[Corpus, str], Callable[[str], object]]
    if arguments.kind == "known":
        make = module.OURS.make if arguments.contestant == "ours" else module.CONTESTANTS[0].make
        verify = make(corpus, MAIN)
        begun = perf_counter()
    else:
        make = module.make_fetching
        begun = perf_counter()
        verify = make(corpus, MAIN)
    verify(token)
    print(json.dumps((perf_counter() - begun) * 1000))


if __name__ == "__main__":
    main()
