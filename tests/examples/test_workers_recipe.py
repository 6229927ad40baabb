"""The code of `docs/workers.md`: an identity for code that serves no request."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from aveverify import ConfigurationError, Verifier, current_identity
from tests.examples.code_in_threads import pool, read_in_a_thread
from tests.examples.code_without_requests import author, import_notes, nightly


# region check
def test_notes_know_their_author(ave_verifier: Verifier, ave_token: Callable[..., str]) -> None:
    with current_identity.bind(ave_verifier.verify(ave_token(sub="ada"))):
        assert author() == "ada"


# endregion


def test_a_worker_acts_for_the_user_of_a_task(ave_verifier: Verifier, ave_token: Callable[..., str]) -> None:
    # As a queue passes it on.
    received = pickle.loads(pickle.dumps(ave_verifier.verify(ave_token(sub="ada"))))  # noqa: S301 - its own pickle
    assert import_notes(received) == "ada"


def test_a_command_acts_for_no_user() -> None:
    assert nightly() == "system"


def test_a_thread_has_the_identity_in_a_copy_of_the_context(
    ave_verifier: Verifier, ave_token: Callable[..., str]
) -> None:
    identity = ave_verifier.verify(ave_token(sub="ada"))
    with current_identity.bind(identity):
        assert read_in_a_thread() is identity
        with pytest.raises(ConfigurationError):
            pool.submit(current_identity.get).result()
