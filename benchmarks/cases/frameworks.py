"""The suite `frameworks`: one request to an application in process, without sockets."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any

from benchmarks.case import Case, UnexpectedVerdictError, make_key
from benchmarks.cases import Suite
from benchmarks.contestants import Absent
from benchmarks.corpus import Corpus
from benchmarks.frameworks import (
    MAIN,
    Kit,
    Variant,
    asgi_call,
    django_apps,
    fastapi_apps,
    flask_apps,
    make_kit,
    starlette_apps,
    wsgi_call,
)

# By the group of the report: who makes the applications, and whether they are ASGI.
FRAMEWORKS: dict[str, tuple[Callable[[Kit], Iterable[Variant]], bool]] = {
    "Starlette": (starlette_apps.variants, True),
    "FastAPI": (fastapi_apps.variants, True),
    "Flask": (flask_apps.variants, False),
    "Django, WSGI": (django_apps.wsgi_variants, False),
    "Django, ASGI": (django_apps.asgi_variants, True),
}
# Edges with an own module of the framework's idioms.
IDIOMATIC = ("starlette", "fastapi", "flask", "django")


def make_suite(corpus: Corpus, _peers: tuple[str, ...]) -> Suite:
    """Make every application, and see that it accepts and refuses.

    Args:
        corpus: Keys and tokens; the issuer answers.
    """
    kit = make_kit(corpus)
    good = [f"Bearer {token}" for token in corpus.tokens[MAIN]]
    wrong = f"Bearer {corpus.flaws[MAIN]['flipped signature']}"
    for token in corpus.tokens[MAIN]:
        kit.warm.verify(token)
    suite = Suite()
    for name in IDIOMATIC:
        if importlib.util.find_spec(f"aveverify.{name}") is None:
            suite.absent.append(Absent(f"aveverify.{name}", "not there yet"))
    for group, (variants, is_async) in FRAMEWORKS.items():
        bare = ""
        for variant in variants(kit):
            call: Callable[[str], Any] = (asgi_call if is_async else wsgi_call)(variant.application)
            check(f"{group}, {variant.setting}, {variant.who}", variant, call, (good[0], wrong), is_async=is_async)
            bare = bare or make_key(group, variant.setting, variant.who)
            columns = MappingProxyType({"bare": bare})
            suite.cases.append(Case(group, variant.setting, variant.who, call, good, columns, is_async))
    return suite


def check(name: str, variant: Variant, call: Callable[[str], Any], headers: tuple[str, str], *, is_async: bool) -> None:
    """See that a good token gets 200, and a wrong one what the application is meant to say."""
    expected = (200, 401 if variant.refuses else 200)
    got = tuple(asyncio.run(call(header)) if is_async else call(header) for header in headers)
    if got != expected:
        raise UnexpectedVerdictError(name, str(expected), str(got))
