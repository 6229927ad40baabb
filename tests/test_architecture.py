"""Which module may import which: one table, and whatever is not in it fails.

Read from the source, so imports inside functions count, and those for the type checker alone are told apart. Then a
few facts that only a fresh interpreter shows: what `import aveverify` loads, and that nothing hangs on `assert`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import aveverify

PACKAGE = Path(aveverify.__file__).parent
PURE = frozenset(
    {
        "base64", "binascii", "collections", "collections.abc", "dataclasses", "enum", "functools", "hashlib", "hmac",
        "ipaddress", "itertools", "json", "math", "re", "typing", "urllib.parse",
    }
)  # fmt: skip


class Layer(NamedTuple):
    """Modules that obey the same rules.

    Attributes:
        modules: Names, with `*` for the rest of a name.
        below: The layers whose modules may be imported at run time, beside its own.
        named: Further layers that the type checker may see.
        foreign: Packages that may be imported: on top of the standard library, or with `standard`, all there are.
        standard: The only modules of the standard library; None for any.
    """

    modules: tuple[str, ...]
    below: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    standard: frozenset[str] | None = None


_IMPORTLIB = ("abc", "machinery", "util")


# The table, from the lowest layer to the highest. A module belongs to the first layer that names it.
LAYERS = {
    "errors": Layer(("errors", "errors.*", "_reasons", "_spelling"), standard=PURE | {"difflib"}),
    "values": Layer(("_version", "events", "status", "cache_policy"), ("errors",), standard=PURE),
    "clock": Layer(
        ("clock",),
        standard=frozenset({"collections.abc", "time", "typing", *(f"importlib.{name}" for name in _IMPORTLIB)}),
    ),
    "fork": Layer(
        ("_fork",),
        standard=frozenset({"collections.abc", "contextlib", "logging", "os", "threading", "typing", "weakref"}),
    ),
    "event loops": Layer(("_event_loops",), (), (), ("trio",), frozenset({"asyncio", "sys", "typing"})),
    "accelerators": Layer(("_accelerators",), (), (), ("msgspec", "pybase64"), PURE | {"os"}),
    "jose": Layer(
        ("_core.jose", "_core.jose.*"), ("errors", "accelerators"), (), ("cryptography", "jwt"), PURE
    ),
    "rules": Layer(("_core.rules", "_core.rules.*"), ("errors", "jose"), standard=PURE),
    "key cache": Layer(("_core.key_cache", "_core.key_cache.*"), ("errors", "values", "jose"), standard=PURE),
    "core": Layer(
        ("_core", "_core.*", "identity", "provider"), ("errors", "values", "jose", "rules", "key cache"),
        standard=PURE | {"http"},
    ),
    "auth config": Layer(("auth_config",), ("errors", "core")),
    "fetcher": Layer(("fetcher",), ("errors", "values", "fork"), (), ("httpx",)),
    "store": Layer(("document_store",), ("errors", "jose", "key cache")),
    "redis": Layer(("redis", "redis.*"), ("errors", "fork", "store", "core"), (), ("redis",)),
    "jwks": Layer(
        ("_jwks", "_jwks.*", "_token_cache"),
        ("errors", "values", "clock", "fork", "event loops", "jose", "rules", "key cache", "core", "fetcher", "store"),
        (),
        ("trio",),
    ),
    "verifier": Layer(
        ("verifier", "_verifier_checks", "_verify", "_lru_map"),
        (
            "errors", "values", "clock", "fork", "event loops", "jose", "rules", "key cache", "core", "auth config",
            "fetcher", "store", "jwks",
        ),
        (),
        ("cachetools",),
    ),
    "otel": Layer(("otel",), ("errors", "values", "fork"), ("verifier",), ("opentelemetry",)),
    "prometheus": Layer(("prometheus",), ("errors", "values"), ("verifier",), ("prometheus_client",)),
    # anyio: WebSockets run under asyncio and trio.
    "http": Layer(
        ("_http", "_http.*", "sources"), ("errors", "clock", "fork", "event loops", "core", "verifier"), (), ("anyio",)
    ),
    "asgi and wsgi": Layer(("asgi", "wsgi"), ("errors", "core", "http"), ("verifier",)),
    "starlette": Layer(
        ("starlette", "starlette.*"), ("errors", "core", "http", "asgi and wsgi"), ("verifier",), ("starlette",)
    ),
    "fastapi": Layer(
        ("fastapi", "fastapi.*"), ("errors", "core", "http", "starlette"), ("verifier",),
        ("fastapi", "pydantic", "starlette"),
    ),
    "litestar": Layer(
        ("litestar", "litestar.*"), ("errors", "core", "http", "asgi and wsgi"), ("verifier",), ("litestar",)
    ),
    "flask": Layer(
        ("flask", "flask.*"), ("errors", "core", "http"), ("verifier",), ("flask", "werkzeug")
    ),
    "django": Layer(("django", "django.*"), ("errors", "core", "http"), ("verifier",), ("asgiref", "django")),
    "drf": Layer(
        ("drf", "drf.*", "drf._schema"), ("errors", "key cache", "core", "http", "django"), (),
        ("django", "drf_spectacular", "rest_framework"),
    ),
    # The only HMAC beside the store's, and never for a token of an issuer.
    "identity header": Layer(("identity_header",), ("errors", "clock", "core")),
    "forward auth": Layer(
        ("forward_auth",), ("errors", "core", "http", "identity header"), ("verifier",), standard=PURE
    ),
    "package": Layer(("",), ("errors", "values", "clock", "core", "auth config", "fetcher", "verifier", "http")),
    "testing": Layer(
        ("testing", "testing.*"),
        ("errors", "values", "clock", "jose", "core", "auth config", "fetcher", "verifier", "http", "package"),
        (),
        ("cryptography", "jwt", "pytest"),
    ),
    "cli": Layer(
        ("__main__", "cli", "cli.*"),
        (
            "errors", "values", "clock", "jose", "core", "auth config", "fetcher", "verifier", "http", "asgi and wsgi",
            "package", "testing", "forward auth", "identity header", "prometheus", "redis",
        ),
        (),
        ("httpx", "starlette", "uvicorn"),
    ),
}  # fmt: skip


class Import(NamedTuple):
    """One import as it stands in the source."""

    line: int
    module: str
    at_run_time: bool


class Module(NamedTuple):
    """One file of the package."""

    name: str
    path: Path


def modules() -> list[Module]:
    """Every file of the package, by its name below the package; the package itself has the empty name."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.append(Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


