"""HTP-050: a site that turns nginx's cache on serves no user's page to another."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.raw_http import Answer, ask, bearer
from tests.servers.proxies.scenario import Stage, find_program, open_stage, run_nginx

_HTTP = "http {\n"
_SERVER = "        error_page 401 403 500 = @ave_refused;\n"
_LOCATION = "            proxy_pass http://backend;\n"
_ZONE = "proxy_cache_path FOLDER/pages keys_zone=pages:1m;\n"
# As careless as a site can be: whatever the service says about it, it is stored.
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
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    find_program("nginx")
    run_caching = partial(run_nginx, additions=PLACES[request.param])
    folder = tmp_path_factory.mktemp("cache")
    with open_stage(run_caching, folder, "--optional", opens_healthz=True) as stage:
        yield stage


@pytest.fixture(autouse=True)
def _nothing_received(stage: Stage) -> None:
    stage.upstream.forget()


def page(stage: Stage, target: str, *lines: bytes) -> Answer:
    answer = ask(stage.port, *lines, target=target.encode())
    assert answer.status == 200, answer
    return answer


def test_htp_050_an_anonymous_page_is_cached(stage: Stage) -> None:
    """What the other tests rely on: the cache is on, and answers."""
    assert page(stage, "/anonymous").body == page(stage, "/anonymous").body
    assert stage.upstream.targets == ["GET /anonymous"]


def test_htp_050_a_page_of_one_user_is_no_page_of_another(stage: Stage) -> None:
    tokens = {name: bearer(stage.issuer.token(sub=name)) for name in ("ada", "grace")}

    for _ in range(2):
        for name, line in tokens.items():
            assert f'"X-Ave-Subject", "{name}"'.encode() in page(stage, "/page", line).body
        anonymous = page(stage, "/page").body
        assert not any(name.encode() in anonymous for name in tokens)


def test_htp_050_an_anonymous_page_is_no_page_of_a_user(stage: Stage) -> None:
    page(stage, "/first")

    assert b'"X-Ave-Subject", "ada"' in page(stage, "/first", bearer(stage.issuer.token(sub="ada"))).body


def test_htp_050_a_refused_token_is_refused_where_a_page_is_cached(stage: Stage) -> None:
    page(stage, "/refused", bearer(stage.issuer.token(sub="ada")))
    page(stage, "/refused")

    assert ask(stage.port, bearer(stage.issuer.forge("expired")), target=b"/refused").status == 401


def test_htp_050_an_offered_token_is_on_no_anonymous_page(stage: Stage) -> None:
    offer = f"Sec-WebSocket-Protocol: bearer, {stage.issuer.token(sub='ada')}".encode()
    answer = page(stage, "/offer", b"Sec-WebSocket-Key: eA==", offer)

    assert b"eyJ" not in page(stage, "/offer").body
    assert b"ada" not in page(stage, "/offer").body
    assert answer.status == 200


def test_htp_050_a_page_for_a_cookie_is_no_anonymous_page(stage: Stage) -> None:
    """A session of the service itself, on a protected path and on an open one."""
    for target in ("/session", "/healthz"):
        assert b"secret" in page(stage, target, b"Cookie: session=secret").body
        assert b"secret" not in page(stage, target).body
