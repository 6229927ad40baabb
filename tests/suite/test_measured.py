"""Which tests coverage measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suite.measured import NOT_MEASURED, is_measured

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NOT_MEASURED)
def test_every_folder_and_file_that_is_left_out_exists(name: str) -> None:
    path = ROOT / name

    assert path.is_dir() if name.endswith("/") else path.is_file()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("core/test_verification.py", True),
        ("servers/forward_auth/test_forward_auth.py", True),
        ("property/test_lanes.py", True),
        ("property/test_reading.py", False),
        ("servers/http/test_http.py", False),
        ("http/test_contract.py", False),
        ("http/test_headers.py", True),
        ("a_new_folder/test_it.py", True),
    ],
)
def test_all_is_measured_but_what_is_left_out(file: str, *, expected: bool) -> None:
    assert is_measured(f"tests/{file}") is expected
