"""The pages on Starlette, FastAPI and Litestar: every example runs as it is printed, and does what the page says."""

from __future__ import annotations

import inspect
import logging
import re
import socket
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, cast, get_type_hints

import pytest
import uvicorn
from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient, WebSocketDenialResponse

from aveverify._http.auth_options import AuthOptions
from aveverify.asgi import AveAuthMiddleware
from aveverify.fastapi import AveAuth
from aveverify.testing import FakeClock, FakeIssuer
from tests.processes import free_port

FOLDER = Path(__file__).parents[2] / "docs" / "frameworks"
PAGES = ["starlette", "fastapi", "litestar"]
VERIFIER = 'Verifier(Provider.ave("app_123"))'


@pytest.fixture
def ave(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer("https://aveid.net", application_id="app_123", clock=clock)


class Page:
    """A page; its examples run one after the other in one module, as a reader would type them."""

    def __init__(self, name: str, issuer: FakeIssuer) -> None:
        self.text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        self.issuer = issuer
        self.clock = cast("FakeClock", issuer.clock)
        # A real module: frameworks look annotations up there.
        self.module = ModuleType(f"page_{name}")
        self.apps: list[Any] = []
        sys.modules[self.module.__name__] = self.module
        vars(self.module)["_issuer"] = issuer
        for number, example in enumerate(re.findall(r"(?<!-->\n)```python\n(.*?)```", self.text, re.DOTALL)):
            connected = example.replace(VERIFIER, VERIFIER[:-1] + ", fetcher=_issuer, clock=_issuer.clock)")
            exec(compile(connected, f"{name}.md, example {number + 1}", "exec"), vars(self.module))  # noqa: S102 - our own page
            self.apps.append(vars(self.module).get("app"))

    def client(self, number: int) -> Any:
        """A client of the application as it is after so many examples."""
        app = self.apps[number]
        return LitestarClient(app) if isinstance(app, Litestar) else TestClient(app)

    def bearer(self, subject: str = "ada", **claims: object) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.token({'sub': subject, 'azp': 'app_123'} | claims)}"}

    def first_message(self, number: int, path: str) -> str:
        """The first text that a WebSocket of the page sends to a browser."""
        token = self.bearer()["Authorization"].removeprefix("Bearer ")
        with self.client(number).websocket_connect(path, subprotocols=["bearer", token]) as session:
            assert session.accepted_subprotocol == "bearer"
            return str(session.receive_text())


@pytest.fixture
def page(request: pytest.FixtureRequest, ave: FakeIssuer) -> Iterator[Page]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    page = Page(request.param, ave)
    yield page
    del sys.modules[page.module.__name__]
    # Litestar's applications set up logging for the whole process.
    root.handlers[:] = handlers
    root.setLevel(level)


def on(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", [name], indirect=True)


each = pytest.mark.parametrize("page", PAGES, indirect=True)


@each
def test_the_first_example_protects_an_application(page: Page) -> None:
    client = page.client(0)
    answer = client.get("/me", headers=page.bearer())

    assert (answer.status_code, answer.json()["tokenIdentifier"]) == (200, "https://aveid.net|ada")
    assert (client.get("/me").status_code, client.get("/me").json()["error"]) == (401, "unauthorized")


@each
def test_protecting_an_application_takes_less_than_fifteen_lines(page: Page) -> None:
    """Without blank lines, and without the imports of the framework that any application has."""
    first = page.text.split("```python\n", 1)[1].split("```", 1)[0]
    lines = [line for line in first.splitlines() if line and not line.startswith(("from starlette", "from typing"))]

    assert len(lines) < 15


@each
def test_the_tests_of_a_page_pass(page: Page) -> None:
    tests = [value for name, value in vars(page.module).items() if name.startswith("test_")]

    assert tests
    for test in tests:
        test()


@each
def test_every_option_is_explained(page: Page) -> None:
    options = page.text.partition("\n## Options\n")[2].partition("\n## ")[0]
    table = set(re.findall(r"^\| (`.*?) \|", options, re.MULTILINE))
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)} - {"AveAuth"}
    if page.module.__name__ == "page_fastapi":
        assert named == set(inspect.signature(AveAuth).parameters) - {"verifier"}
    else:
        own = set(inspect.signature(AveAuthMiddleware).parameters) - {"app", "verifier", "options"}
        assert named == {*get_type_hints(AuthOptions), *own, "load_user"}


# --- Starlette ------------------------------------------------------------------------------------------------------


