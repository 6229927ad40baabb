"""The extra `fast`: used where it is installed, not missed where it is not, and left out by a switch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aveverify import _accelerators
from tests.missing import skip_missing


@pytest.mark.parametrize("package", ["msgspec", "pybase64"])
def test_one_missing_package_leaves_both_unused(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    assert _accelerators.load() is None


@pytest.mark.parametrize(("switch", "used"), [("0", "False"), ("1", "True"), ("", "True")], ids=["off", "on", "empty"])
def test_the_switch_is_read_once_at_the_start(switch: str, used: str) -> None:
    if _accelerators.load() is None:
        skip_missing("fast", "an extra of the package")
    code = "from aveverify import _accelerators as it; print(it.ACCELERATORS is not None)"
    completed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=50, env={"AVEVERIFY_FAST": switch},
    )  # fmt: skip

    assert completed.stdout.strip() == used


def test_jsn_020_numbers_near_the_ends_of_a_double_are_left_to_python() -> None:
    """A token full of `1e308` took msgspec's own reader 30 ms."""
    accelerators = _accelerators.load()
    if accelerators is None:
        skip_missing("fast", "an extra of the package")

    assert accelerators.decode_json.__self__.float_hook is float  # type: ignore[attr-defined]  # of a bound method
    assert accelerators.decode_json(b"[1e308,5e-324,-0.0]") == [1e308, 5e-324, -0.0]