MODULES = {module.name: module for module in modules()}


def layer_of(name: str) -> str | None:
    """The first layer of the table that names a module."""
    for layer, row in LAYERS.items():
        if any(fnmatchcase(name, pattern) for pattern in row.modules):
            return layer
    return None


@cache
def imports_of(module: Module) -> list[Import]:
    """Every import of a file, also those inside functions."""
    return list(_imports_below(ast.parse(module.path.read_text(encoding="utf-8")), at_run_time=True))


def _imports_below(node: ast.AST, *, at_run_time: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(child.lineno, alias.name, at_run_time)
        elif isinstance(child, ast.ImportFrom):
            for name in _names_of(child):
                yield Import(child.lineno, name, at_run_time)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from _imports_below(ast.Module(child.body, []), at_run_time=False)
            yield from _imports_below(ast.Module(child.orelse, []), at_run_time=at_run_time)
        else:
            yield from _imports_below(child, at_run_time=at_run_time)


def _names_of(node: ast.ImportFrom) -> set[str]:
    assert node.module is not None, "a relative import"
    assert node.level == 0, "a relative import"
    # `from package import module` imports the module.
    below = {alias.name: own_name(f"{node.module}.{alias.name}") for alias in node.names}
    return {
        f"{node.module}.{name}" if own is not None and own in MODULES else node.module for name, own in below.items()
    }


def own_name(module: str) -> str | None:
    """The name below the package, or None for a module of somebody else."""
    if module == "aveverify":
        return ""
    return module.removeprefix("aveverify.") if module.startswith("aveverify.") else None


def is_allowed(importer: str, found: Import) -> bool:
    """Look one import up in the table."""
    layer = layer_of(importer)
    assert layer is not None
    row = LAYERS[layer]
    own = own_name(found.module)
    if own is not None:
        return layer_of(own) in (layer, *row.below, *(() if found.at_run_time else row.named))
    top = found.module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return row.standard is None or found.module in row.standard | {"__future__"}
    return top in row.foreign


every_module = pytest.mark.parametrize("module", MODULES.values(), ids=lambda module: module.name or "aveverify")


@every_module
def test_every_module_belongs_to_a_layer(module: Module) -> None:
    assert layer_of(module.name) is not None, f"{module.path} stands in no layer of the table"


@every_module
def test_a_module_imports_only_what_the_table_allows(module: Module) -> None:
    strays = [found for found in imports_of(module) if not is_allowed(module.name, found)]

    assert strays == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        pytest.param("_core.rules.oidc", "time", id="core reads no clock"),
        pytest.param("_core.jose.jwk", "aveverify._core.rules.oidc", id="what a standard says knows no rule of Convex"),
        pytest.param("_core.rules.oidc", "aveverify._core.provider", id="rules do not know the provider"),
        pytest.param("_core.key_cache.decisions", "aveverify._core.rules.oidc", id="the key cache knows no token"),
        pytest.param("_core.rules.oidc", "cryptography.hazmat", id="rules go through jose"),
        pytest.param("_core.verification", "aveverify._jwks.registry", id="verification does not know the engine"),
        pytest.param("_core.identity", "aveverify.verifier", id="values do not know who makes them"),
        pytest.param("_jwks.registry", "httpx", id="the engine fetches through the seam"),
        pytest.param("verifier", "aveverify.testing", id="nobody needs the testing layer"),
        pytest.param("asgi", "starlette.types", id="the bare middleware needs no framework"),
        pytest.param("flask", "aveverify.django", id="no framework's edge needs another"),
        pytest.param("django._requests", "rest_framework.request", id="Django does not know what is built on it"),
        pytest.param("_http.settings", "flask", id="what edges share knows no framework"),
        pytest.param("_core.provider", "aveverify", id="no layer goes through the front door"),
        pytest.param("fastapi", "aveverify.asgi", id="a dependency is no middleware"),
        pytest.param("fastapi", "aveverify.litestar", id="no framework's edge knows another, but what it is built on"),
        pytest.param("litestar", "aveverify.starlette", id="nor does this one"),
        pytest.param("starlette", "fastapi", id="Starlette's edge needs Starlette alone"),
    ],
)
def test_the_table_refuses(importer: str, imported: str) -> None:
    assert importer in MODULES
    assert not is_allowed(importer, Import(1, imported, at_run_time=True))