@on("starlette")
def test_starlette_optional_and_scopes(page: Page) -> None:
    client = page.client(1)

    assert client.get("/hello").json() == {"hello": "stranger"}
    assert client.get("/hello", headers=page.bearer(name="Ada")).json() == {"hello": "Ada"}
    assert client.get("/documents", headers=page.bearer()).status_code == 403
    assert client.get("/documents", headers=page.bearer(scope="documents:read")).json() == {"documents of": "ada"}
    assert [client.get(path).status_code for path in ("/exports", "/drafts")] == [401] * 2
    assert [client.get(path, headers=page.bearer()).status_code for path in ("/exports", "/drafts")] == [403] * 2
    assert client.get("/exports", headers=page.bearer(plan="pro")).json() == {"exports of": "ada"}
    assert client.get("/drafts", headers=page.bearer(scope="editor")).json() == {"drafts of": "ada"}


@pytest.mark.parametrize(
    ("page", "number"), [("starlette", 2), ("fastapi", 3)], indirect=["page"], ids=["starlette", "fastapi"]
)
def test_a_websocket_lives_as_long_as_its_tokens(page: Page, number: int, clock: FakeClock) -> None:
    """The client may leave, send a bad token, or wait until its token expires: no exception escapes."""
    token = page.bearer()["Authorization"].removeprefix("Bearer ")
    for last in (None, "bad", "late"):
        with page.client(number).websocket_connect("/chat", subprotocols=["bearer", token]) as session:
            assert session.receive_text() == "hello ada"
            session.send_text(token)
            assert session.receive_text() == "ada may stay"
            if last == "late":
                clock.tick(seconds=86400)
            if last is not None:
                session.send_text(last)
                assert session.receive()["code"] == 3000
    with pytest.raises(WebSocketDenialResponse), page.client(number).websocket_connect("/chat"):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("page", "number"), [("starlette", 3), ("litestar", 4)], indirect=["page"], ids=["starlette", "litestar"]
)
def test_the_users_own_class(page: Page, number: int) -> None:
    found = [page.client(number).get("/name", headers=page.bearer(who)) for who in ("ada", "grace", "eve")]

    assert found[0].text.strip('"') == "Ada"
    assert [answer.status_code for answer in found] == [200, 401, 401]


@on("starlette")
def test_starlettes_own_middleware_and_deferred_refusals(page: Page) -> None:
    for number in (4, 5):
        client = page.client(number)
        assert client.get("/me", headers=page.bearer()).json()["subject"] == "ada"
        refused = client.get("/me", headers={"Authorization": f"Bearer {page.issuer.forge('expired')}"})
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")


both_paths = pytest.mark.parametrize(
    ("page", "path"), [("starlette", "/me"), ("fastapi", "/name")], indirect=["page"], ids=["starlette", "fastapi"]
)


@both_paths
def test_handlers_of_a_page_answer_refusals(page: Page, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="app"):
        answer = page.client(6).get(path, headers={"Authorization": f"Bearer {page.issuer.forge('expired')}"})

    assert (answer.status_code, list(answer.json())) == (401, ["message"])
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert f"{path} refused: EXPIRED" in caplog.text


@both_paths
def test_the_access_log_of_a_page_knows_who_it_was(page: Page, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="app"), page.client(7) as client:
        client.get(path, headers=page.bearer())
        client.get(path, headers={"Authorization": f"Bearer {page.issuer.forge('expired')}"})
        client.get(path)

    said = [record.getMessage() for record in caplog.records if "user=" in record.getMessage()]
    assert said == [
        f"GET {path} user=ada refused=-",
        f"GET {path} user=- refused=EXPIRED",
        f"GET {path} user=- refused=unauthorized",
    ]


