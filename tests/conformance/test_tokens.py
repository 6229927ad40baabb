"""Every token vector, through `verify` and `verify_async`: fresh, warm, and by a verifier that knows its header.

The last has no token cache, and has accepted other tokens of the same vector's configuration before: what it knows of
their headers changes no answer.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

from tests.conformance.batches import check_each, in_batches
from tests.conformance.collection import Primers, TokenVector, token_vectors
from tests.conformance.vector_environment import VectorEnvironment, ask, ask_async, exact

ROUNDS = ("fresh", "warm")


def check_all(batch: list[TokenVector]) -> None:
    """Check every vector of a batch, in one event loop."""
    with asyncio.Runner() as runner:
        check_each(batch, lambda vector: check(vector, runner))


def check(vector: TokenVector, runner: asyncio.Runner) -> None:
    """Compare every way of asking with the expected answer; no request may go to an address from a token."""
    for token in vector.presentations:
        environment = VectorEnvironment(vector)
        answers = {**answers_of_verify(environment, token), **runner.run(answers_of_verify_async(environment, token))}
        answers |= answers_with_known_headers(environment, token, PRIMERS.of(vector))
        assert exact(answers) == exact(dict.fromkeys(answers, vector.expect))
        assert environment.endpoints.strays == []


def answers_of_verify(environment: VectorEnvironment, token: str | bytes) -> dict[str, Any]:
    """Ask a fresh verifier, and once more."""
    with closing(environment.verifier()) as verifier:
        return {f"verify, {state}": ask(verifier.verify, token) for state in ROUNDS}


async def answers_of_verify_async(environment: VectorEnvironment, token: str | bytes) -> dict[str, Any]:
    """Ask a fresh verifier, and once more."""
    with closing(environment.verifier()) as verifier:
        return {f"verify_async, {state}": await ask_async(verifier.verify_async, token) for state in ROUNDS}


def answers_with_known_headers(
    environment: VectorEnvironment, token: str | bytes, primers: tuple[str | bytes, ...]
) -> dict[str, Any]:
    """Ask a verifier that remembers headers and no tokens, twice."""
    with closing(environment.verifier(token_cache_size=0)) as verifier:
        for primer in primers:
            ask(verifier.verify, primer)
        return {f"verify, known header, {state}": ask(verifier.verify, token) for state in ROUNDS}


PRIMERS = Primers([*token_vectors("convex"), *token_vectors("attacks")])


def test_many_refused_tokens_meet_a_known_header() -> None:
    """Otherwise the third way would be the first one under another name."""
    refused = [vector for vector in PRIMERS.vectors if vector.expect["verdict"] != "accept"]

    assert sum(bool(PRIMERS.of(vector)) for vector in refused) > len(refused) / 4


@in_batches(token_vectors("convex"))
def test_a_token_gets_the_answer_that_convex_gives(batch: list[TokenVector]) -> None:
    check_all(batch)


@in_batches(token_vectors("attacks"))
def test_an_attack_is_refused_and_the_good_token_beside_it_accepted(batch: list[TokenVector]) -> None:
    check_all(batch)
