"""A missing program skips its tests with a reason that can be counted, and fails them where it is required."""

from __future__ import annotations

import pytest

from tests.missing import REQUIRE_VARIABLE, skip_missing


@pytest.mark.parametrize("required", [None, "", "caddy, redis"], ids=["unset", "empty", "others"])
def test_a_missing_program_skips_the_test(monkeypatch: pytest.MonkeyPatch, required: str | None) -> None:
    monkeypatch.delenv(REQUIRE_VARIABLE, raising=False)
    if required is not None:
        monkeypatch.setenv(REQUIRE_VARIABLE, required)

    with pytest.raises(pytest.skip.Exception, match=r"^NOT RUN: nginx$"):
        skip_missing("nginx")
    with pytest.raises(pytest.skip.Exception, match=r"^NOT RUN: nginx \(no package\)$"):
        skip_missing("nginx", "no package")


def test_a_required_program_that_is_missing_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE_VARIABLE, "caddy, nginx")

    with pytest.raises(pytest.fail.Exception, match=r"^NOT RUN: nginx; AVEVERIFY_REQUIRE requires it$"):
        skip_missing("nginx")
