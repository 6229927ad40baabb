"""Every token vector, through `verify` and `verify_async`: fresh, warm, and by a verifier that knows its header.

The last remembers no tokens, and has accepted others of the same world before: what it remembers of their headers, and
of its own at the second time, changes no answer.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import pytest

from tests.conformance.collection import Primers, TokenVector, token_vectors
from tests.conformance.vector_environment import World, ask, ask_async, exact

ROUNDS = ("fresh", "warm")


def name(vector: TokenVector) -> str:
    """The id of a vector, as the id of its test."""
    return vector.name


def check(vector: TokenVector) -> None:
    """Compare every way of asking with the expected answer, and see that no request was led astray."""
    for token in vector.presentations:
        world = World(vector)
        answers = {**answers_of_verify(world, token), **asyncio.run(answers_of_verify_async(world, token))}
        answers |= answers_with_known_headers(world, token, PRIMERS.of(vector))
        assert exact(answers) == exact(dict.fromkeys(answers, vector.expect))
        assert world.endpoints.strays == []


def answers_of_verify(world: World, token: str | bytes) -> dict[str, Any]:
    """Ask a fresh verifier, and once more."""
    with closing(world.verifier()) as verifier:
        return {f"verify, {state}": ask(verifier.verify, token) for state in ROUNDS}


async def answers_of_verify_async(world: World, token: str | bytes) -> dict[str, Any]:
    """Ask a fresh verifier, and once more."""
    with closing(world.verifier()) as verifier:
        return {f"verify_async, {state}": await ask_async(verifier.verify_async, token) for state in ROUNDS}


def answers_with_known_headers(world: World, token: str | bytes, primers: tuple[str | bytes, ...]) -> dict[str, Any]:
    """Ask a verifier that remembers headers and no tokens, twice."""
    with closing(world.verifier(token_cache_size=0)) as verifier:
        for primer in primers:
            ask(verifier.verify, primer)
        return {f"verify, known header, {state}": ask(verifier.verify, token) for state in ROUNDS}


PRIMERS = Primers([*token_vectors("convex"), *token_vectors("attacks")])


def test_many_refused_tokens_meet_a_known_header() -> None:
    """Without this the path above would be the fresh one under another name."""
    refused = [vector for vector in PRIMERS.vectors if vector.expect["verdict"] != "accept"]

    assert sum(bool(PRIMERS.of(vector)) for vector in refused) > len(refused) / 4


@pytest.mark.parametrize("vector", token_vectors("convex"), ids=name)
def test_a_token_gets_the_answer_that_convex_gives(vector: TokenVector) -> None:
    check(vector)


@pytest.mark.parametrize("vector", token_vectors("attacks"), ids=name)
def test_an_attack_is_refused_and_the_good_token_beside_it_accepted(vector: TokenVector) -> None:
    check(vector)
