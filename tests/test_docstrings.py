"""Every public name has a docstring fit for an API reference: Args for each parameter, Returns, Raises.

ruff checks the form of the sections that exist. This test checks that they exist, for everything that a user can import
from a public module.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import FunctionType, ModuleType
from typing import NamedTuple

import pytest

from tests.http import django_settings

__all__ = ["django_settings"]

MODULES = [
    "aveverify", "aveverify.asgi", "aveverify.cache_policy", "aveverify.clock", "aveverify.django",
    "aveverify.document_store", "aveverify.drf", "aveverify.errors", "aveverify.events", "aveverify.fastapi",
    "aveverify.fetcher", "aveverify.flask", "aveverify.forward_auth", "aveverify.identity_header",
    "aveverify.litestar", "aveverify.otel", "aveverify.prometheus", "aveverify.redis", "aveverify.sources",
    "aveverify.starlette", "aveverify.status", "aveverify.testing", "aveverify.wsgi",
]  # fmt: skip


class Documented(NamedTuple):
    """A public function, method, property or class.

    Attributes:
        name: Where users find it, for instance `aveverify.Verifier.verify`.
        text: Its docstring.
        parameters: The names that the docstring must describe.
        returns: Whether a call returns something that the docstring must describe.
        raises: The exceptions that the code itself creates and raises.
    """

    name: str
    text: str
    parameters: list[str]
    returns: bool
    raises: set[str]


def public_values(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yield what a module lists, or else what it defines under a public name."""
    listed = getattr(module, "__all__", None)
    for name, value in vars(module).items():
        is_own = getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
        if name in listed if listed is not None else is_own:
            yield name, value


def everything() -> Iterator[Documented]:
    """Yield everything public once, under the first of its public names."""
    seen: set[object] = set()
    for module in map(importlib.import_module, MODULES):
        for name, value in public_values(module):
            if not (inspect.isfunction(value) or inspect.isclass(value)) or value in seen:
                continue
            seen.add(value)
            if value.__module__.startswith("aveverify"):
                yield from documented(f"{module.__name__}.{name}", value)


def documented(name: str, value: type | FunctionType) -> Iterator[Documented]:
    """Yield a function, or a class with its public methods and properties."""
    if not isinstance(value, type):
        yield of_function(name, value)
        return
    yield of_class(name, value)
    for attribute, member in vars(value).items():
        inner = getattr(member, "__func__", member)
        if attribute.startswith("_"):
            continue
        if isinstance(inner, property):
            yield Documented(f"{name}.{attribute}", inner.__doc__ or "", [], returns=False, raises=set())
        elif inspect.isfunction(inner) and inner.__module__.startswith("aveverify"):
            yield of_function(f"{name}.{attribute}", inner)


def of_function(name: str, function: FunctionType) -> Documented:
    signature = inspect.signature(function)
    returns = str(signature.return_annotation) not in ("None", "NoReturn", "Never", "<class 'NoneType'>")
    return Documented(name, function.__doc__ or "", parameters_of(function), returns, raised_by(function))


def of_class(name: str, value: type) -> Documented:
    """Describe a class, whose docstring also documents its constructor."""
    # A dataclass that inherits its fields inherits their descriptions.
    text = "\n\n".join(inspect.cleandoc(vars(base).get("__doc__") or "") for base in value.__mro__[:-1])
    if is_dataclass(value):
        return Documented(
            name, text, [field.name for field in fields(value) if field.init], returns=False, raises=set()
        )
    text = vars(value).get("__doc__") or ""
    init = vars(value).get("__init__")
    if not inspect.isfunction(init) or getattr(value, "_is_protocol", False):
        return Documented(name, text, [], returns=False, raises=set())
    return Documented(name, text, parameters_of(init), returns=False, raises=raised_by(init))


def parameters_of(function: FunctionType) -> list[str]:
    names = inspect.signature(function).parameters
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


def raised_by(function: FunctionType) -> set[str]:
    """Return the names of the exceptions that a function itself creates and raises, not those of nested functions."""
    return set(_raised_below(ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]))


def _raised_below(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        match child:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name))) if name[0].isupper():
                yield name
        yield from _raised_below(child)


def section(text: str, *titles: str) -> str:
    """Return the lines below the named headings of a docstring."""
    pattern = rf"^(?:{'|'.join(titles)}):\n((?:[ \t]+.*\n|\n(?=[ \t]))*)"
    return "".join(re.findall(pattern, inspect.cleandoc(text) + "\n", re.MULTILINE))


def faults_of(subject: Documented) -> list[str]:
    """Return what a docstring lacks, one sentence each."""
    if not subject.text.strip():
        return ["has no docstring"]
    described = section(subject.text, "Args", "Attributes")
    found = [
        f"does not describe the argument `{name}`"
        for name in subject.parameters
        if not re.search(rf"^\s+\*{{0,2}}{name}\b.*:", described, re.MULTILINE)
    ]
    says_what = section(subject.text, "Returns", "Yields") or re.match(r"\s*(?:Return|Yield)s? ", subject.text)
    if subject.returns and not says_what:
        found.append("does not say what it returns")
    raises = section(subject.text, "Raises")
    found += [f"does not say when it raises `{name}`" for name in sorted(subject.raises) if name not in raises]
    return found


SUBJECTS = list(everything())


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: str(subject.name))
def test_a_public_docstring_describes_arguments_result_and_errors(subject: Documented) -> None:
    assert faults_of(subject) == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        pytest.param("", ["has no docstring"], id="no docstring"),
        pytest.param(
            "Do it.",
            [
                "does not describe the argument `one`", "does not say what it returns",
                "does not say when it raises `ValueError`",
            ],
            id="no section",
        ),
        pytest.param(
            "Do it.\n\n    Args:\n        one: The one.\n\n    Returns:\n        It.\n\n"
            "    Raises:\n        ValueError: It fails.\n    ",
            [],
            id="complete",
        ),
        pytest.param(
            "Return it.\n\n    Args:\n        two: The other.\n\n    Raises:\n        ValueError: It fails.\n    ",
            ["does not describe the argument `one`"],
            id="another argument",
        ),
    ],
)  # fmt: skip
def test_a_fault_of_a_docstring_is_found(text: str, faults: list[str]) -> None:
    assert faults_of(Documented("x", text, ["one"], returns=True, raises={"ValueError"})) == faults
