"""HTTP and WebSocket, beyond the table of the contract: mounted applications, live connections, ambient credentials."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from aveverify import InvalidTokenError, Reason, Verifier, get_user_identity
from aveverify.asgi import AveAuthMiddleware, get_live_connection
from aveverify.testing import FakeClock, FakeIssuer


async def hello(request: Any) -> PlainTextResponse:
    identity = get_user_identity(request)
    return PlainTextResponse(identity.subject if identity else "anonymous")


@pytest.mark.parametrize(
    ("exempt", "status"), [("/api/health", 401), ("/health", 200)], ids=["the whole path", "the inner path"]
)
def test_a_mounted_application_is_known_by_its_inner_path(verifier: Verifier, exempt: str, status: int) -> None:
    """HTP-026: the prefix under which it is mounted does not count."""
    inner = AveAuthMiddleware(Starlette(routes=[Route("/health", hello)]), verifier, required=True, exempt=(exempt,))
    client = TestClient(Starlette(routes=[Mount("/api", inner)]))
    assert client.get("/api/health").status_code == status


async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    connection = get_live_connection(websocket)
    while True:
        try:
            identity = await connection.reauthenticate(await websocket.receive_text())
        except InvalidTokenError as error:
            await websocket.send_text(error.reason)
        except WebSocketDisconnect:
            return
        else:
            await websocket.send_text(identity.subject)


def client_of(verifier: Verifier, **options: Any) -> TestClient:
    app = Starlette(routes=[WebSocketRoute("/live", live), Route("/", hello)])
    return TestClient(AveAuthMiddleware(app, verifier, required=True, **options))


def test_another_user_cannot_take_a_connection_over(issuer: FakeIssuer, verifier: Verifier) -> None:
    """HTP-030: the same user may go on, another one may not, and a bad token changes nothing."""
    headers = {"Authorization": f"Bearer {issuer.token(sub='ada')}"}
    with client_of(verifier).websocket_connect("/live", headers=headers) as connection:
        for token, expected in (
            (issuer.token(sub="ada", plan="pro"), "ada"),
            (issuer.token(sub="grace"), Reason.OTHER_USER),
            (issuer.forge("expired"), Reason.EXPIRED),
            (issuer.token(sub="ada"), "ada"),
        ):
            connection.send_text(token)
            assert connection.receive_text() == expected


def test_a_connection_ends_with_its_token(issuer: FakeIssuer, verifier: Verifier, clock: FakeClock) -> None:
    """HTP-030: closed at exp, with the code that says why, whatever the application waits for."""

    async def wait(websocket: WebSocket) -> None:
        clock.tick(seconds=3600)
        await websocket.accept()
        with suppress(WebSocketDisconnect):
            await websocket.receive_text()

    app = Starlette(routes=[WebSocketRoute("/live", wait)])
    client = TestClient(AveAuthMiddleware(app, verifier, required=True))
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    with client.websocket_connect("/live", headers=headers) as connection, pytest.raises(WebSocketDisconnect) as caught:
        connection.receive_text()
    assert caught.value.code == 3000


def test_a_cookie_is_no_credential_by_default(issuer: FakeIssuer, verifier: Verifier) -> None:
    """HTP-031: a page of another origin sends the cookies of the browser."""
    headers = {"Origin": "https://evil.example", "Cookie": f"token={issuer.token()}; access_token={issuer.token()}"}
    client = client_of(verifier)
    assert client.get("/", headers=headers).status_code == 401
    with pytest.raises(Exception) as caught, client.websocket_connect("/live", headers=headers):  # noqa: PT011 - Starlette's own, of two kinds
        pytest.fail("it was accepted")
    assert type(caught.value).__name__ in ("WebSocketDenialResponse", "WebSocketDisconnect")
