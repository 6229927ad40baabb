"""The share of examples and vectors that a run tries."""

from __future__ import annotations

import pytest

from tests.suite.effort import VARIABLE, examples, in_sample


@pytest.mark.parametrize(
    ("share", "expected"),
    [(None, 100), ("all", 300), ("third", 100), ("fifth", 60)],
    ids=["unset", "all", "1/3", "1/5"],
)
def test_a_run_tries_the_share_of_examples_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, share: str | None, expected: int
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if share is not None:
        monkeypatch.setenv(VARIABLE, share)

    assert examples(300) == expected
    assert examples(1) == 1


def test_an_unknown_share_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "half")

    with pytest.raises(KeyError):
        examples(300)


def test_a_sample_is_about_its_share_and_always_the_same() -> None:
    names = [f"tests/conformance/test_tokens.py::test[{number}]" for number in range(5000)]
    sample = [name for name in names if in_sample(name, 10)]

    assert 400 < len(sample) < 600
    assert [name for name in reversed(names) if in_sample(name, 10)] == sample[::-1]
    assert [name for name in names if in_sample(name, 1)] == names