def test_what_only_the_type_checker_may_see_is_refused_at_run_time() -> None:
    assert is_allowed("otel", Import(1, "aveverify.verifier", at_run_time=False))
    assert not is_allowed("otel", Import(1, "aveverify.verifier", at_run_time=True))


def test_every_layer_imports_only_layers_that_exist() -> None:
    named = {layer for row in LAYERS.values() for layer in (*row.below, *row.named)}

    assert named <= set(LAYERS)


@pytest.mark.parametrize(
    "foreign",
    [
        "asyncio", "concurrent.futures", "datetime", "httpx", "io", "logging", "multiprocessing", "os", "pathlib",
        "queue", "random", "secrets", "select", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time",
        "urllib.request", "uuid",
    ],
)  # fmt: skip
def test_the_core_cannot_reach_clock_network_lock_log_or_chance(foreign: str) -> None:
    layers = ("core", "jose", "rules", "key cache", "errors", "values")

    assert [
        layer for layer in layers if foreign in (LAYERS[layer].standard or ()) or foreign in LAYERS[layer].foreign
    ] == []
    assert all(LAYERS[layer].standard is not None for layer in layers)


@pytest.mark.parametrize(
    ("package", "importers"),
    [
        pytest.param("cryptography", {"_core.jose.jwa", "testing"}, id="cryptography"),
        pytest.param("jwt", {"_core.jose.jwa", "testing"}, id="PyJWT"),
        pytest.param("httpx", {"fetcher", "cli"}, id="httpx"),
        pytest.param("starlette", {"starlette", "fastapi", "cli"}, id="starlette"),
        pytest.param("fastapi", {"fastapi"}, id="fastapi"),
        pytest.param("pydantic", {"fastapi"}, id="pydantic"),
        pytest.param("litestar", {"litestar"}, id="litestar"),
        pytest.param("flask", {"flask"}, id="flask"),
        pytest.param("django", {"django", "drf"}, id="django"),
        pytest.param("rest_framework", {"drf"}, id="rest_framework"),
        pytest.param("drf_spectacular", {"drf"}, id="drf_spectacular"),
        pytest.param("uvicorn", {"cli"}, id="uvicorn"),
        pytest.param("msgspec", {"_accelerators"}, id="msgspec"),
        pytest.param("pybase64", {"_accelerators"}, id="pybase64"),
        pytest.param("redis", {"redis"}, id="redis"),
        pytest.param("opentelemetry", {"otel"}, id="opentelemetry"),
        pytest.param("prometheus_client", {"prometheus"}, id="prometheus_client"),
        pytest.param("aveverify.testing", {"testing", "cli"}, id="our testing layer"),
        pytest.param("aveverify.cli", {"__main__", "cli"}, id="our command"),
    ],
)
def test_costly_and_dangerous_packages_have_one_door(package: str, importers: set[str]) -> None:
    found = {
        module.name
        for module in MODULES.values()
        for one in imports_of(module)
        if f"{one.module}.".startswith(f"{package}.")
    }

    assert {name for name in found if name not in importers and name.partition(".")[0] not in importers} == set()


