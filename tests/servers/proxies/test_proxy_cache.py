"""HTP-050: a site that enables nginx's cache serves no user's page to another."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.raw_http import Answer, ask, bearer
from tests.servers.proxies.scenario import Deployment, find_program, run_deployment, run_nginx

_HTTP = "http {\n"
_SERVER = "        error_page 401 403 500 = @ave_refused;\n"
_LOCATION = "            proxy_pass http://backend;\n"
_ZONE = "proxy_cache_path FOLDER/pages keys_zone=pages:1m;\n"
# The most careless configuration: everything is stored, whatever the service says.
_CACHE = "proxy_cache pages; proxy_cache_valid any 10m; proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;\n"

PLACES = {
    "everywhere": {_HTTP: _ZONE + _CACHE},
    "in the server": {_HTTP: _ZONE, _SERVER: _CACHE},
    "in the location": {_HTTP: _ZONE, _LOCATION: _CACHE},
    "with conditions of its own": {
        _HTTP: _ZONE,
        _LOCATION: _CACHE + "proxy_no_cache $cookie_session; proxy_cache_bypass $cookie_session;\n",
    },
    "with a key of its own": {_HTTP: _ZONE, _LOCATION: _CACHE + "proxy_cache_key $uri;\n"},
}


@pytest.fixture(scope="module", params=list(PLACES))
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    find_program("nginx")
    run_caching = partial(run_nginx, additions=PLACES[request.param])
    folder = tmp_path_factory.mktemp("cache")
    with run_deployment(run_caching, folder, "--optional", opens_healthz=True) as deployment:
        yield deployment


@pytest.fixture(autouse=True)
def _nothing_received(deployment: Deployment) -> None:
    deployment.upstream.forget()


def page(deployment: Deployment, target: str, *lines: bytes) -> Answer:
    answer = ask(deployment.port, *lines, target=target.encode())
    assert answer.status == 200, answer
    return answer


def test_htp_050_an_anonymous_page_is_cached(deployment: Deployment) -> None:
    """The other tests rely on it: the cache is enabled, and responds."""
    assert page(deployment, "/anonymous").body == page(deployment, "/anonymous").body
    assert deployment.upstream.targets == ["GET /anonymous"]


def test_htp_050_a_page_of_one_user_is_no_page_of_another(deployment: Deployment) -> None:
    tokens = {name: bearer(deployment.issuer.token(sub=name)) for name in ("ada", "grace")}

    for _ in range(2):
        for name, line in tokens.items():
            assert f'"X-Ave-Subject", "{name}"'.encode() in page(deployment, "/page", line).body
        anonymous = page(deployment, "/page").body
        assert not any(name.encode() in anonymous for name in tokens)


def test_htp_050_an_anonymous_page_is_no_page_of_a_user(deployment: Deployment) -> None:
    page(deployment, "/first")

    assert b'"X-Ave-Subject", "ada"' in page(deployment, "/first", bearer(deployment.issuer.token(sub="ada"))).body


def test_htp_050_a_refused_token_is_refused_where_a_page_is_cached(deployment: Deployment) -> None:
    page(deployment, "/refused", bearer(deployment.issuer.token(sub="ada")))
    page(deployment, "/refused")

    assert ask(deployment.port, bearer(deployment.issuer.forge("expired")), target=b"/refused").status == 401


def test_htp_050_an_offered_token_is_on_no_anonymous_page(deployment: Deployment) -> None:
    offer = f"Sec-WebSocket-Protocol: bearer, {deployment.issuer.token(sub='ada')}".encode()
    answer = page(deployment, "/offer", b"Sec-WebSocket-Key: eA==", offer)

    assert b"eyJ" not in page(deployment, "/offer").body
    assert b"ada" not in page(deployment, "/offer").body
    assert answer.status == 200


def test_htp_050_a_page_for_a_cookie_is_no_anonymous_page(deployment: Deployment) -> None:
    """A session of the service itself, on a protected path and on an open one."""
    for target in ("/session", "/healthz"):
        assert b"secret" in page(deployment, target, b"Cookie: session=secret").body
        assert b"secret" not in page(deployment, target).body
