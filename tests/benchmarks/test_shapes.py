"""Hostile shapes: each has the length and the kind that its name says."""

from __future__ import annotations

import json

import pytest

from benchmarks.scale.shapes import TEXTS, VALUES, text_shape


@pytest.mark.parametrize("size", [100, 1_000, 10_000], ids=str)
@pytest.mark.parametrize("shape", VALUES)
def test_a_value_is_about_as_long_as_it_says(shape: str, size: int) -> None:
    assert 0.8 * size <= len(VALUES[shape](size)) <= 1.2 * size + 12


@pytest.mark.parametrize("shape", VALUES)
def test_a_value_is_json(shape: str) -> None:
    json.loads(VALUES[shape](1_000))


@pytest.mark.parametrize("shape", TEXTS)
def test_a_text_is_never_longer_than_it_says(shape: str) -> None:
    assert len(text_shape(shape, 2_000)) <= 2_000
