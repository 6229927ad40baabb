"""A real server: uvicorn on loopback, asked byte by byte over sockets."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from threading import Thread

import pytest
import uvicorn

from aveverify import Verifier
from aveverify.asgi import AveAuthMiddleware
from tests.http.http_fixtures import RecordingView, asgi_app

Send = Callable[..., list[tuple[int, bytes]]]


class Served(RecordingView):
    """What the application saw, and where the server listens."""

    address: tuple[str, int]


@pytest.fixture(scope="module")
def served(shared_verifier: Verifier) -> Iterator[Served]:
    """A server that lives for this file; it listens before it starts, so nobody has to wait for it."""
    served = Served()
    app = AveAuthMiddleware(asgi_app(served), shared_verifier, required=False)
    server = uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        served.address = listening.getsockname()
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield served
        server.should_exit = True
        thread.join()


def talk(served: Served, *requests: bytes) -> list[tuple[int, bytes]]:
    """Send requests over one connection, each after the answer to the one before; status and body of each answer."""
    served.seen.clear()
    answers = []
    with socket.create_connection(served.address, timeout=10) as connection, connection.makefile("rb") as stream:
        for request in requests:
            connection.sendall(request)
            status = int(stream.readline().split()[1])
            head = b"".join(iter(stream.readline, b"\r\n"))
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            # Without a length, the server closes the connection: uvicorn's own refusals do.
            answers.append((status, stream.read(int(length[1]) if length else -1)))
    return answers


def get(*lines: bytes, method: bytes = b"GET") -> bytes:
    """A request with these header lines."""
    return b"\r\n".join((method + b" / HTTP/1.1", b"Host: localhost", *lines, b"", b""))


def authorization(token: str) -> bytes:
    return b"Authorization: Bearer " + token.encode()


def test_a_user_is_served(served: Served, tokens: dict[str, str]) -> None:
    assert talk(served, get(authorization(tokens["good"]))) == [(200, b"hello ada")]


def test_a_connection_keeps_no_user(served: Served, tokens: dict[str, str]) -> None:
    """HTP-038, HTP-039: user, nobody, another user, refused, nobody, over one connection."""
    answers = talk(
        served,
        get(authorization(tokens["good"])),
        get(),
        get(authorization(tokens["other"])),
        get(authorization(tokens["expired"])),
        get(),
    )

    assert [status for status, _ in answers] == [200, 200, 200, 401, 200]
    assert served.seen == ["ada", None, "grace", None]


@pytest.mark.parametrize("pair", [("good", "bad_signature"), ("bad_signature", "good"), ("good", "good")], ids="-".join)
def test_two_authorization_headers(served: Served, pair: tuple[str, str], tokens: dict[str, str]) -> None:
    """HTP-001."""
    [(status, body)] = talk(served, get(*(authorization(tokens[kind]) for kind in pair)))

    assert status == 400
    assert b'"invalid_request"' in body
    assert served.seen == []


@pytest.mark.parametrize("value", [b"Bearer \xfc", b"Bearer \xc3\xbc", b"\xff", b"Bearer a\xff"])
def test_bytes_outside_ascii(served: Served, value: bytes) -> None:
    """HTP-006."""
    [(status, body)] = talk(served, get(b"Authorization: " + value))

    assert status == 400
    assert b'"invalid_request"' in body
    assert served.seen == []


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("Authorization: Bearer {a}\x00{b}", id="NUL"),
        pytest.param("Authorization: Bearer {a}\n{b}", id="bare LF"),
        pytest.param("Authorization: Bearer {a}\r{b}", id="bare CR"),
        pytest.param("Authorization: Bearer {a}\r\n {b}", id="obs-fold"),
        pytest.param("Authorization : Bearer {a}{b}", id="space before colon"),
        pytest.param("Authorization\x00: Bearer {a}{b}", id="NUL in the name"),
    ],
)
def test_broken_header_lines(served: Served, place: str, tokens: dict[str, str]) -> None:
    """HTP-007: by the server or by the middleware, whoever comes first."""
    good = tokens["good"]
    line = place.format(a=good[:30], b=good[30:]).encode()

    [(status, _)] = talk(served, get(line))

    assert status == 400
    assert served.seen == []


def test_a_huge_upload_is_refused_before_it_is_sent(served: Served, tokens: dict[str, str]) -> None:
    """HTP-040: no `100 Continue`; the first answer is the refusal."""
    headers = (authorization(tokens["expired"]), b"Expect: 100-continue", b"Content-Length: 10000000000")

    [(status, body)] = talk(served, get(*headers, method=b"POST"))

    assert status == 401
    assert b'"invalid_token"' in body
    assert served.seen == []


def test_a_long_header(served: Served, tokens: dict[str, str]) -> None:
    """A token of more than 16 KiB is a refused token, not a crash."""
    [(status, _)] = talk(served, get(authorization(tokens["too_large"])))

    assert status == 401
    assert served.seen == []


def test_a_refused_head_request_leaves_the_connection_in_order(served: Served, tokens: dict[str, str]) -> None:
    with socket.create_connection(served.address, timeout=10) as connection, connection.makefile("rb") as stream:
        connection.sendall(get(authorization(tokens["expired"]), method=b"HEAD"))
        assert b"401" in stream.readline()
        assert all(iter(stream.readline, b"\r\n"))
        connection.sendall(get(authorization(tokens["good"])))
        assert b"200" in stream.readline()
