"""One request of Flask or Django, read again and again."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest

from aveverify import Identity, InvalidTokenError, Verifier
from aveverify._http.policy import Denial, make_policy
from aveverify._http.request_auth import RequestAuth
from tests.frameworks.error_frames import frames_of
from tests.http.http_fixtures import Request, bearer, wsgi_environ


def test_reading_the_identity_again_raises_the_refusal_without_the_frames_of_the_first_read(
    shared_verifier: Verifier, tokens: dict[str, str]
) -> None:
    """A view that reads it in a loop must not fill the memory, nor a crash report show what the first reader held."""
    request_auth = RequestAuth(
        make_policy(shared_verifier, required=False), wsgi_environ(Request(bearer(tokens["expired"]))), "/"
    )
    depths: set[int] = set()

    for _ in range(5):
        with pytest.raises(InvalidTokenError) as caught:
            request_auth.identity_or_raise()
        depths.add(len(frames_of(caught.value)))

    assert len(depths) == 1


@pytest.mark.parametrize("name", ["check", "allow", "render_refusal"])
def test_functions_of_the_application_that_ask_for_the_identity_are_not_asked_again(
    shared_verifier: Verifier, tokens: dict[str, str], name: str
) -> None:
    """HTP-044: there is none before it is decided; each request that asked again would fill stack and log."""
    seen: list[object] = []

    def ask(_argument: object) -> Any:
        seen.append(request_auth.identity_or_raise())
        return {"check": None, "allow": True, "render_refusal": ("text/plain", "no")}[name]

    options: Any = {name: ask}
    kind = "expired" if name == "render_refusal" else "good"
    request_auth = RequestAuth(
        make_policy(shared_verifier, required=False, **options), wsgi_environ(Request(bearer(tokens[kind]))), "/"
    )
    outcome = request_auth.authenticate()

    assert seen == [None]
    assert isinstance(outcome, Denial if name == "render_refusal" else Identity)
    assert request_auth.authenticate() is outcome


def test_a_thread_that_asks_meanwhile_decides_by_itself(shared_verifier: Verifier, tokens: dict[str, str]) -> None:
    """Only the functions that the same thread is in get no identity."""
    seen: list[Identity | None] = []
    asked: list[bool] = []

    def check(_identity: Identity) -> None:
        if not asked:
            asked.append(True)
            thread = Thread(target=lambda: seen.append(request_auth.identity_or_raise()))
            thread.start()
            thread.join()

    request_auth = RequestAuth(
        make_policy(shared_verifier, required=False, check=check), wsgi_environ(Request(bearer(tokens["good"]))), "/"
    )
    outcome = request_auth.authenticate()

    assert isinstance(outcome, Identity)
    assert seen == [outcome]
