"""One request of Flask or Django, read again and again."""

from __future__ import annotations

import pytest

from aveverify import InvalidTokenError, Verifier
from aveverify._http.policy import make_policy
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
