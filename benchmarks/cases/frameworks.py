"""The suite `frameworks`: one request to an application in process, without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Any

from benchmarks.case import Case, UnexpectedOutcomeError, make_key
from benchmarks.cases import Suite
from benchmarks.corpus import Corpus
from benchmarks.frameworks import (
    MAIN,
    Kit,
    Variant,
    asgi_call,
    django_apps,
    fastapi_apps,
    flask_apps,
    idiomatic,
    make_kit,
    starlette_apps,
    wsgi_call,
)

# By the group of the report: the function that makes the applications, and whether they are ASGI.
FRAMEWORKS: dict[str, tuple[Callable[[Kit], Iterable[Variant]], bool]] = {
    "Starlette": (starlette_apps.variants, True),
    "FastAPI": (fastapi_apps.variants, True),
    "Flask": (flask_apps.variants, False),
    "Django, WSGI": (django_apps.wsgi_variants, False),
    "Django, ASGI": (django_apps.asgi_variants, True),
}


def all_variants(group: str, kit: Kit) -> Iterator[Variant]:
    """Every application of a framework, those with our integration at the end."""
    yield from FRAMEWORKS[group][0](kit)
    yield from idiomatic.variants(group, kit)


def make_suite(corpus: Corpus, _peers: tuple[str, ...]) -> Suite:
    """Make every application, and check that it accepts and refuses.

    Args:
        corpus: Keys and tokens; the issuer answers.
    """
    kit = make_kit(corpus)
    good = [f"Bearer {token}" for token in corpus.tokens[MAIN]]
    wrong = f"Bearer {corpus.flaws[MAIN]['flipped signature']}"
    for token in corpus.tokens[MAIN]:
        kit.warm.verify(token)
    suite = Suite()
    suite.absent += idiomatic.absent_integrations()
    for group, (_, is_async) in FRAMEWORKS.items():
        bare = ""
        for variant in all_variants(group, kit):
            call: Callable[[str], Any] = (asgi_call if is_async else wsgi_call)(variant.application)
            check(f"{group}, {variant.setting}, {variant.who}", variant, call, (good[0], wrong), is_async=is_async)
            bare = bare or make_key(group, variant.setting, variant.who)
            columns = MappingProxyType({"bare": bare})
            suite.cases.append(Case(group, variant.setting, variant.who, call, good, columns, is_async))
    return suite


def check(name: str, variant: Variant, call: Callable[[str], Any], headers: tuple[str, str], *, is_async: bool) -> None:
    """Check that a good token gets 200, and a wrong one the expected status."""
    expected = (200, 401 if variant.refuses else 200)
    got = tuple(asyncio.run(call(header)) if is_async else call(header) for header in headers)
    if got != expected:
        raise UnexpectedOutcomeError(name, str(expected), str(got))