@pytest.mark.xdist_group("websockets")
def test_starlettes_event_stream_ends_with_its_token_on_a_real_server() -> None:
    """HTP-042: complete, and with a last event that tells the client what to do. Real time passes here."""
    page, port = Page("starlette", FakeIssuer("https://aveid.net", application_id="app_123")), free_port()
    config = uvicorn.Config(page.apps[8], log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/news", headers=page.bearer(exp=int(time.time()) + 3))
            events = connection.getresponse().read().decode().split("\n\n")
            connection.close()
        finally:
            server.should_exit = True
            thread.join()
            del sys.modules[page.module.__name__]

    assert events[0] == "data: news 1 for ada"
    assert events[-2:] == ["event: expired\ndata: get a new token and come back", ""]


# --- FastAPI --------------------------------------------------------------------------------------------------------


@on("fastapi")
def test_fastapi_optional_scopes_and_routers(page: Page) -> None:
    client = page.client(2)

    assert client.get("/hello").json() == "hello stranger"
    assert client.get("/hello", headers=page.bearer()).json() == "hello ada"
    assert client.get("/documents", headers=page.bearer()).status_code == 403
    assert client.get("/documents", headers=page.bearer(scope="documents:read")).json() == "documents of ada"
    assert [client.get(path, headers=page.bearer()).status_code for path in ("/drafts", "/exports")] == [403] * 2
    assert client.get("/drafts", headers=page.bearer(scope="editor")).json() == "drafts of ada"
    assert client.get("/exports", headers=page.bearer(plan="pro")).json() == "exports of ada"
    whole = {"plan": "pro", "scope": "editor plans:read"}
    assert client.get("/plans", headers=page.bearer(**whole)).json() == "plans of ada"
    for part in ({"plan": "free"}, {"scope": "editor"}, {"scope": "plans:read"}):
        assert client.get("/plans", headers=page.bearer(**(whole | part))).status_code == 403
    assert client.get("/api/ping").status_code == 401
    assert client.get("/api/ping", headers=page.bearer()).json() == "pong"


@on("fastapi")
@pytest.mark.parametrize(("number", "path", "text"), [(4, "/news", "news for ada")])
def test_fastapi_websockets(page: Page, number: int, path: str, text: str) -> None:
    assert page.first_message(number, path) == text
    with pytest.raises(WebSocketDenialResponse), page.client(number).websocket_connect(path):
        raise NotImplementedError


@on("fastapi")
def test_fastapi_own_user(page: Page) -> None:
    assert page.client(5).get("/name", headers=page.bearer()).json() == "Ada"
    assert page.client(5).get("/name", headers=page.bearer("eve")).status_code == 401


# --- Litestar -------------------------------------------------------------------------------------------------------


@on("litestar")
def test_litestar_optional_and_scopes(page: Page) -> None:
    client = page.client(1)

    assert client.get("/hello").text == "hello stranger"
    assert client.get("/hello", headers=page.bearer()).text == "hello ada"
    guarded = ("/profile", "/documents", "/drafts", "/exports")
    assert [client.get(path).status_code for path in (*guarded, "/me")] == [401] * 5
    assert client.get("/profile", headers=page.bearer()).text == "profile of ada"
    assert [client.get(path, headers=page.bearer()).status_code for path in guarded[1:]] == [403] * 3
    assert client.get("/documents", headers=page.bearer(scope="documents:read")).text == "documents of ada"
    assert client.get("/drafts", headers=page.bearer(scope="editor")).text == "drafts of ada"
    assert client.get("/exports", headers=page.bearer(plan="pro")).text == "exports of ada"


@on("litestar")
def test_litestar_handlers_and_documents_may_be_open(page: Page) -> None:
    client = page.client(2)

    assert client.get("/healthz").text == "ok"
    assert client.get("/schema/openapi.json").status_code == 200
    assert client.get("/me").status_code == 401
    assert [client.get("/feed", headers=headers).text for headers in ({}, page.bearer())] == [
        "feed of all",
        "feed of ada",
    ]
    assert client.get("/feed", headers={"Authorization": "Bearer bad"}).status_code == 401


@on("litestar")
def test_litestar_websockets(page: Page) -> None:
    """The client may leave, send a bad token, or wait until its token expires: no exception escapes."""
    token = page.bearer()["Authorization"].removeprefix("Bearer ")
    for last in (None, "bad", "late"):
        with page.client(3).websocket_connect("/chat", subprotocols=["bearer", token]) as session:
            assert session.receive_text() == "hello ada"
            session.send_text(token)
            assert session.receive_text() == "ada may stay"
            if last == "late":
                page.clock.tick(seconds=86400)
            if last is not None:
                session.send_text(last)
                with pytest.raises(WebSocketDisconnect) as closed:
                    session.receive_text()
                assert closed.value.code == 3000


@on("litestar")
def test_litestar_answers_refusals_itself(page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    answer = page.client(6).get("/me", headers={"Authorization": f"Bearer {page.issuer.forge('expired')}"})

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["x-support"] == "https://support.example"
    assert capsys.readouterr().out == "/me refused: EXPIRED\n"


@on("litestar")
def test_litestar_one_router_alone(page: Page) -> None:
    client = page.client(5)

    assert client.get("/healthz").text == "ok"
    assert client.get("/api/name").status_code == 401
    assert client.get("/api/name", headers=page.bearer()).text == "ada"
