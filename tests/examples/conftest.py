"""Django's settings, imported before every file that needs them, and a Python environment with the built wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.examples.installed import Installed
from tests.http import django_settings
from tests.missing import skip_missing

__all__ = ["django_settings"]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Make a Python environment with the built wheel and its dependencies, and nothing else of this project."""
    if find_spec("hatchling") is None:
        skip_missing("hatchling", "no wheel can be built without the network")
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    home = folder / "environment"
    venv.create(home)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(home)}))
    # A pure Python wheel is installed, without its dependencies, by unpacking it.
    with ZipFile(wheel) as packed:
        packed.extractall(packages)
    # The dependencies are found in this environment's folders. Python reads no .pth files in a folder that a .pth file
    # names, so the one that leads to the sources has no effect.
    (packages / "needed.pth").write_text("".join(f"{sysconfig.get_path(kind)}\n" for kind in ("purelib", "platlib")))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV_"))}
    return Installed(Path(sysconfig.get_path("scripts", "venv", {"base": str(home)})) / "python", environ)
