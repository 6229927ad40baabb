"""`HttpxFetcher`: what it asks, what it takes, and when it gives up. Real sockets on loopback."""

from __future__ import annotations

import datetime as dt
import gzip
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aveverify import FetchError, FetchRequest, FetchResponse, HttpxFetcher
from aveverify.fetcher import _Watchdog
from tests.jwks.server import Answer, drip, raw, serve, whole

HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "aveverify/test"}


def request_for(url: str, *, deadline_seconds: float = 5.0, max_body_bytes: int = 1000) -> FetchRequest:
    return FetchRequest(url=url, headers=HEADERS, deadline_seconds=deadline_seconds, max_body_bytes=max_body_bytes)


@pytest.fixture
def fetcher() -> Iterator[HttpxFetcher]:
    fetcher = HttpxFetcher()
    yield fetcher
    fetcher.close()


def header_of(response: FetchResponse, name: str) -> list[str]:
    return [value for key, value in dict.items(dict(response.headers)) if key.lower() == name]


def test_an_answer_comes_back_with_status_headers_and_body_as_they_were_sent(fetcher: HttpxFetcher) -> None:
    with serve(whole(b'{"a":1}', status="418 Teapot", headers=("X-Odd: yes",))) as server:
        response = fetcher.fetch(request_for(f"{server.url}/jwks"))
    assert (response.status, response.body) == (418, b'{"a":1}')
    assert header_of(response, "x-odd") == ["yes"]


def test_net_022_the_request_is_exactly_this_and_nothing_of_a_caller_is_in_it(fetcher: HttpxFetcher) -> None:
    with serve(whole(b"{}")) as server:
        fetcher.fetch(request_for(f"{server.url}/jwks?a=1"))
        sent = server.requests[0].decode().split("\r\n")
    assert sent[0] == "GET /jwks?a=1 HTTP/1.1"
    assert sorted(sent[1:-2]) == sorted(
        [
            f"Host: 127.0.0.1:{server.port}",
            "Connection: keep-alive",
            "Accept: application/json",
            "Accept-Encoding: identity",
            "User-Agent: aveverify/test",
        ]
    )


def test_net_019_a_cookie_is_neither_kept_nor_sent(fetcher: HttpxFetcher) -> None:
    with serve(whole(b"{}", headers=("Set-Cookie: a=b; Path=/",))) as server:
        fetcher.fetch(request_for(f"{server.url}/jwks"))
        fetcher.fetch(request_for(f"{server.url}/jwks"))
        assert len(server.requests) == 2
        assert b"ookie" not in server.requests[1]


def test_net_020_every_exchange_has_a_connection_of_its_own(fetcher: HttpxFetcher) -> None:
    """So a connection that a server has closed meanwhile is never met."""
    with serve(whole(b"{}")) as server:
        for _ in range(3):
            fetcher.fetch(request_for(f"{server.url}/jwks"))
        assert (len(server.requests), server.connections) == (3, 3)


def test_after_close_a_fetch_opens_new_connections(fetcher: HttpxFetcher) -> None:
    with serve(whole(b"{}")) as server:
        fetcher.fetch(request_for(f"{server.url}/jwks"))
        fetcher.close()
        fetcher.close()
        assert fetcher.fetch(request_for(f"{server.url}/jwks")).status == 200
        assert server.connections == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_net_008_a_redirect_is_an_answer_and_is_not_followed(fetcher: HttpxFetcher, status: int) -> None:
    with (
        serve(whole(b"{}")) as other,
        serve(whole(b"", status=f"{status} Moved", headers=(f"Location: {other.url}/keys",))) as server,
    ):
        assert fetcher.fetch(request_for(f"{server.url}/jwks")).status == status
        assert other.connections == 0


def test_net_003_nothing_is_decoded(fetcher: HttpxFetcher) -> None:
    packed = gzip.compress(b"0" * 100_000)
    with serve(whole(packed, headers=("Content-Encoding: gzip",))) as server:
        response = fetcher.fetch(request_for(f"{server.url}/jwks"))
    assert response.body == packed


@pytest.mark.parametrize(("length", "fits"), [(999, True), (1000, True), (1001, False)], ids=["below", "at", "above"])
def test_net_001_a_body_is_read_up_to_its_cap(fetcher: HttpxFetcher, length: int, *, fits: bool) -> None:
    with serve(whole(b"x" * length)) as server:
        request = request_for(f"{server.url}/jwks", max_body_bytes=1000)
        if fits:
            assert len(fetcher.fetch(request).body) == length
        else:
            with pytest.raises(FetchError, match="too long"):
                fetcher.fetch(request)


