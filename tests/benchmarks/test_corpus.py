"""The tokens of the benchmarks are what their names say: the verifier accepts and refuses them accordingly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from cryptography.exceptions import InvalidSignature

from aveverify import InvalidTokenError, Reason, Verifier
from benchmarks.case import UnexpectedOutcomeError
from benchmarks.cases.strictness import ESSENTIAL, try_flaws
from benchmarks.cases.verification import REASONS
from benchmarks.contestants import Contestant, load_peers
from benchmarks.contestants.ours import OURS, make_verifier, oidc, provider_of
from benchmarks.contestants.raw import decode, make_raw
from benchmarks.corpus import Corpus, respell, serve_corpus, split

KEYS = ("RS256-2048", "ES256", "EdDSA")
FLAWS = {
    "flipped signature": Reason.BAD_SIGNATURE,
    "expired": Reason.EXPIRED,
    "wrong iss": Reason.UNKNOWN_ISSUER,
    "wrong aud": Reason.AUDIENCE_MISMATCH,
    "no exp": Reason.CLAIM_MISSING,
    "second spelling": Reason.MALFORMED_SIGNATURE,
    "padded signature": Reason.MALFORMED_SIGNATURE,
}


@pytest.fixture(scope="module")
def corpus() -> Iterator[Corpus]:
    with serve_corpus(3, KEYS) as made:
        yield made


def reason_of(verifier: Verifier, token: str) -> Reason | None:
    try:
        verifier.verify(token)
    except InvalidTokenError as error:
        return error.reason
    return None


@pytest.mark.parametrize("name", KEYS)
def test_good_tokens_are_accepted_and_all_distinct(corpus: Corpus, name: str) -> None:
    verifier = make_verifier(provider_of(corpus, name))
    assert [reason_of(verifier, token) for token in corpus.tokens[name]] == [None] * 3
    assert len(set(corpus.tokens[name])) == 3


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_wrong_token_has_the_flaw_that_it_is_named_after(corpus: Corpus, flaw: str) -> None:
    assert reason_of(make_verifier(oidc(corpus)), corpus.flaws["RS256-2048"][flaw]) is FLAWS[flaw]


@pytest.mark.parametrize("kind", REASONS)
def test_a_refused_token_is_refused_for_the_reason_of_its_case(corpus: Corpus, kind: str) -> None:
    verifier = make_verifier(oidc(corpus))
    assert {reason_of(verifier, token) for token in corpus.refused[kind]} == {REASONS[kind]}


@pytest.mark.parametrize("name", KEYS)
def test_a_second_spelling_decodes_to_the_same_signature(corpus: Corpus, name: str) -> None:
    token = corpus.tokens[name][0]
    respelled = respell(token)
    assert respelled != token
    assert decode(split(respelled)[1]) == decode(split(token)[1])


def test_the_token_has_the_size_and_the_claims_of_an_ordinary_sign_in(corpus: Corpus) -> None:
    token = corpus.tokens["RS256-2048"][0]
    assert len(jwt.decode(token, options={"verify_signature": False})) == 13
    assert len(jwt.get_unverified_header(token)["kid"]) == 43
    assert 900 <= len(token) <= 1_050


def test_the_corpus_comes_back_from_its_file_as_it_was(corpus: Corpus, tmp_path: Path) -> None:
    corpus.write(tmp_path / "corpus.json")
    assert Corpus.read(tmp_path / "corpus.json") == corpus


@pytest.mark.parametrize("name", KEYS)
def test_the_bare_check_is_a_real_one(corpus: Corpus, name: str) -> None:
    check, pairs = make_raw(corpus, name)
    for pair in pairs:
        check(pair)
    with pytest.raises(InvalidSignature):
        check((pairs[0][0], b"another signing input"))


@pytest.mark.parametrize("name", KEYS)
def test_we_refuse_every_flaw(corpus: Corpus, name: str) -> None:
    assert set(try_flaws(OURS, OURS.make(corpus, name), corpus, name).values()) == {True}


def test_a_contestant_that_skips_an_essential_check_is_not_timed(corpus: Corpus) -> None:
    lax = Contestant("lax", lambda _corpus, _name: jwt.get_unverified_header)
    with pytest.raises(UnexpectedOutcomeError, match=ESSENTIAL[0]):
        try_flaws(lax, lax.make(corpus, "RS256-2048"), corpus, "RS256-2048")


def test_a_contestant_that_refuses_everything_is_not_timed(corpus: Corpus) -> None:
    def refuse(_token: str) -> object:
        raise ValueError

    with pytest.raises(UnexpectedOutcomeError, match="good token"):
        try_flaws(Contestant("broken", lambda _corpus, _name: refuse), refuse, corpus, "RS256-2048")


def test_a_peer_that_is_not_installed_is_a_row_with_its_reason() -> None:
    _, absent = load_peers(("no_such_peer",))
    assert [(row.name, row.reason) for row in absent] == [
        ("no_such_peer", "not measured: benchmarks.contestants.no_such_peer is not installed here")
    ]
