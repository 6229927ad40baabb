"""The contestants: one file for each library, each used as its documentation recommends, with the same checks.

The checks are: signature under one known key and one algorithm, `iss`, `aud`, and an `exp` that is there and ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from benchmarks.corpus import Corpus

Verify = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to verify a token.

    Attributes:
        name: What the tables call it.
        make: Prepares everything that is kept between tokens for one key of the corpus, and returns what is timed.
        algorithms: The keys of the corpus that it can use.
        note: What has to be known to read its figures; the empty text where there is nothing.
    """

    name: str
    make: Callable[[Corpus, str], Verify]
    algorithms: tuple[str, ...] = ("RS256-2048", "RS256-4096", "ES256", "EdDSA")
    note: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """A row that is shown without a figure, and why."""

    name: str
    reason: str


PEERS = ("pyjwt", "joserfc", "authlib", "python_jose", "jwcrypto", "google_auth", "jwtoxide", "ryjwt")


def load_peers(names: tuple[str, ...] = PEERS) -> tuple[list[Contestant], list[Absent]]:
    """Import the peers that are installed here.

    Args:
        names: Files of this folder.

    Returns:
        The contestants, and a visible row for each peer that is not here.
    """
    found: list[Contestant] = []
    absent: list[Absent] = []
    for name in names:
        try:
            found += import_module(f"benchmarks.contestants.{name}").CONTESTANTS
        except ImportError as error:
            absent.append(Absent(name, f"not measured: {error.name} is not installed here"))
    return found, absent