def test_the_signature_library_is_touched_only_where_the_algorithms_are() -> None:
    at_run_time = {
        module.name
        for module in MODULES.values()
        for found in imports_of(module)
        if found.at_run_time and found.module.partition(".")[0] == "cryptography"
    }

    assert {name for name in at_run_time if not name.startswith("testing")} == {"_core.jose.jwa"}


def test_no_two_modules_import_each_other_at_run_time() -> None:
    graph = {
        module.name: {
            own
            for found in imports_of(module)
            if found.at_run_time and (own := own_name(found.module)) is not None and own != module.name
        }
        for module in MODULES.values()
    }

    assert set(TopologicalSorter(graph).static_order()) >= set(graph)


def test_the_core_never_waits_or_asserts() -> None:
    """`await`, `with` a lock and `assert` have no place where verdicts are made (ERR-007)."""
    found = [
        f"{module.name}:{node.lineno}"
        for module in MODULES.values()
        if module.name.startswith(("_core", "errors")) or module.name == "auth_config"
        for node in ast.walk(ast.parse(module.path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Assert, ast.Await, ast.AsyncFunctionDef, ast.AsyncWith, ast.AsyncFor))
    ]

    assert found == []


def run(*arguments: str) -> str:
    """Run a fresh interpreter, every warning an error, and return what it prints."""
    completed = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        cwd=Path(__file__).parents[1],
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("import aveverify", id="the package"),
        pytest.param("import aveverify.asgi, aveverify.wsgi", id="the bare middlewares"),
        pytest.param(
            "from aveverify import Provider, Verifier; Verifier(Provider.ave('app_1'), Provider.ave('app_2'))",
            id="a verifier that has not verified yet",
        ),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(statement: str) -> None:
    heavy = (
        "httpx", "httpcore", "starlette", "fastapi", "litestar", "pydantic", "flask", "werkzeug", "django", "asgiref",
        "rest_framework", "jwt", "asyncio", "ssl", "http.client", "uvicorn", "redis", "opentelemetry", "cryptography",
    )  # fmt: skip
    loaded = run("-c", f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules])")

    assert loaded == "[]"


def test_testing_and_the_command_are_not_loaded_with_the_package() -> None:
    loaded = run("-c", "import sys, aveverify; print([n for n in sys.modules if n.startswith('aveverify.')])")

    assert not {
        name
        for name in ast.literal_eval(loaded)
        if name.split(".")[1] in ("testing", "cli", "asgi", "wsgi", "flask", "django", "drf")
    }


@pytest.mark.parametrize("switches", [[], ["-O"], ["-OO"]], ids=["as always", "-O", "-OO"])
def test_verdicts_do_not_hang_on_assertions(switches: list[str]) -> None:
    """ERR-007: the same answers without `assert` and without docstrings."""
    verdicts = ["accepted", "BAD_SIGNATURE", "EXPIRED", "UNKNOWN_KEY", "MALFORMED_TOKEN"]

    assert run(*switches, "-m", "tests.core.smoke").split() == verdicts
