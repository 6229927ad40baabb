"""The real nginx, Caddy, Traefik and Envoy with the files of deploy/, `aveverify serve`, and a service behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.processes import free_port
from tests.raw_http import Answer, ask, bearer, exchange, request
from tests.servers.proxies.scenario import Deployment, RunProxy, Setting, run_deployment, run_envoy
from tests.servers.proxies.upstream import serve_upstream
from tests.servers.websocket_client import open_websocket

# Each spelling that a server behind the proxy might treat as one of our headers.
SPOOFS = [
    b"X-Ave-Subject: mallory",
    b"x-ave-subject: mallory",
    b"X_Ave_Subject: mallory",
    b"X-Ave_Subject: mallory",
    b"X_Ave-Subject: mallory",
    b"x-ave-identity: mallory",
    b"X_AVE_IDENTITY: mallory",
    b"X-Ave-Token-Identifier: mallory",
    b"X-Ave-Token_Identifier: mallory",
    b"X_Ave_Token_Identifier: mallory",
]


@pytest.fixture(scope="module")
def deployment(run_proxy: RunProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with run_deployment(run_proxy, tmp_path_factory.mktemp("required"), "--identity", "--realm", "here") as deployment:
        yield deployment


@pytest.fixture(scope="module")
def open_to_all(run_proxy: RunProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with run_deployment(run_proxy, tmp_path_factory.mktemp("optional"), "--optional", "--scope", "read") as deployment:
        yield deployment


@pytest.fixture(scope="module")
def with_healthz(run_proxy: RunProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with run_deployment(run_proxy, tmp_path_factory.mktemp("healthz"), opens_healthz=True) as deployment:
        yield deployment


def seen(answer: Answer) -> dict[str, str]:
    """The headers that the service received, by names as a careless server normalises them."""
    assert answer.status == 200, answer
    pairs: list[tuple[str, str]] = json.loads(answer.body)["headers"]
    names = [name.lower().replace("_", "-") for name, _ in pairs]
    return {name: value for name, (_, value) in zip(names, pairs, strict=True) if names.count(name) == 1 or value}


def check_refused(deployment: Deployment, answer: Answer, status: int) -> None:
    assert answer.status == status, answer
    assert deployment.upstream.received == []


@pytest.fixture(autouse=True)
def _nothing_received(request: pytest.FixtureRequest) -> None:
    for name in ("deployment", "open_to_all", "with_healthz"):
        if name in request.fixturenames:
            request.getfixturevalue(name).upstream.forget()


def test_an_accepted_request_reaches_the_service_with_the_identity(deployment: Deployment) -> None:
    headers = seen(ask(deployment.port, bearer(deployment.issuer.token(sub="ada"))))

    assert headers["x-ave-subject"] == "ada"
    assert headers["x-ave-token-identifier"] == f"{deployment.issuer.issuer}|ada"
    identity = json.loads(base64.urlsafe_b64decode(headers["x-ave-identity"] + "=="))
    assert identity["tokenIdentifier"] == f"{deployment.issuer.issuer}|ada"


def test_a_scheme_in_lower_case_is_accepted(deployment: Deployment) -> None:
    """HTP-003."""
    assert seen(ask(deployment.port, b"authorization: bearer " + deployment.issuer.token().encode()))["x-ave-subject"]


def test_a_hostile_subject_is_one_header_with_one_value(deployment: Deployment) -> None:
    """HTP-009, HTP-034: no header injection, no other user."""
    headers = seen(ask(deployment.port, bearer(deployment.issuer.token(sub=" ada\r\nX-Ave-Admin: 1\u00e9%"))))

    assert headers["x-ave-subject"] == "%20ada%0D%0AX-Ave-Admin:%201%C3%A9%25"
    assert "x-ave-admin" not in headers


def test_missing_credentials_are_answered_with_a_challenge(deployment: Deployment) -> None:
    answer = ask(deployment.port)

    check_refused(deployment, answer, 401)
    assert answer.values("www-authenticate") == ['Bearer realm="here"']
    assert answer.values("cache-control") == ["no-store"]
    assert json.loads(answer.body)["error"] == "unauthorized"


@pytest.mark.parametrize("method", [b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"], ids=bytes.decode)
def test_no_method_passes_without_a_token(deployment: Deployment, method: bytes) -> None:
    """HTP-011."""
    refused = ask(deployment.port, method=method)
    check_refused(deployment, refused, 401)
    assert refused.values("www-authenticate") == ['Bearer realm="here"']

    accepted = ask(deployment.port, bearer(deployment.issuer.token()), method=method)
    assert accepted.status == 200
    assert deployment.upstream.targets == [f"{method.decode()} /"]


@pytest.mark.parametrize("flaw", ["expired", "bad_signature", "unknown_key", "wrong_audience", "alg_none"])
def test_a_refused_token_is_answered_with_its_challenge(deployment: Deployment, flaw: str) -> None:
    """HTP-034, ERR-004."""
    answer = ask(deployment.port, bearer(deployment.issuer.forge(flaw)))

    check_refused(deployment, answer, 401)
    (challenge,) = answer.values("www-authenticate")
    assert challenge.startswith('Bearer realm="here", error="invalid_token"')
    assert json.loads(answer.body)["error"] == "invalid_token"


@pytest.mark.parametrize("order", [("good", "bad"), ("bad", "good"), ("good", "good")], ids="-".join)
def test_two_authorization_headers_are_refused(deployment: Deployment, order: tuple[str, str]) -> None:
    """HTP-001: by the proxy or by the service that it asks."""
    tokens = {"good": deployment.issuer.token(), "bad": deployment.issuer.forge("bad_signature")}

    check_refused(deployment, ask(deployment.port, *(bearer(tokens[kind]) for kind in order)), 400)


@pytest.mark.parametrize("value", [b"Bearer", b"Bearer a,b", b"Bearer\ttoken", b"Bearer \xff"])
def test_malformed_credentials_are_a_bad_request(deployment: Deployment, value: bytes) -> None:
    """HTP-003, HTP-004, HTP-006: with its challenge, and not the 500 of a proxy that does not know it."""
    answer = ask(deployment.port, b"Authorization: " + value)

    check_refused(deployment, answer, 400)
    (challenge,) = answer.values("www-authenticate")
    assert 'error="invalid_request"' in challenge


@pytest.mark.parametrize("spoof", SPOOFS, ids=lambda line: line.decode())
def test_identity_headers_of_a_client_do_not_come_through(
    deployment: Deployment, open_to_all: Deployment, spoof: bytes
) -> None:
    """HTP-008, HTP-009: neither beside a token nor without one."""
    accepted = ask(deployment.port, spoof, bearer(deployment.issuer.token(sub="ada")))
    anonymous = ask(open_to_all.port, spoof)

    assert seen(accepted)["x-ave-subject"] == "ada"
    assert b"mallory" not in accepted.body
    assert anonymous.status == 200
    assert b"mallory" not in anonymous.body


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((b"Connection: X-Ave-Subject, x-ave-token-identifier,X-Ave-Identity",), id="one line"),
        pytest.param((b"Connection: keep-alive", b"Connection: x-ave-token-identifier, close"), id="two lines"),
    ],
)
def test_a_client_cannot_have_its_identity_taken_out(deployment: Deployment, lines: tuple[bytes, ...]) -> None:
    """RFC 9110 §7.6.1: a proxy removes the headers that Connection names, but not those that it has added."""
    headers = seen(ask(deployment.port, *lines, bearer(deployment.issuer.token(sub="ada"))))

    assert headers["x-ave-subject"] == "ada"
    assert headers["x-ave-token-identifier"] == f"{deployment.issuer.issuer}|ada"
    assert headers["x-ave-identity"]


def test_anonymous_visitors_have_empty_identity_headers(open_to_all: Deployment) -> None:
    headers = seen(ask(open_to_all.port))

    assert [headers.get(f"x-ave-{name}", "") for name in ("subject", "token-identifier", "identity")] == [""] * 3


def test_a_bad_token_is_never_anonymous(open_to_all: Deployment) -> None:
    """HTP-036."""
    check_refused(open_to_all, ask(open_to_all.port, bearer(open_to_all.issuer.forge("expired"))), 401)


def test_a_missing_scope_is_forbidden_with_its_challenge(open_to_all: Deployment) -> None:
    answer = ask(open_to_all.port, bearer(open_to_all.issuer.token(scope="write")))

    check_refused(open_to_all, answer, 403)
    (challenge,) = answer.values("www-authenticate")
    assert challenge.endswith('scope="read"')


def test_missing_keys_are_503_with_retry_after(deployment: Deployment) -> None:
    """HTP-035: the 503 itself, not the 500 of a proxy that does not know it."""
    answer = ask(deployment.port, bearer(deployment.lost.token()))

    check_refused(deployment, answer, 503)
    (retry_after,) = answer.values("retry-after")
    assert int(retry_after) >= 1
    assert answer.values("www-authenticate") == []


def test_a_connection_keeps_no_user(deployment: Deployment) -> None:
    """HTP-038."""
    first, second, third = exchange(
        deployment.port,
        request(bearer(deployment.issuer.token(sub="ada"))),
        request(),
        request(bearer(deployment.issuer.token(sub="grace"))),
    )

    assert seen(first)["x-ave-subject"] == "ada"
    assert second.status == 401
    assert seen(third)["x-ave-subject"] == "grace"


def test_a_body_reaches_the_service_alone(deployment: Deployment) -> None:
    """HTP-040: the request to the service has no body, or the next request on that connection would begin with it."""
    body = b"GET /auth HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    lines = (bearer(deployment.issuer.token(sub="ada")), b"Content-Length: " + str(len(body)).encode())
    asked_before = deployment.serve.output.count("Invalid HTTP request")

    for _ in range(3):
        (answer,) = exchange(deployment.port, request(*lines, method=b"POST") + body)
        assert json.loads(answer.body)["body"] == body.decode()

    assert deployment.serve.output.count("Invalid HTTP request") == asked_before


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        pytest.param((b"Content-Length: 5",), b"12345", id="length"),
        pytest.param((b"Transfer-Encoding: chunked",), b"5\r\n12345\r\n0\r\n\r\n", id="chunked"),
        pytest.param(
            (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x", b"Content-Length: 5"),
            b"12345",
            id="upgrade",
        ),
    ],
)
def test_the_question_has_no_path_no_query_no_body_and_no_upgrade(
    run_proxy: RunProxy, tmp_path: Path, lines: tuple[bytes, ...], body: bytes
) -> None:
    """HTP-039, HTP-040: with a service that records its requests."""
    with serve_upstream() as asked, serve_upstream() as upstream:
        port = free_port()
        with run_proxy(Setting(port, asked.port, upstream.port, tmp_path)):
            # The requests until the proxy was ready.
            asked.forget()
            upstream.forget()
            head = request(b"Authorization: Bearer token", *lines, method=b"POST", target=b"/x?access_token=y")
            exchange(port, head + body)

    (question,) = [{name.lower(): value for name, value in pairs} for pairs in asked.received]
    # Envoy sends the method of the request; the service ignores it.
    assert asked.targets == ["POST /auth" if run_proxy is run_envoy else "GET /auth"]
    assert question["authorization"] == "Bearer token"
    assert question.get("content-length", "0") == "0"
    assert not {"transfer-encoding", "upgrade", "expect"} & question.keys()
    assert len(upstream.received) == 1


def test_a_header_of_20_kib_is_refused(deployment: Deployment) -> None:
    check_refused(deployment, ask(deployment.port, b"Authorization: Bearer " + b"a" * 20 * 1024), 401)


def test_a_failure_of_the_service_itself_is_passed_on(deployment: Deployment) -> None:
    answer = ask(deployment.port, bearer(deployment.issuer.token()), target=b"/broken")

    assert (answer.status, json.loads(answer.body)["path"]) == (500, "/broken")


@pytest.mark.parametrize(
    "target", [b"/_ave_auth", b"/auth", b"/healthz", b"/readyz", b"/metrics"], ids=lambda path: path.decode()
)
def test_nothing_of_the_service_that_is_asked_can_be_reached_from_outside(
    deployment: Deployment, target: bytes
) -> None:
    assert ask(deployment.port, target=target).status in (401, 404)
    assert deployment.upstream.received == []


PREFLIGHT = (b"Origin: https://app.test", b"Access-Control-Request-Method: POST")


def test_a_preflight_passes_as_anonymous(deployment: Deployment) -> None:
    """HTP-027, HTP-028."""
    answer = ask(deployment.port, *PREFLIGHT, *SPOOFS, method=b"OPTIONS")

    assert answer.status == 200
    assert b"mallory" not in answer.body


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        pytest.param(b"OPTIONS", (), id="plain OPTIONS"),
        pytest.param(b"OPTIONS", PREFLIGHT[:1], id="Origin alone"),
        pytest.param(b"OPTIONS", PREFLIGHT[1:], id="the method alone"),
        pytest.param(b"GET", PREFLIGHT, id="GET like a preflight"),
        pytest.param(b"POST", (*PREFLIGHT, b"X-HTTP-Method-Override: OPTIONS"), id="method override"),
        pytest.param(b"GET", (*PREFLIGHT, b"X-Forwarded-Method: OPTIONS"), id="X-Forwarded-Method"),
        pytest.param(b"GET", (*PREFLIGHT, b"X-Original-Method: OPTIONS"), id="X-Original-Method"),
        pytest.param(b"GET", (b"X-Original-URI: /healthz", b"X-Forwarded-Uri: /healthz"), id="another path"),
    ],
)
def test_what_only_looks_like_a_preflight_needs_a_token(
    deployment: Deployment, method: bytes, lines: tuple[bytes, ...]
) -> None:
    """HTP-011, HTP-027: the service does not trust what a client says about its request."""
    check_refused(deployment, ask(deployment.port, *lines, method=method), 401)


# --- what needs no credentials --------------------------------------------------------------------------------------


def test_an_open_path_is_answered_without_credentials_and_without_what_the_client_claims(
    with_healthz: Deployment,
) -> None:
    answer = ask(with_healthz.port, *SPOOFS, target=b"/healthz")

    assert answer.status == 200
    assert b"mallory" not in answer.body
    assert ask(with_healthz.port).status == 401
    assert with_healthz.upstream.targets == ["GET /healthz"]


@pytest.mark.parametrize(
    "target",
    [
        b"//healthz",
        b"/healthz/../admin",
        b"/healthz/%2e%2e/admin",
        b"/healthz%2f..%2fadmin",
        b"/healthz;x/admin",
        b"/healthzadmin",
        b"/healthz/",
        b"/healthz/admin",
        b"/HEALTHZ",
        b"/healthz%00/admin",
        b"/%68ealthz/../admin",
        b"/healthz\\..\\admin",
        b"/a%ff",
        b"/admin/../healthz",
        b"/admin/%2e%2e/healthz",
        b"/admin%2f..%2fhealthz",
        b"/admin/..%2fhealthz",
        b"/admin;/../healthz",
    ],
    ids=bytes.decode,
)
def test_no_other_path_passes_as_an_exempt_one(with_healthz: Deployment, target: bytes) -> None:
    """HTP-012 to HTP-024: the service gets the path that was exempt, not another spelling of it."""
    answer = ask(with_healthz.port, target=target)

    assert answer.status in ((200,) if with_healthz.upstream.received else (400, 401))
    assert set(with_healthz.upstream.targets) <= {"GET /healthz"}


# --- WebSockets -----------------------------------------------------------------------------------------------------


def test_a_websocket_is_opened_with_a_token_in_its_header(deployment: Deployment) -> None:
    headers = {"Authorization": f"Bearer {deployment.issuer.token(sub='ada')}", "X-Ave-Subject": "mallory"}

    with open_websocket(deployment.port, headers=headers) as websocket:
        assert websocket.recv() == "hello ada"


def test_a_websocket_is_opened_with_a_token_among_its_protocols(deployment: Deployment) -> None:
    """HTP-029."""
    offered = ("bearer", deployment.issuer.token(sub="ada"))

    with open_websocket(deployment.port, subprotocols=offered) as websocket:
        assert websocket.recv() == "hello ada"
        assert websocket.subprotocol == "bearer"


@pytest.mark.parametrize("flaw", [None, "expired"], ids=["no token", "expired"])
def test_a_websocket_is_refused_before_it_is_opened(deployment: Deployment, flaw: str | None) -> None:
    """HTP-029."""
    offered = ("bearer", deployment.issuer.forge(flaw)) if flaw else ()

    with pytest.raises(InvalidStatus) as refused:
        open_websocket(deployment.port, subprotocols=offered)

    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["WWW-Authenticate"].startswith("Bearer")
    assert deployment.upstream.received == []


# --- while aveverify serve is down ----------------------------------------------------------------------------------


def test_without_the_service_no_request_passes(run_proxy: RunProxy, tmp_path_factory: pytest.TempPathFactory) -> None:
    """HTP-035: refused, also where credentials are optional."""
    folder = tmp_path_factory.mktemp("alone")
    with run_deployment(run_proxy, folder, "--optional", service_is_down=True) as deployment:
        for lines in ((), (bearer(deployment.issuer.token()),), (*SPOOFS,)):
            answer = ask(deployment.port, *lines)
            assert answer.status in (500, 502, 503)
        assert deployment.upstream.received == []


def test_no_log_has_a_token_in_it(deployment: Deployment) -> None:
    """ERR-002: neither the log of the proxy nor that of the service, for accepted and refused tokens."""
    tokens = [deployment.issuer.token(), deployment.issuer.forge("expired")]
    for token in tokens:
        ask(deployment.port, bearer(token), target=b"/?access_token=" + token.encode())

    logs = deployment.proxy.output + deployment.serve.output
    assert "EXPIRED" in logs
    assert not any(token.rpartition(".")[2] in logs for token in tokens)
