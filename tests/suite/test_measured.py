"""Which tests coverage measures."""

from __future__ import annotations

import pytest

from tests.suite.measured import NOT_MEASURED, TESTS, is_measured


@pytest.mark.parametrize("folder", NOT_MEASURED)
def test_every_folder_that_is_left_out_exists(folder: str) -> None:
    assert (TESTS / folder).is_dir()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("core/test_verification.py", True),
        ("servers/forward_auth/test_forward_auth.py", True),
        ("property/test_lanes.py", True),
        ("property/test_reading.py", False),
        ("servers/http/test_http.py", False),
        ("a_new_folder/test_it.py", True),
    ],
)
def test_all_is_measured_but_what_is_left_out(file: str, *, expected: bool) -> None:
    assert is_measured(TESTS / file) is expected
