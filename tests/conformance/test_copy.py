"""The committed vectors are complete, small, and those of their source."""

from __future__ import annotations

import gzip

import pytest

from tests.conformance.collection import FOLDERS, HERE, committed, config_vectors, lines, token_vectors
from tests.conformance.refresh import source_files, source_folder

# What the two folders held when they were last taken over; `make vectors` may change it, damage may not.
CASES = {"convex": 2303, "attacks": 2774}
MAX_BYTES = 1_000_000


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_case_of_a_folder_is_run(folder: str) -> None:
    assert len(token_vectors(folder)) + len(config_vectors(folder)) == CASES[folder]


def test_configurations_stand_only_where_they_are_run() -> None:
    assert config_vectors("attacks") == []


def test_no_two_cases_share_an_id() -> None:
    names = [line["id"] for folder in FOLDERS for line in lines(folder)]

    assert len(names) == len(set(names))


def test_the_copies_stay_small_enough_to_be_cloned() -> None:
    assert sum(path.stat().st_size for path in committed()) < MAX_BYTES


def test_the_copies_hold_neither_a_time_nor_a_name() -> None:
    # RFC 1952 §2.3: bytes 4 to 7 are the time, bit 3 of byte 3 says that a file name follows.
    headers = {path.name: path.read_bytes()[:8] for path in committed()}

    assert {name for name, header in headers.items() if header[3:] != bytes(5)} == set()


def test_the_copies_are_those_of_the_source_folder() -> None:
    source = source_folder()
    if source is None:
        pytest.skip("AVEVERIFY_VECTORS is not set: the committed vectors were not compared with their source")
    files = source_files(source)

    assert sorted(committed()) == sorted(files)
    changed = [
        str(copy.relative_to(HERE))
        for copy, original in files.items()
        if gzip.decompress(copy.read_bytes()) != original.read_bytes()
    ]
    assert changed == [], "run `make vectors`"
