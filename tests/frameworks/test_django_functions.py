"""Django: a function of the project works under WSGI and under ASGI, and may ask the database, in any form."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from aveverify import Verifier
from aveverify.django import ave_required
from aveverify.django._calls import DjangoCalls
from tests.http import django_settings  # noqa: F401 - configures Django
from tests.http.django_client import MIDDLEWARE, send_to_asgi_handler, send_to_wsgi_handler
from tests.http.http_fixtures import Reply, Request, bearer


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


def stop(_argument: object = None) -> NoReturn:
    """A function of the project that asks an iterator for too much."""
    raise StopIteration


def test_a_stop_iteration_of_a_function_ends_its_thread() -> None:
    """HTP-044: a future of asyncio does not accept one, and the request would never be answered."""

    async def call() -> object:
        task = asyncio.create_task(DjangoCalls().call_async(stop, None))
        done, _pending = await asyncio.wait([task], timeout=5)
        assert done
        return await task

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(call())
    with pytest.raises(RuntimeError, match="StopIteration"):
        DjangoCalls().call("check", stop, None)
    with pytest.raises(RuntimeError, match="StopIteration"):
        DjangoCalls().call_at_start("VERIFIER", stop)


def view(_request: HttpRequest) -> HttpResponse:
    """A view that runs in a thread, over ASGI."""
    return HttpResponse()


async def view_async(_request: HttpRequest) -> HttpResponse:
    """One that runs in the event loop."""
    return HttpResponse()


@pytest.mark.parametrize("send", [send_to_wsgi_handler, send_to_asgi_handler], ids=["WSGI", "ASGI"])
@pytest.mark.parametrize("middleware", [MIDDLEWARE, []], ids=["middleware", "decorator"])
@pytest.mark.parametrize("view", [view, view_async])
@pytest.mark.parametrize("name", ["CHECK", "ALLOW", "USER_LOADER", "allow"])
def test_every_function_may_raise_a_stop_iteration(  # noqa: PLR0913, PLR0917 - columns of a table
    name: str,
    view: Any,
    middleware: list[str],
    send: Callable[[Request], Reply],
    shared_verifier: Verifier,
    tokens: dict[str, str],
) -> None:
    guarded = ave_required(allow=stop)(view) if name == "allow" else ave_required(view)
    options: dict[str, Any] = {} if name == "allow" else {name: stop}

    with (
        override_settings(
            AVEVERIFY={"VERIFIER": shared_verifier} | options,
            MIDDLEWARE=middleware,
            ROOT_URLCONF=(path("", guarded),),
        ),
        pytest.raises(RuntimeError, match="StopIteration"),
    ):
        send(Request(bearer(tokens["good"])))
