"""What the application that a proxy asks answers, and what it leaves unread."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient

from aveverify import ConfigurationError, Reason, Verifier, problem_details
from aveverify._http.exempt_paths import ExemptPaths
from aveverify.asgi import ASGIApp, Receive, Scope, Send
from aveverify.forward_auth import IDENTITY_HEADERS, _ForwardedRequest, make_admin_app, make_app
from aveverify.identity_header import IdentitySigner, encode_identity, read_identity
from aveverify.sources import AuthorizationHeader
from aveverify.testing import FakeClock, FakeIssuer
from tests.hmac_keys import KEY
from tests.http.http_fixtures import Client, Request, http_scope


def client_of(app: ASGIApp) -> TestClient:
    return TestClient(app, raise_server_exceptions=True)


def call(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def serve() -> None:
        await app(scope, receive, send)

    asyncio.run(serve())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def identity_headers(headers: Any) -> list[str | None]:
    return [headers.get(name) for name in IDENTITY_HEADERS]


def test_an_accepted_token_is_answered_with_the_identity(verifier: Verifier, issuer: FakeIssuer) -> None:
    answer = client_of(make_app(verifier)).get("/auth", headers=bearer(issuer.token(sub="ada")))

    assert (answer.status_code, answer.content) == (200, b"")
    assert identity_headers(answer.headers) == ["ada", "https://issuer.test|ada", ""]
    assert answer.headers["cache-control"] == "no-store"


def test_the_identity_is_base64url_json_where_it_is_asked_for(verifier: Verifier, issuer: FakeIssuer) -> None:
    app = make_app(verifier, write_identity=encode_identity)
    token = issuer.token(sub="ada", plan="pro")

    value = client_of(app).get("/auth", headers=bearer(token)).headers["X-Ave-Identity"]

    assert "=" not in value
    decoded = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    assert decoded == verifier.verify(token).to_convex()
    assert decoded["plan"] == "pro"


def test_the_identity_is_signed_where_there_is_a_key(verifier: Verifier, issuer: FakeIssuer, clock: FakeClock) -> None:
    app = make_app(verifier, write_identity=IdentitySigner(KEY, clock=clock))
    token = issuer.token(sub="ada")

    value = client_of(app).get("/auth", headers=bearer(token)).headers["X-Ave-Identity"]

    assert read_identity(value, key=KEY, clock=clock) == verifier.verify(token).to_convex()


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param("ada\r\nX-Ave-Admin: yes", id="line break"),
        pytest.param("\u0436\u00e9\u4e2d", id="other scripts"),
        pytest.param("  ada ", id="blanks around"),
        pytest.param("a%20b", id="already encoded"),
        pytest.param('a,b;c="d"', id="separators"),
        pytest.param("\x00\x1b[31m\x7f", id="control characters"),
    ],
)
def test_a_hostile_subject_is_visible_ascii_and_can_be_read_back(
    verifier: Verifier, issuer: FakeIssuer, subject: str
) -> None:
    """HTP-034: no header injection, and no two subjects alike."""
    answer = client_of(make_app(verifier)).get("/auth", headers=bearer(issuer.token(sub=subject)))

    value = answer.headers["X-Ave-Subject"]
    assert all("\x21" <= character <= "\x7e" for character in value)
    assert unquote(value) == subject
    assert unquote(answer.headers["X-Ave-Token-Identifier"]) == f"https://issuer.test|{subject}"


def test_anonymous_visitors_get_every_identity_header_empty(verifier: Verifier) -> None:
    """HTP-009: present, so that a proxy that copies them overwrites what the client sent."""
    app = make_app(verifier, required=False, write_identity=encode_identity)
    spoofed = dict.fromkeys(IDENTITY_HEADERS, "mallory")

    answer = client_of(app).get("/auth", headers=spoofed)

    assert answer.status_code == 200
    assert identity_headers(answer.headers) == ["", "", ""]


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
@pytest.mark.parametrize(
    ("kind", "status", "challenge"),
    [
        pytest.param("expired", 401, 'Bearer realm="here", error="invalid_token"', id="expired"),
        pytest.param("bad_signature", 401, 'Bearer realm="here", error="invalid_token"', id="bad signature"),
        pytest.param("padded_base64", 400, 'Bearer realm="here", error="invalid_request"', id="malformed"),
    ],
)
def test_a_refusal_is_that_of_the_contract_and_names_nobody(  # noqa: PLR0913 - a row of the table
    verifier: Verifier, issuer: FakeIssuer, *, kind: str, status: int, challenge: str, required: bool
) -> None:
    """HTP-034, HTP-036."""
    app = make_app(verifier, required=required, realm="here")

    answer = client_of(app).get("/auth", headers=bearer(issuer.forge(kind)))

    assert answer.status_code == status
    assert answer.headers["www-authenticate"].startswith(challenge)
    assert set(answer.json()) == {"error", "error_description"}
    assert identity_headers(answer.headers) == [None, None, None]


def test_missing_credentials_are_refused_where_they_are_required(verifier: Verifier) -> None:
    answer = client_of(make_app(verifier, resource_metadata="https://api.test/meta")).get("/auth")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer resource_metadata="https://api.test/meta"'


@pytest.mark.parametrize(("permissions", "status"), [(["read"], 200), (["admin"], 200), (["list"], 403), ([], 403)])
def test_one_of_several_scopes_of_another_claim_is_enough(
    verifier: Verifier, issuer: FakeIssuer, permissions: list[str], status: int
) -> None:
    app = make_app(verifier, any_scopes=["read", "admin"], scope_claims=["permissions"])

    assert client_of(app).get("/auth", headers=bearer(issuer.token(permissions=permissions))).status_code == status


def test_a_predicate_and_the_rendering_of_refusals_are_the_applications(verifier: Verifier, issuer: FakeIssuer) -> None:
    app = make_app(verifier, allow=lambda identity: identity.get("plan") == "pro", render_refusal=problem_details)
    client = client_of(app)

    assert client.get("/auth", headers=bearer(issuer.token(plan="pro"))).status_code == 200
    refused = client.get("/auth", headers=bearer(issuer.token(plan="free")))
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_missing_scope_is_403(verifier: Verifier, issuer: FakeIssuer) -> None:
    answer = client_of(make_app(verifier, scopes=["read"])).get("/auth", headers=bearer(issuer.token(scope="write")))

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].endswith('scope="read"')


def test_missing_keys_are_503_with_retry_after(verifier: Verifier, issuer: FakeIssuer) -> None:
    """HTP-035."""
    token = issuer.token()
    issuer.go_down()

    answer = client_of(make_app(verifier, required=False)).get("/auth", headers=bearer(token))

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert identity_headers(answer.headers) == [None, None, None]


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
def test_two_authorization_headers_are_refused(verifier: Verifier, issuer: FakeIssuer, *, required: bool) -> None:
    """HTP-001."""
    pair = [("Authorization", f"Bearer {issuer.token()}")] * 2

    assert client_of(make_app(verifier, required=required)).get("/auth", headers=pair).status_code == 400


def test_the_application_may_refuse_an_identity(verifier: Verifier, issuer: FakeIssuer) -> None:
    app = make_app(verifier, check=lambda identity: "banned" if identity.subject == "mallory" else None)

    assert client_of(app).get("/auth", headers=bearer(issuer.token(sub="mallory"))).status_code == 401
    assert client_of(app).get("/auth", headers=bearer(issuer.token(sub="ada"))).status_code == 200


def test_a_token_among_websocket_protocols_counts_in_a_handshake_only(verifier: Verifier, issuer: FakeIssuer) -> None:
    """HTP-029: proxies ask about a handshake with an ordinary request that has kept its Sec-WebSocket headers."""
    offered = {"Sec-WebSocket-Protocol": f"bearer, {issuer.token(sub='ada')}"}
    client = client_of(make_app(verifier))

    handshake = client.get("/auth", headers={"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **offered})
    other = client.get("/auth", headers=offered)

    assert (handshake.status_code, handshake.headers["X-Ave-Subject"]) == (200, "ada")
    assert other.status_code == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE"])
def test_no_method_and_no_header_about_the_original_request_opens_a_door(verifier: Verifier, method: str) -> None:
    """HTP-011, HTP-027: clients may send all of these."""
    headers = {
        "Origin": "https://app.test",
        "Access-Control-Request-Method": "POST",
        "X-Original-URI": "/healthz",
        "X-Original-Method": "OPTIONS",
        "X-Forwarded-Uri": "/healthz",
        "X-Forwarded-Method": "OPTIONS",
        "X-HTTP-Method-Override": "OPTIONS",
        "Host": "localhost/healthz",
    }

    answer = client_of(make_app(verifier)).request(method, "/auth", headers=headers)

    assert answer.status_code == 401
    assert bool(answer.content) == (method != "HEAD")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/auth", 200, id="itself"),
        pytest.param("/auth/", 200, id="a slash"),
        pytest.param("/auth/api/me?x=1", 200, id="Envoy's prefix"),
        pytest.param("/", 404, id="root"),
        pytest.param("/authority", 404, id="a longer word"),
        pytest.param("/healthz", 404, id="a forgotten prefix"),
    ],
)
def test_only_auth_and_what_is_below_it_is_an_answer(verifier: Verifier, path: str, status: int) -> None:
    """HTP-017: any other path means that the proxy is set up wrongly, and that must not look like consent."""
    assert client_of(make_app(verifier, required=False)).get(path).status_code == status


@pytest.mark.parametrize(
    ("path", "is_admin", "status"),
    [
        pytest.param("/auth", False, 401, id="a refusal"),
        pytest.param("/healthz", True, 200, id="the admin application"),
    ],
)
def test_a_head_request_is_answered_without_a_body(
    verifier: Verifier, path: str, status: int, *, is_admin: bool
) -> None:
    """RFC 9110 §9.3.2, by hand: a test client drops such a body, a proxy may take it for the next response."""
    app = make_admin_app(verifier) if is_admin else make_app(verifier)
    replies = {}
    for method in ("GET", "HEAD"):
        client = Client()
        client.call(app, http_scope(Request(method=method), path=path))
        replies[method] = client.reply

    assert replies["HEAD"].status == status
    assert (replies["HEAD"].body, replies["GET"].body != b"") == (b"", True)
    assert replies["HEAD"].headers == replies["GET"].headers


def test_a_body_is_never_read(verifier: Verifier) -> None:
    """HTP-040."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "method": "POST", "path": "/auth", "headers": [(b"content-length", b"1000000")]}
    call(make_app(verifier), scope, receive, send)

    assert sent == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "x"])
