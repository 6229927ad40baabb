"""Django: a function of the project works under WSGI and under ASGI, and may ask the database, in any form."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest


@pytest.fixture(scope="module")
def rows() -> list[list[tuple[str, list[int]]]]:
    """What became of all requests in a project with a database: tests.http.django_functions."""
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.http.django_functions"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found: Any = json.loads(answer.stdout)
    return found  # type: ignore[no-any-return] # JSON


def test_every_function_asks_the_database_under_every_handler_and_view(rows: list[Any]) -> None:
    """USER_LOADER, CHECK, ALLOW and allow=, behind the middleware and in the decorators."""
    refused = {name: 403 if "allow" in name.lower() else 401 for name, _ in rows[0]}

    assert len(rows[0]) == 2 * 2 * 4 * 2 * 4
    assert [(name, found) for name, found in rows[0] if found != [200, refused[name]]] == []


def test_a_verifier_may_be_made_of_what_the_database_says(rows: list[Any]) -> None:
    """Also where a server imports the project while its event loop runs."""
    *asked, first, second = rows[1]

    assert len(asked) == 2 * 2 * 2 * 2
    assert [(name, found) for name, found in asked if found != [200, 200]] == []
    assert [first[1], second[1]] == [[1], [1]]
