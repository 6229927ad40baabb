"""`Lane`: one interpreter with one set-up of the package. Each lane runs in a process of its own, on the same core."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from benchmarks.contestants import PEERS, Absent

# Read by the package once, at import: "0" keeps it on the standard library.
FAST_SWITCH = "AVEVERIFY_FAST"
FAST_PACKAGES = ("msgspec", "pybase64")
# The environment that `make .venv-bench-3.12` builds, for the peers that need that Python.
PEER_GROUPS = ("limit", "cold", "refused")
NEWER_PYTHON = Path(".venv-bench-3.12/bin/python")


@dataclass(frozen=True, slots=True)
class Lane:
    """One process of a run.

    Attributes:
        name: What the tables call it.
        python: Its interpreter.
        peers: Which peers it measures; each is measured in one lane only.
        environment: Variables on top of those of this process.
        groups: The only groups of cases that it times; all of them where there are none.
    """

    name: str
    python: str = sys.executable
    peers: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    groups: tuple[str, ...] = ()


STANDARD = Lane("standard", environment=MappingProxyType({FAST_SWITCH: "0"}))
FAST = Lane("fast", environment=MappingProxyType({FAST_SWITCH: "1"}))


def find_lanes() -> tuple[list[Lane], list[Absent]]:
    """Choose the lanes of a run on this machine.

    Returns:
        The lanes: the standard library with all peers of this Python, the extra `fast` where it is installed, and
        Python 3.12 with the peers that need it; and a visible row for each that is not there.
    """
    newer = "ryjwt"
    here = sys.version_info >= (3, 12)
    peers = tuple(peer for peer in PEERS if here or peer != newer)
    lanes = [Lane(STANDARD.name, peers=peers, environment=STANDARD.environment)]
    absent = []
    missing = [name for name in FAST_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        absent.append(Absent("environment fast", f"not measured: {', '.join(missing)} not installed"))
    else:
        lanes.append(FAST)
    if not here and usable(NEWER_PYTHON):
        lanes.append(Lane("Python 3.12", str(NEWER_PYTHON), (newer,), STANDARD.environment, PEER_GROUPS))
    elif not here:
        absent.append(Absent(newer, "not measured: needs Python 3.12 (`make .venv-bench-3.12`)"))
    return lanes, absent


def usable(python: Path) -> bool:
    """Whether an interpreter is there and starts."""
    if not python.exists():
        return False
    return subprocess.run([str(python), "-c", "import aveverify"], capture_output=True, check=False).returncode == 0