def test_other_protocols_are_refused_by_an_exception(verifier: Verifier, kind: str) -> None:
    """HTP-032: ASGI's way to say so; a server closes a WebSocket then."""

    async def never(*_message: Any) -> Any:
        raise AssertionError

    for app in (make_app(verifier), make_admin_app(verifier)):
        with pytest.raises(NotImplementedError):
            call(app, {"type": kind, "path": "/auth", "headers": []}, never, never)


def test_every_outcome_is_told_by_a_word_of_a_closed_list(verifier: Verifier, issuer: FakeIssuer) -> None:
    """ERR-005."""
    told: list[tuple[str, int]] = []
    required = client_of(make_app(verifier, on_outcome=lambda *outcome: told.append(outcome)))
    optional = client_of(make_app(verifier, required=False, on_outcome=lambda *outcome: told.append(outcome)))

    required.get("/auth", headers=bearer(issuer.token()))
    required.get("/auth")
    optional.get("/auth")
    required.get("/auth", headers=bearer(issuer.token(header={"kid": "mallory"})))
    required.get("/auth", headers={"Authorization": "Bearer"})

    assert told == [
        ("accepted", 200),
        ("no_credentials", 401),
        ("anonymous", 200),
        (Reason.UNKNOWN_KEY, 401),
        (Reason.MALFORMED_AUTHORIZATION, 400),
    ]
    assert {type(outcome) for outcome, _ in told} == {str}


