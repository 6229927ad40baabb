"""The examples of RFC 7515, 7520 and 8037, at the JWS layer: no claims are looked at (POS-013)."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.conformance.collection import HERE
from tests.conformance.jws import payload_of, public_key

EXAMPLES = json.loads(gzip.decompress((HERE / "rfc.json.gz").read_bytes()))


def source(example: dict[str, Any]) -> str:
    """Where an example stands, as the id of its test."""
    text: str = example["source"]
    return text


@pytest.mark.parametrize("example", EXAMPLES["valid"], ids=source)
def test_an_example_with_an_allowed_algorithm_gives_its_payload(example: dict[str, Any]) -> None:
    key = public_key(example["jwk"])

    assert key is not None
    assert key.algorithm.name == example["alg"]
    assert payload_of(example["jws"].encode(), [example["jwk"]]) == example["payload"].encode()


@pytest.mark.parametrize("example", EXAMPLES["refused"], ids=source)
def test_an_example_with_another_algorithm_is_refused_under_every_key(example: dict[str, Any]) -> None:
    keys = [valid["jwk"] for valid in EXAMPLES["valid"]]
    keys += [example["jwk"]] if "jwk" in example else []

    assert payload_of(example["jws"].encode(), keys) is None
