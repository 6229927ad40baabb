"""Every attack of the register is named: by a test here or elsewhere, or by a committed vector."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.conformance.collection import lines

HERE = Path(__file__).parent
IDS = (HERE / "ids.txt").read_text(encoding="utf-8").split()
ID = re.compile(r"\b[A-Z]{3}-[0-9]{3}\b")
# As part of the name of a test: `test_net_022_the_request_is_exactly_this`.
NAME = re.compile(r"\bdef test_([a-z]{3})_([0-9]{3})_")
SPAN = re.compile(r"\b([A-Z]{3})-([0-9]{3}) to (?:[A-Z]{3}-)?([0-9]{3})\b")
# Behind a proxy or in front of a framework: the tests of those areas name them, in files of their own.
ELSEWHERE = HERE / "elsewhere.txt"


def named_in(text: str) -> set[str]:
    """The ids in a text; `HTP-012 to 024` names all thirteen."""
    spans = {
        f"{family}-{number:03}" for family, low, high in SPAN.findall(text) for number in range(int(low), int(high) + 1)
    }
    names = {f"{family.upper()}-{number}" for family, number in NAME.findall(text)}
    return set(ID.findall(text)) | spans | names


def named_by_tests() -> set[str]:
    return {
        one
        for path in HERE.parent.rglob("*.py")
        if path.name != Path(__file__).name
        for one in named_in(path.read_text(encoding="utf-8"))
    }


def named_by_vectors() -> set[str]:
    return {line["id"].partition(".")[0] for line in lines("attacks")}


def test_every_attack_is_named_by_a_test_or_a_vector() -> None:
    elsewhere = named_in(ELSEWHERE.read_text(encoding="utf-8"))
    unnamed = set(IDS) - named_by_tests() - named_by_vectors() - elsewhere
    assert sorted(unnamed) == []


def test_what_is_tested_elsewhere_says_why() -> None:
    rows = [line for line in ELSEWHERE.read_text(encoding="utf-8").splitlines() if line]
    assert all(re.match(r"[A-Z]{3}-[0-9]{3}( to [0-9]{3})?: \S", line) for line in rows)
    assert named_in("\n".join(rows)) <= set(IDS)


def test_no_id_is_listed_twice() -> None:
    assert len(IDS) == len(set(IDS))


def test_the_list_of_ids_is_that_of_the_register() -> None:
    place = os.environ.get("AVEVERIFY_ATTACK_REGISTER")
    if not place:
        pytest.skip("AVEVERIFY_ATTACK_REGISTER does not name the register: whether ids.txt is whole was not checked")
    register = Path(place).read_text(encoding="utf-8")
    assert re.findall(r"^\| ([A-Z]{3}-[0-9]{3}) \|", register, re.MULTILINE) == IDS
