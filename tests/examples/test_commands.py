"""The commands that examples and pages show run: with the built wheel, in an empty folder, with a local issuer."""

from __future__ import annotations

import ast
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx
import pytest

from aveverify import SystemClock
from aveverify.testing import FakeIssuer
from tests.examples.example_requests import ADA
from tests.examples.installed import Installed

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SERVERS = {
    "starlette": EXAMPLES / "starlette_app.py",
    "fastapi": EXAMPLES / "fastapi_app.py",
    "litestar": EXAMPLES / "litestar_app.py",
    "flask": EXAMPLES / "flask_app.py",
    "django": EXAMPLES / "django_app.py",
    "drf": EXAMPLES / "drf_app" / "manage.py",
}
ALL = {**SERVERS, "same_user": EXAMPLES / "same_user" / "users.py", "local_issuer": EXAMPLES / "local_issuer.py"}
# The files of each: one, or all files of a Django project.
FILES = {name: sorted(path.parent.glob("*.py")) if name == "drf" else [path] for name, path in ALL.items()}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
AVE = 'Provider.ave("app_123")'
# How often to try to connect to a server that starts, and how long to wait after each attempt.
ATTEMPTS, PAUSE_SECONDS = 600, 0.05

# For the conftest.py of the recipes: the files from which the page copies them run all cases.
ONE_CASE_OF_EACH = """
def pytest_collection_modifyitems(items):
    items[:] = {item.function: item for item in items}.values()
"""

each_server = pytest.mark.parametrize("name", SERVERS)


def commands_of(path: Path) -> tuple[str, str]:
    """Return the two commands in the docstring of an example."""
    install, run = re.findall(r"^    (\S.*)$", path.read_text(encoding="utf-8").split('"""')[1], re.MULTILINE)
    return install, run


@pytest.mark.parametrize("name", ALL)
def test_the_first_command_installs_an_extra_that_exists(name: str) -> None:
    install, run = commands_of(ALL[name])
    extra = re.fullmatch(r'pip install "?aveverify(?:\[(\w+)\])?"?( uvicorn)?', install)
    assert extra is not None
    assert extra[1] is None or extra[1] in EXTRAS
    assert f"python {ALL[name].relative_to(ROOT)}" in run


@pytest.mark.parametrize("name", ALL)
def test_the_first_command_installs_what_the_example_imports(name: str) -> None:
    install, _ = commands_of(ALL[name])
    extra = re.search(r"\[(\w+)\]", install)
    requirements = [*EXTRAS[extra[1]], *install.split()[3:]] if extra else []
    installed_names = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in requirements}
    files = FILES[name]
    own = {file.stem for file in files} | {"aveverify"}
    needed = {module for file in files for module in imported(file)} - sys.stdlib_module_names - own
    distributions = packages_distributions()
    assert [module for module in needed if installed_names.isdisjoint(map(str.lower, distributions[module]))] == []


