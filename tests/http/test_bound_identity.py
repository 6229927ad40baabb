"""`current_identity.bind`: an identity for a block of code, and what the block does not leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from contextvars import copy_context
from threading import Thread
from typing import Any

import pytest

from aveverify import ConfigurationError, Identity, Verifier, current_identity
from aveverify.errors import Problem
from tests.http.http_fixtures import Scenario


@pytest.fixture
def ada(tokens: dict[str, str], shared_verifier: Verifier) -> Identity:
    return shared_verifier.verify(tokens["good"])


@pytest.fixture
def grace(tokens: dict[str, str], shared_verifier: Verifier) -> Identity:
    return shared_verifier.verify(tokens["other"])


def assert_nothing_is_bound() -> None:
    assert current_identity.find_bound() is None
    with pytest.raises(ConfigurationError) as caught:
        current_identity.get()
    assert caught.value.problem is Problem.NO_REQUEST


def test_a_block_of_code_has_the_identity_and_what_follows_has_none(ada: Identity) -> None:
    with current_identity.bind(ada):
        assert current_identity.get() is ada
    assert_nothing_is_bound()


def test_a_function_has_the_identity_at_every_call(ada: Identity) -> None:
    get_bound = current_identity.bind(ada)(current_identity.get)

    assert [get_bound(), get_bound()] == [ada, ada]
    assert_nothing_is_bound()


def test_no_identity_makes_the_block_anonymous(ada: Identity) -> None:
    with current_identity.bind(ada), current_identity.bind(None):
        assert current_identity.get() is None
        bound = current_identity.find_bound()
        assert bound is not None
        assert bound.identity is None


def test_of_nested_blocks_the_innermost_counts(ada: Identity, grace: Identity) -> None:
    with current_identity.bind(ada):
        with current_identity.bind(grace):
            assert current_identity.get() is grace
        assert current_identity.get() is ada


@pytest.mark.parametrize("thing", ["ada", {"sub": "ada"}, 0, False, object()], ids=lambda thing: type(thing).__name__)
def test_only_what_a_verifier_made_can_be_bound(thing: Any) -> None:
    """HTTP-06."""
    with pytest.raises(TypeError), current_identity.bind(thing):
        raise NotImplementedError
    assert_nothing_is_bound()


def test_the_identity_goes_with_the_block_also_if_it_fails(ada: Identity) -> None:
    with pytest.raises(ZeroDivisionError), current_identity.bind(ada):
        raise ZeroDivisionError
    assert_nothing_is_bound()


def test_no_copy_of_the_context_knows_the_identity_after_the_block(ada: Identity, grace: Identity) -> None:
    """HTP-010, HTP-037: nor does it fall back to another user, whose request may have ended as well."""
    with current_identity.bind(grace), current_identity.bind(ada):
        copy = copy_context()
        assert copy.run(current_identity.get) is ada

    copy.run(assert_nothing_is_bound)


def test_a_thread_has_the_identity_in_a_copy_of_the_context_only(ada: Identity) -> None:
    seen: list[object] = []

    def work() -> None:
        seen.append(current_identity.get())

    with current_identity.bind(ada):
        for target, arguments in ((assert_nothing_is_bound, ()), (copy_context().run, (work,))):
            thread = Thread(target=target, args=arguments)
            thread.start()
            thread.join()

    assert seen == [ada]


def test_tasks_have_the_identity_of_the_block_that_began_them(ada: Identity, grace: Identity) -> None:
    """CON-001."""

    async def work(identity: Identity) -> None:
        with current_identity.bind(identity):
            for _ in range(3):
                await asyncio.sleep(0)
                assert await asyncio.create_task(read()) is identity

    async def read() -> Identity | None:
        return current_identity.get()

    async def run() -> None:
        await asyncio.gather(work(ada), work(grace))
        assert_nothing_is_bound()

    asyncio.run(run())


def test_a_generator_that_is_closed_in_another_context_leaves_no_identity_behind(ada: Identity) -> None:
    """HTP-037: the server of a stream, or pytest's fixtures, may run each step in a context of its own."""

    def steps() -> Generator[None]:
        with current_identity.bind(ada):
            yield

    generator, first = steps(), copy_context()
    first.run(next, generator)
    assert first.run(current_identity.get) is ada
    copy_context().run(generator.close)

    first.run(assert_nothing_is_bound)


def test_a_block_within_a_request_has_its_own_identity_until_it_ends(scenario: Scenario, grace: Identity) -> None:
    """HTP-037."""
    seen: list[str | None] = []

    def view(_request: object) -> str:
        for identity in (grace, None):
            with current_identity.bind(identity):
                seen.append(subject())
            seen.append(subject())
        return "seen"

    with current_identity.bind(grace):
        scenario.get(scenario.bearer("good"), view=view, required=False)
        assert subject() == "grace"

    assert seen == ["grace", "ada", None, "ada"]
    assert_nothing_is_bound()


def subject() -> str | None:
    identity = current_identity.get()
    return None if identity is None else identity.subject


def test_a_coroutine_function_runs_within_the_block(ada: Identity) -> None:
    """HTP-037: also within a request of another user, whose identity it must not take."""

    @current_identity.bind(None)
    async def inner() -> Identity | None:
        await asyncio.sleep(0)
        return current_identity.get()

    @current_identity.bind(ada)
    async def outer() -> list[Identity | None]:
        return [current_identity.get(), await inner(), current_identity.get()]

    assert asyncio.run(outer()) == [ada, None, ada]
    assert inner.__name__ == "inner"


def test_each_call_of_a_function_has_a_block_of_its_own(ada: Identity) -> None:
    @current_identity.bind(ada)
    def count_down(number: int) -> Identity | None:
        return count_down(number - 1) if number else current_identity.get()

    assert count_down(3) is ada
    with pytest.raises(ConfigurationError):
        current_identity.get()


@pytest.mark.parametrize("kind", ["generator", "asynchronous generator"])
def test_a_generator_function_is_refused(ada: Identity, kind: str) -> None:
    """It would run as its caller between its steps."""

    def generate() -> Iterator[int]:
        yield 1

    async def generate_later() -> AsyncIterator[int]:
        yield 1

    function: Any = generate if kind == "generator" else generate_later
    with pytest.raises(TypeError, match="generator"):
        current_identity.bind(ada)(function)
