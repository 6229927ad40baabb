"""The machine, the Python and the versions that figures belong to."""

from __future__ import annotations

import datetime as dt
import os
import platform
import sys
import sysconfig
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cryptography.hazmat.backends.openssl.backend import backend

RUNS_ON = "aveverify runs on"
STANDARD_LIBRARY = "the standard library"
PACKAGES = (
    "aveverify", "cryptography", "msgspec", "pybase64", "PyJWT", "joserfc", "Authlib", "python-jose", "jwcrypto",
    "google-auth", "jwtoxide", "ryjwt", "starlette", "fastapi", "Flask", "Django", "uvicorn", "uvloop", "httptools",
)  # fmt: skip


def describe_machine() -> dict[str, str]:
    """Processor, system and day."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} logical cores",
        "system": f"{platform.system()} {platform.release()}",
    }


def describe_python() -> dict[str, str]:
    """Interpreter, versions, and the accelerators that the package itself loads; called before peers are imported."""
    import_module("aveverify")
    loaded = [name for name in ("msgspec", "pybase64") if name in sys.modules]
    return {
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {python_build()}",
        "OpenSSL": backend.openssl_version_text(),
        RUNS_ON: " and ".join(loaded) or STANDARD_LIBRARY,
        **{name: installed for name in PACKAGES if (installed := find_version(name))},
    }


def python_build() -> str:
    """Whether this Python was built with profile-guided and link-time optimisation, which matters by a tenth."""
    options = f"{sysconfig.get_config_var('CONFIG_ARGS') or ''} {sysconfig.get_config_var('PY_CORE_LDFLAGS') or ''}"
    pgo = "with PGO" if "--enable-optimizations" in options else "without PGO"
    return f"{pgo}, {'with LTO' if '--with-lto' in options else 'without LTO'}"


def find_version(name: str) -> str:
    """The installed version of a package; the empty text where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def processor() -> str:
    """The name of the processor, as far as this system gives it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def last_core() -> int | None:
    """The core that measurements are pinned to; None where this system cannot pin."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