def test_options_are_checked_when_the_application_is_made(verifier: Verifier) -> None:
    with pytest.raises(ConfigurationError):
        make_app(verifier, realm='a"b')


# --- for the operator -----------------------------------------------------------------------------------------------


def test_it_is_alive_whatever_its_keys_are(verifier: Verifier, issuer: FakeIssuer) -> None:
    issuer.go_down()

    assert client_of(make_admin_app(verifier)).get("/healthz").status_code == 200


def test_it_is_ready_when_keys_of_every_provider_are_usable(verifier: Verifier) -> None:
    client = client_of(make_admin_app(verifier))
    cold = client.get("/readyz")
    verifier.warm_up()
    warm = client.get("/readyz")

    assert (cold.status_code, cold.json()["is_ready"]) == (503, False)
    assert (warm.status_code, warm.json()["is_ready"]) == (200, True)
    assert warm.json()["providers"][0]["issuer"] == "https://issuer.test"


def test_a_closed_verifier_is_not_ready(issuer: FakeIssuer) -> None:
    verifier = issuer.verifier()
    verifier.close()

    answer = client_of(make_admin_app(verifier)).get("/readyz")

    assert (answer.status_code, answer.json()) == (503, {"is_ready": False, "reason": "MISCONFIGURED"})


def test_metrics_are_shown_where_there_are_some(verifier: Verifier) -> None:
    with_metrics = client_of(make_admin_app(verifier, lambda: ("text/plain", b"x 1\n"))).get("/metrics")
    without = client_of(make_admin_app(verifier)).get("/metrics")

    assert (with_metrics.status_code, with_metrics.content) == (200, b"x 1\n")
    assert without.status_code == 404


def test_nothing_can_be_changed_there(verifier: Verifier) -> None:
    client = client_of(make_admin_app(verifier))

    assert client.post("/healthz").status_code == 405
    assert client.get("/auth").status_code == 404
    assert (client.head("/healthz").status_code, client.head("/healthz").content) == (200, b"")


def test_a_forwarded_request_is_never_exempt_and_keeps_its_headers() -> None:
    """Which paths need no credentials, the proxy decides: it does not ask for them."""
    headers = [(b"authorization", b"Bearer x"), (b"x-forwarded-uri", b"/healthz")]
    request = _ForwardedRequest(headers)

    assert not request.is_at(ExemptPaths(["/healthz", "/auth"]))
    request.hide_token(())
    assert request.read_token((AuthorizationHeader(),)) == b"x"