def test_net_001_an_endless_body_ends_at_the_cap(fetcher: HttpxFetcher) -> None:
    endless = drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b" " * 4096 + b"\r\n")
    with serve(endless) as server, pytest.raises(FetchError, match="too long"):
        fetcher.fetch(request_for(f"{server.url}/jwks", deadline_seconds=60))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(raw(b"", then_close=False), id="NET-007 accepts, then says nothing"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), id="NET-006 drips headers"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"x"), id="NET-005 drips its body"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", then_close=False), id="NET-014 falls silent"
        ),
    ],
)
def test_a_fetch_ends_at_its_deadline_whatever_drips_in(fetcher: HttpxFetcher, answer: Answer) -> None:
    with serve(answer) as server, pytest.raises(FetchError) as caught:
        fetcher.fetch(request_for(f"{server.url}/jwks", deadline_seconds=0.2))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="hangs up at once"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", id="NET-014 sends less than it said"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc", id="NET-002 a negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 3\r\n\r\nabc", id="NET-002 two lengths"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="is no HTTP server"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000, id="NET-016 a header bomb"),
    ],
)
def test_a_broken_exchange_is_a_failed_fetch(fetcher: HttpxFetcher, data: bytes) -> None:
    with serve(raw(data)) as server, pytest.raises(FetchError):
        fetcher.fetch(request_for(f"{server.url}/jwks"))


def test_net_007_a_refused_connection_is_a_failed_fetch(fetcher: HttpxFetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchError, match="no connection"):
        fetcher.fetch(request_for(f"http://127.0.0.1:{port}/jwks"))


def test_an_address_that_httpx_cannot_read_is_a_failed_fetch(fetcher: HttpxFetcher) -> None:
    with pytest.raises(FetchError):
        fetcher.fetch(request_for("http://127.0.0.1:99999999/"))


def test_net_017_proxies_of_the_environment_count_only_by_choice(
    fetcher: HttpxFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = listener.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{dead}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serve(whole(b"{}")) as server:
        assert fetcher.fetch(request_for(f"{server.url}/jwks")).status == 200
        trusting = HttpxFetcher(trust_env=True)
        with pytest.raises(FetchError):
            trusting.fetch(request_for(f"{server.url}/jwks"))
        trusting.close()


def test_a_transport_of_the_users_own_is_used() -> None:
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, stream=httpx.ByteStream(str(request.url).encode()))
    )
    fetcher = HttpxFetcher(transport=transport)
    assert fetcher.fetch(request_for("https://idp.example/jwks")).body == b"https://idp.example/jwks"
    fetcher.close()


def certificate_for_loopback(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a self-signed certificate: a context that serves it, and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    return serving, ssl.create_default_context(cafile=str(pem))


def test_net_015_an_unknown_certificate_is_refused_and_a_ca_of_ones_own_is_a_context(
    fetcher: HttpxFetcher, tmp_path: Path
) -> None:
    serving, trusting = certificate_for_loopback(tmp_path)
    with serve(whole(b"{}"), serving) as server:
        with pytest.raises(FetchError, match="no connection"):
            fetcher.fetch(request_for(f"{server.url}/jwks"))
        assert server.requests == []
        private = HttpxFetcher(ssl_context=trusting)
        assert private.fetch(request_for(f"{server.url}/jwks")).status == 200
        private.close()


def test_net_005_the_deadline_also_ends_a_dripping_answer_over_tls(tmp_path: Path) -> None:
    serving, trusting = certificate_for_loopback(tmp_path)
    fetcher = HttpxFetcher(ssl_context=trusting)
    with serve(drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), serving) as server, pytest.raises(FetchError):
        fetcher.fetch(request_for(f"{server.url}/jwks", deadline_seconds=0.3))
    fetcher.close()


def test_a_connection_that_comes_up_after_the_deadline_is_shut_down_too() -> None:
    class Stream:
        def __init__(self) -> None:
            self.ours, self.theirs = socket.socketpair()

        def get_extra_info(self, _name: str) -> socket.socket:
            return self.ours

    stream = Stream()
    watchdog = _Watchdog()
    watchdog.trace("connection.connect_tcp.started", {})
    watchdog.abort()
    watchdog.trace("connection.connect_tcp.complete", {"return_value": stream})
    assert stream.theirs.recv(1) == b""
    stream.ours.close()
    stream.theirs.close()
    watchdog.abort()


def test_a_body_that_ends_with_its_connection_is_not_whole_when_the_deadline_ended_it(fetcher: HttpxFetcher) -> None:
    close_delimited = drip(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" ")
    with serve(close_delimited) as server, pytest.raises(FetchError, match="deadline"):
        fetcher.fetch(request_for(f"{server.url}/jwks", deadline_seconds=0.2))
