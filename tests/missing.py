"""Skips for programs that are not installed, all with one reason, so that the summary can count them.

`AVEVERIFY_REQUIRE=nginx,redis` makes each named program required: a test that misses it fails.
"""

from __future__ import annotations

import os
from typing import Final, NoReturn

import pytest

REASON_PREFIX: Final = "NOT RUN: "
REQUIRE_VARIABLE: Final = "AVEVERIFY_REQUIRE"


def skip_missing(program: str, detail: str = "") -> NoReturn:
    """Skip the running test, or fail it where the environment requires the program.

    Args:
        program: The name that the summary counts and that `AVEVERIFY_REQUIRE` lists, such as `nginx`.
        detail: What else the reader needs to know.
    """
    reason = f"{REASON_PREFIX}{program}" + (f" ({detail})" if detail else "")
    if program in map(str.strip, os.environ.get(REQUIRE_VARIABLE, "").split(",")):
        pytest.fail(f"{reason}; {REQUIRE_VARIABLE} requires it", pytrace=False)
    pytest.skip(reason)
