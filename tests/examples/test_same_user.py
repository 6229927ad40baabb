"""The upsert of the example keeps one row per user, in any order of sign-ins and with many at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from threading import Barrier

import pytest

from aveverify import Provider, Verifier
from aveverify.testing import FakeIssuer
from examples.same_user.users import connect, sign_in


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Connection]:
    with closing(connect(tmp_path / "users.sqlite")) as database:
        yield database


def count(database: Connection) -> int:
    (rows,) = database.execute("SELECT count(*) FROM users").fetchone()
    return int(rows)


def test_a_user_who_comes_back_has_the_same_row(
    database: Connection, ave_verifier: Verifier, ave_issuer: FakeIssuer
) -> None:
    first = sign_in(database, ave_verifier.verify(ave_issuer.token(sub="ada")), 1)
    second = sign_in(database, ave_verifier.verify(ave_issuer.token(sub="ada", plan="pro")), 2)
    assert (first.id, first.token_identifier) == (second.id, "https://issuer.test|ada")
    assert count(database) == 1


def test_the_profile_follows_the_issuer(database: Connection, ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    sign_in(database, ave_verifier.verify(ave_issuer.token()), 1)
    renamed = ave_issuer.token(name="Ada King", omit=("email",))
    user = sign_in(database, ave_verifier.verify(renamed), 2)
    assert (user.name, user.email) == ("Ada King", None)


def test_an_older_token_restores_no_older_profile(
    database: Connection, ave_verifier: Verifier, ave_issuer: FakeIssuer
) -> None:
    sign_in(database, ave_verifier.verify(ave_issuer.token(name="Ada King")), 2)
    user = sign_in(database, ave_verifier.verify(ave_issuer.token(name="Ada Byron")), 1)
    assert user.name == "Ada King"


def test_many_sign_ins_at_once_make_one_row(tmp_path: Path, ave_verifier: Verifier, ave_issuer: FakeIssuer) -> None:
    path = tmp_path / "users.sqlite"
    connect(path).close()
    identity = ave_verifier.verify(ave_issuer.token())
    barrier = Barrier(8)

    def work(number: int) -> int:
        with closing(connect(path)) as database:
            barrier.wait()
            return sign_in(database, identity, number).id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(work, range(8)))) == 1
    with closing(connect(path)) as database:
        assert count(database) == 1
        assert database.execute("SELECT signed_in_at FROM users").fetchone() == (7,)


def test_two_users_with_the_same_joined_text_have_two_rows(database: Connection, ave_issuer: FakeIssuer) -> None:
    """CLM-066: the pair is unique, the text is not."""
    base = ave_issuer.issuer
    providers = [
        Provider.custom_jwt(issuer=url, jwks=ave_issuer.jwks_uri, algorithm="RS256", application_id="app_test")
        for url in (f"{base}/a", f"{base}/a|b")
    ]
    with ave_issuer.verifier(*providers) as verifier:
        one = sign_in(database, verifier.verify(ave_issuer.token(iss=f"{base}/a", sub="b|c")), 1)
        other = sign_in(database, verifier.verify(ave_issuer.token(iss=f"{base}/a|b", sub="c")), 1)
    assert one.token_identifier == other.token_identifier
    assert one.id != other.id