def imported(file: Path) -> Iterator[str]:
    """Yield the top-level names of the modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield module.partition(".")[0]


def test_the_environment_of_the_commands_has_the_wheel_and_nothing_else_of_this_project(
    installed: Installed, tmp_path: Path
) -> None:
    look = (
        "from importlib.util import find_spec\n"
        "print(find_spec('aveverify').origin, [find_spec(name) for name in ('examples', 'tests', 'tools')])"
    )
    code, output = installed.run("-c", look, folder=tmp_path)
    where, rest = output.split(maxsplit=1)
    assert (code, Path(where).is_relative_to(installed.python.parents[1])) == (0, True)
    assert rest.strip() == "[None, None, None]"


def copied(name: str, folder: Path) -> None:
    """Copy the files of one example, and nothing else, to the paths of its second command."""
    for file in FILES[name]:
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def serving(installed: Installed, folder: Path, *arguments: str, **variables: str) -> Iterator[str]:
    """Start a server in its own process, on a port that replaces `PORT`; yield its URL."""
    port = free_port()
    words = [word.replace("PORT", str(port)) for word in arguments]
    with installed.start(*words, folder=folder, PORT=str(port), **variables) as process:
        try:
            wait_for(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], port: int) -> None:
    for _ in range(ATTEMPTS):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            try:
                process.wait(PAUSE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            assert process.stdout is not None
            pytest.fail(f"the server ended: {process.stdout.read()}")
        else:
            return
    pytest.fail("the server never accepted a connection")


def words_of(name: str) -> list[str]:
    """Return the arguments of an example's second command; Django's needs the port, and must not fork."""
    _, run = commands_of(ALL[name])
    words = [word for word in run.split() if "=" not in word][1:]
    return [*words, "127.0.0.1:PORT", "--noreload"] if "runserver" in words else words


@each_server
def test_the_second_command_starts_a_server_that_verifies_tokens(
    name: str, installed: Installed, tmp_path: Path
) -> None:
    copied(name, tmp_path)
    issuer = FakeIssuer(clock=SystemClock())
    with (
        issuer.serve() as url,
        serving(
            installed,
            tmp_path,
            *words_of(name),
            AVEVERIFY_ISSUER=url,
            AVEVERIFY_APPLICATION_ID=issuer.application_id,
        ) as site,
        httpx.Client(base_url=site, trust_env=False) as client,
    ):
        me = client.get("/me", headers={"Authorization": f"Bearer {issuer.token()}"})
        anonymous = client.get("/me")
        expired = client.get("/me", headers={"Authorization": f"Bearer {issuer.forge('expired')}"})
    assert (me.status_code, ADA.items() <= me.json().items()) == (200, True)
    assert (anonymous.status_code, expired.status_code) == (401, 401)
    assert expired.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_the_local_issuer_prints_what_the_examples_need(installed: Installed, tmp_path: Path) -> None:
    copied("local_issuer", tmp_path)
    with installed.start(*words_of("local_issuer"), folder=tmp_path) as process:
        try:
            assert process.stdout is not None
            variables, call = (process.stdout.readline() for _ in range(2))
            url = variables.split("AVEVERIFY_ISSUER=")[1].split()[0]
            metadata = httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False).json()
        finally:
            process.kill()
    assert metadata["issuer"] == url
    assert re.search(r"Bearer [\w-]+\.[\w-]+\.[\w-]+'", call)


def test_the_same_user_is_signed_in(installed: Installed, tmp_path: Path) -> None:
    copied("same_user", tmp_path)
    issuer = FakeIssuer(clock=SystemClock())
    with issuer.serve() as url:
        code, output = installed.run(
            *(word.replace("TOKEN", issuer.token()) for word in words_of("same_user")),
            folder=tmp_path,
            AVEVERIFY_ISSUER=url,
            AVEVERIFY_APPLICATION_ID=issuer.application_id,
        )
    assert (code, f"token_identifier='{url}|user_ada'" in output) == (0, True), output
    with closing(sqlite3.connect(tmp_path / "users.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM users").fetchone() == (1,)


@pytest.mark.parametrize("page", ["starlette", "flask"])
def test_an_application_starts_by_the_command_of_its_page(page: str, installed: Installed, tmp_path: Path) -> None:
    """The pages of FastAPI and Litestar have the same command as Starlette's."""
    text = (ROOT / "docs" / "frameworks" / f"{page}.md").read_text(encoding="utf-8")
    code, commands = re.findall(r"```(?:python|sh)\n(.*?)```", text, re.DOTALL)[1:3]
    (command,) = re.findall(r"^((?:uvicorn|flask) .*?) +# with the code above in main.py$", commands, re.MULTILINE)
    issuer = FakeIssuer(clock=SystemClock())
    with issuer.serve() as url:
        (tmp_path / "main.py").write_text(behind(issuer, url, code), encoding="utf-8")
        serve = serving(installed, tmp_path, "-m", *command.split(), "--port", "PORT")
        with serve as site, httpx.Client(base_url=site, trust_env=False) as client:
            me = client.get("/me", headers={"Authorization": f"Bearer {issuer.token()}"})
            anonymous = client.get("/me")
    assert (me.status_code, me.json().get("subject")) == (200, "user_ada")
    assert (anonymous.status_code, anonymous.json()["error"]) == (401, "unauthorized")


def behind(issuer: FakeIssuer, url: str, code: str) -> str:
    """Return the code of a page with a local issuer in place of Ave, which no test can reach."""
    assert code.count(AVE) == 1
    return code.replace(AVE, f'Provider(issuer="{url}", application_id="{issuer.application_id}")')


@pytest.mark.parametrize("page", ["django", "drf"])
def test_a_new_project_of_django_is_protected_as_its_page_says(page: str, installed: Installed, tmp_path: Path) -> None:
    """The shown settings work after everything that `startproject` writes."""
    text = (ROOT / "docs" / "frameworks" / f"{page}.md").read_text(encoding="utf-8")
    ends, urls = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[:2]
    assert "python manage.py runserver" in text
    code, output = installed.run("-m", "django", "startproject", "shop", ".", folder=tmp_path)
    assert code == 0, output
    issuer = FakeIssuer(clock=SystemClock())
    with issuer.serve() as url:
        with (tmp_path / "shop" / "settings.py").open("a", encoding="utf-8") as settings:
            settings.write(behind(issuer, url, ends))
        (tmp_path / "shop" / "urls.py").write_text(urls, encoding="utf-8")
        serve = serving(installed, tmp_path, "manage.py", "runserver", "127.0.0.1:PORT", "--noreload")
        with serve as site, httpx.Client(base_url=site, trust_env=False) as client:
            me = client.get("/me", headers={"Authorization": f"Bearer {issuer.token()}"})
            anonymous = client.get("/me")
    assert (me.status_code, me.json().get("subject")) == (200, "user_ada")
    assert (anonymous.status_code, anonymous.json()["error"]) == (401, "unauthorized")


def test_the_recipes_pass_as_they_are_printed(installed: Installed, tmp_path: Path) -> None:
    """Each block of `docs/testing.md` becomes a file, next to a conftest.py with what the page demands of it."""
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    (configured,) = re.findall(r"`django\.conf\.(settings\.configure\(.*\))`", text)
    conftest = f"from django.conf import settings\n\n{configured}\n{ONE_CASE_OF_EACH}"
    (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
    recipes = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for number, recipe in enumerate(recipes):
        (tmp_path / f"test_{number}.py").write_text(recipe, encoding="utf-8")
    code, output = installed.run("-m", "pytest", "-q", folder=tmp_path)
    tests = sum(recipe.count("def test_") for recipe in recipes)
    assert (code, f"\n{tests} passed" in output) == (0, True), output
