"""`FakeIssuer.scene`: one situation for every `Reason`, refused for it by the verifier or a middleware."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from aveverify import (
    AveVerifyError,
    ConfigurationError,
    InvalidRequestError,
    InvalidTokenError,
    Reason,
    get_user_identity,
)
from aveverify._core.bearer import parse_authorization
from aveverify.asgi import AveAuthMiddleware, get_live_connection
from aveverify.testing import FakeClock, FakeIssuer, Scene

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.websockets import WebSocket

each_reason = pytest.mark.parametrize("reason", Reason, ids=str)
# What a verifier alone, which sees neither headers nor an application's rules, does not refuse.
OF_A_MIDDLEWARE = {
    Reason.REFUSED_BY_CHECK,
    Reason.UNKNOWN_USER,
    Reason.INACTIVE_USER,
    Reason.OTHER_USER,
    Reason.MALFORMED_AUTHORIZATION,
    Reason.REPEATED_AUTHORIZATION,
    Reason.INSUFFICIENT_SCOPE,
    Reason.NOT_ALLOWED,
}


async def me(request: Request) -> PlainTextResponse:
    identity = get_user_identity(request)
    return PlainTextResponse(identity.subject if identity else "no user")


async def renew(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        await get_live_connection(websocket).reauthenticate(await websocket.receive_text())
    except InvalidTokenError as error:
        await websocket.send_text(error.reason)
    await websocket.close()


def client_of(scene: Scene) -> TestClient:
    app = Starlette(routes=[Route("/me", me), WebSocketRoute("/live", renew)])
    guarded = AveAuthMiddleware(app, scene.verifier, required=True, **scene.options)
    return TestClient(guarded, raise_server_exceptions=False)


@each_reason
def test_an_application_refuses_every_scene_with_its_status(
    issuer: FakeIssuer, caplog: pytest.LogCaptureFixture, reason: Reason
) -> None:
    caplog.set_level("INFO", "aveverify.http")
    with issuer.scene(reason) as scene:
        answer = client_of(scene).get("/me", headers=list(scene.headers))
    if reason is Reason.OTHER_USER:
        assert (answer.status_code, answer.text) == (200, "user_ada")
        return
    assert answer.status_code == scene.status
    # An exception of the programmer, not a refusal.
    is_refusal = reason is not Reason.MISCONFIGURED
    assert any(message.startswith(f"refused: {reason} (") for message in caplog.messages) is is_refusal


def test_the_token_of_another_user_is_refused_on_the_websocket_that_the_first_one_opened(issuer: FakeIssuer) -> None:
    with (
        issuer.scene(Reason.OTHER_USER) as scene,
        client_of(scene).websocket_connect("/live", headers=dict(scene.headers)) as connection,
    ):
        connection.send_text(scene.token)
        assert connection.receive_text() == Reason.OTHER_USER


@each_reason
@pytest.mark.parametrize("url", ["https://issuer.test", "http://localhost:1/tenant/"], ids=["https", "http with path"])
@pytest.mark.parametrize("application_id", ["app_test", ""], ids=["app", "empty"])
def test_the_verifier_gives_the_reason_itself(clock: FakeClock, reason: Reason, url: str, application_id: str) -> None:
    issuer = FakeIssuer(url, application_id=application_id, algorithms=("EdDSA",), clock=clock)
    with issuer.scene(reason) as scene:
        if reason in OF_A_MIDDLEWARE:
            assert scene.verifier.verify(scene.token).issuer == issuer.issuer
            return
        with pytest.raises(AveVerifyError) as caught:
            scene.verifier.verify(scene.token)
        assert caught.value.reason is reason
        with pytest.raises(AveVerifyError) as caught:
            asyncio.run(scene.verifier.verify_async(scene.token))
        assert caught.value.reason is reason


def test_without_the_options_the_request_is_accepted(issuer: FakeIssuer) -> None:
    for reason in (Reason.REFUSED_BY_CHECK, Reason.UNKNOWN_USER, Reason.INACTIVE_USER, Reason.INSUFFICIENT_SCOPE):
        with issuer.scene(reason) as scene:
            assert scene.verifier.verify_header(scene.headers[0][1])


def test_a_malformed_header_is_no_flaw_of_its_token(issuer: FakeIssuer) -> None:
    with issuer.scene(Reason.MALFORMED_AUTHORIZATION) as scene:
        ((_, value),) = scene.headers
        with pytest.raises(InvalidRequestError):
            parse_authorization(value)
        assert scene.verifier.verify(scene.token).subject


def test_a_scene_leaves_the_issuer_as_it_is(issuer: FakeIssuer) -> None:
    for reason in Reason:
        issuer.scene(reason).close()
    with issuer.verifier() as verifier:
        assert verifier.verify(issuer.token()).subject == "user_ada"


def test_a_scene_closes_its_verifier(issuer: FakeIssuer) -> None:
    with issuer.scene(Reason.EXPIRED) as scene:
        pass
    with pytest.raises(ConfigurationError):
        scene.verifier.status()


def test_a_scene_shows_no_token(issuer: FakeIssuer) -> None:
    with issuer.scene(Reason.OTHER_USER) as scene:
        shown = repr(scene)
    assert "OTHER_USER" in shown
    assert scene.token not in shown
    assert scene.headers[0][1] not in shown


def test_an_unknown_reason_is_refused(issuer: FakeIssuer) -> None:
    with pytest.raises(ValueError, match="NO_SUCH_REASON"):
        issuer.scene("NO_SUCH_REASON")  # type: ignore[arg-type]
