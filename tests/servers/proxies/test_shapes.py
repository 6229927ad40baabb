"""Traefik's and Envoy's files, read as data: their contents, and the requests that these proxies send to the service.

Neither proxy runs here; test_proxies.py runs them where they are installed. The tests imitate a proxy by its
documentation: the headers that it sends to the service, and those that it copies back.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from aveverify import Verifier
from aveverify.forward_auth import IDENTITY_HEADERS, make_app
from aveverify.testing import FakeIssuer
from tests.servers.proxies.obedient import OVERRIDES
from tests.servers.proxies.scenario import DEPLOY

Headers = list[tuple[str, str]]


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def traefik() -> Any:
    return read("traefik-dynamic.yml")["http"]


@pytest.fixture(scope="module")
def envoy_filters() -> dict[str, Any]:
    (chain,) = read("envoy.yaml")["static_resources"]["listeners"][0]["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    return {"manager": manager} | {each["name"]: each["typed_config"] for each in manager["http_filters"]}


def spellings(name: str) -> set[str]:
    """Every name that a server might treat as this one, because it does not tell hyphens from underscores."""
    words = name.split("-")
    return {
        words[0] + "".join(mark + word for mark, word in zip(marks, words[1:], strict=True))
        for marks in itertools.product("-_", repeat=len(words) - 1)
    }


def pass_traefik(traefik: Any, verifier: Verifier, headers: Headers) -> tuple[int, Headers]:
    """Imitate Traefik's router `backend`: the status of the response, and the headers that reach the service."""
    for name in traefik["routers"]["backend"]["middlewares"]:
        middleware = traefik["middlewares"][name]
        if "headers" in middleware:
            emptied = {key.lower() for key, value in middleware["headers"]["customRequestHeaders"].items() if not value}
            headers = [(key, value) for key, value in headers if key.lower() not in emptied]
            continue
        forward = middleware["forwardAuth"]
        asked = {key.lower() for key in forward["authRequestHeaders"]}
        # Traefik sets X-Forwarded-* itself.
        question = [(key, value) for key, value in headers if key.lower() in asked]
        question += [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/")]
        answer = TestClient(make_app(verifier, required=False)).get("/auth", headers=question)
        if answer.status_code >= 300:
            return answer.status_code, []
        copied = {key.lower() for key in forward["authResponseHeaders"]}
        headers = [(key, value) for key, value in headers if key.lower() not in copied]
        headers += [(key, value) for key, value in answer.headers.items() if key.lower() in copied]
    return 200, headers


def test_traefik_sends_requests_to_auth_and_trusts_no_client_header(traefik: Any) -> None:
    forward = traefik["middlewares"]["ave-auth"]["forwardAuth"]

    assert forward["address"].endswith(":4180/auth")
    assert not {"trustForwardHeader", "forwardBody"} & forward.keys()
    assert forward["authRequestHeaders"] == ["Authorization", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol"]
    assert set(forward["authResponseHeaders"]) == set(IDENTITY_HEADERS)


def test_traefik_removes_every_spelling_on_every_router(traefik: Any) -> None:
    """HTP-008, HTP-009."""
    emptied = traefik["middlewares"]["ave-strip"]["headers"]["customRequestHeaders"]

    assert set(emptied) == {spelling for name in IDENTITY_HEADERS for spelling in spellings(name)}
    assert set(emptied.values()) == {""}
    assert all(router["middlewares"][0] == "ave-strip" for router in traefik["routers"].values())


def test_htp_027_traefik_removes_every_override_from_a_preflight(traefik: Any) -> None:
    """The rule excludes the names with hyphens."""
    preflight = traefik["routers"]["preflight"]
    emptied = traefik["middlewares"]["ave-preflight"]["headers"]["customRequestHeaders"]

    assert set(emptied) == {spelling for name in OVERRIDES for spelling in spellings(name)} - set(OVERRIDES)
    assert set(emptied.values()) == {""}
    assert "ave-preflight" in preflight["middlewares"]
    assert all(f"!HeaderRegexp(`{name}`, `.*`)" in preflight["rule"] for name in OVERRIDES)


def test_htp_049_an_upgrade_goes_on_by_way_of_one_router_alone(traefik: Any) -> None:
    routers = traefik["routers"]

    assert all(router["middlewares"][1] == "ave-no-tunnel" for router in routers.values())
    assert [name for name in routers if "ave-websocket" in routers[name]["middlewares"]] == ["websocket"]
    assert "ave-auth" in routers["websocket"]["middlewares"]
    assert "HeaderRegexp(`Upgrade`, `(?i)^websocket$`)" in routers["websocket"]["rule"]


@pytest.mark.parametrize("name", sorted(itertools.chain.from_iterable(map(spellings, IDENTITY_HEADERS))))
def test_a_spoofed_header_does_not_come_through_traefik(
    traefik: Any,
    verifier: Verifier,
    issuer: FakeIssuer,
    name: str,
) -> None:
    """HTP-009."""
    token = ("Authorization", f"Bearer {issuer.token(sub='ada')}")

    for headers, subject in (([token], "ada"), ([], "")):
        status, received = pass_traefik(traefik, verifier, [*headers, (name, "mallory")])
        assert status == 200
        assert dict(received)["x-ave-subject"] == subject
        assert "mallory" not in dict(received).values()


def test_a_refused_token_does_not_come_through_traefik(
    traefik: Any,
    verifier: Verifier,
    issuer: FakeIssuer,
) -> None:
    assert pass_traefik(traefik, verifier, [("Authorization", f"Bearer {issuer.forge('expired')}")]) == (401, [])


def test_two_tokens_do_not_come_through_traefik(
    traefik: Any,
    verifier: Verifier,
    issuer: FakeIssuer,
) -> None:
    """HTP-001."""
    pair = [("Authorization", f"Bearer {issuer.token()}")] * 2

    assert pass_traefik(traefik, verifier, pair) == (400, [])


def test_envoy_fails_closed_and_sends_no_body(envoy_filters: dict[str, Any]) -> None:
    """HTP-035, HTP-040."""
    ext_authz = envoy_filters["envoy.filters.http.ext_authz"]

    assert ext_authz["failure_mode_allow"] is False
    assert "with_request_body" not in ext_authz
    asked = {pattern["exact"] for pattern in ext_authz["allowed_headers"]["patterns"]}
    assert asked == {"sec-websocket-key", "sec-websocket-protocol"}
    assert ext_authz["http_service"]["path_override"] == "/auth"


def test_envoy_takes_out_what_a_client_sent_before_it_asks(envoy_filters: dict[str, Any]) -> None:
    """HTP-008, HTP-009: names with underscores are removed."""
    names = list(envoy_filters)
    removed = envoy_filters["envoy.filters.http.header_mutation"]["mutations"]["request_mutations"]
    authorization = envoy_filters["envoy.filters.http.ext_authz"]["http_service"]["authorization_response"]
    copied = {pattern["exact"] for pattern in authorization["allowed_upstream_headers"]["patterns"]}

    assert names.index("envoy.filters.http.header_mutation") < names.index("envoy.filters.http.ext_authz")
    assert {each["remove"] for each in removed} == copied == {name.lower() for name in IDENTITY_HEADERS}
    protocol = envoy_filters["manager"]["common_http_protocol_options"]
    assert protocol["headers_with_underscores_action"] == "DROP_HEADER"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_envoy_asks_with_any_method_and_gets_the_same_answer(
    verifier: Verifier, issuer: FakeIssuer, method: str
) -> None:
    """HTP-011 to HTP-027: ext_authz sends the method of the request."""
    client = TestClient(make_app(verifier))
    token = {"Authorization": f"Bearer {issuer.token(sub='ada')}"}

    assert client.request(method, "/auth").status_code == 401
    assert client.request(method, "/auth", headers=token).headers["X-Ave-Subject"] == "ada"


def test_envoy_passes_challenge_and_retry_after_on(envoy_filters: dict[str, Any]) -> None:
    service = envoy_filters["envoy.filters.http.ext_authz"]["http_service"]
    shown = {pattern["exact"] for pattern in service["authorization_response"]["allowed_client_headers"]["patterns"]}

    assert {"www-authenticate", "retry-after"} <= shown


def test_htp_049_envoy_upgrades_on_one_route_alone(envoy_filters: dict[str, Any]) -> None:
    """And nowhere by default; CONNECT is allowed nowhere."""
    manager = envoy_filters["manager"]
    (host,) = manager["route_config"]["virtual_hosts"]
    upgrading = [route for route in host["routes"] if "upgrade_configs" in route["route"]]

    assert "upgrade_configs" not in manager
    assert "http2_protocol_options" not in manager
    assert [route["route"]["upgrade_configs"] for route in upgrading] == [[{"upgrade_type": "websocket"}]]
    assert "typed_per_filter_config" not in upgrading[0]
