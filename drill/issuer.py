"""An issuer over HTTPS on this machine: it rotates its keys, fails on command, and records every response.

It signs with PyJWT, and knows nothing of the verifier. The accounting uses its record.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from drill.plan import APPLICATION_ID, PUBLISHED_TURNS, WORKER_HEADER, Fault, Interval

_DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
_KEYS_PATH: Final = "/keys"
_OK: Final = 200
_UNAVAILABLE: Final = 503


class Key:
    """A private key with its public JWK.

    Args:
        kid: Its key id.
    """

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        material = RSAAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
        self.jwk = {"kty": "RSA", "n": material["n"], "e": material["e"], "kid": kid, "alg": "RS256", "use": "sig"}

    def sign(self, claims: dict[str, Any], kid: str | None = None) -> str:
        """Issue a token, with another key id where one is given."""
        return jwt.encode(claims, self._private, "RS256", headers={"kid": self.kid if kid is None else kid})


class IssuerResponse(NamedTuple):
    """The response to one request of a worker.

    Attributes:
        worker: The process that sent the request.
        began_at: When the request had been read, by the monotonic clock of this machine.
        done_at: When the response was sent, or the connection abandoned.
        status: The HTTP status; 0 where there was none.
        forced: Whether the request said `Cache-Control: no-cache`.
        kids: The key ids in the response.
    """

    worker: int
    began_at: float
    done_at: float
    status: int
    forced: bool
    kids: frozenset[str]


@dataclass(slots=True)
class Issuer:
    """The issuer.

    Attributes:
        keys: The keys that sign, one after the other.
        turn: The index of the key that signs now.
        fault: How it fails now; None while it works.
        responses: Every response that it has sent.
        published_at: When each key id was first published.
        withdrawn_at: When each key id was withdrawn.
        outages: When it failed.
    """

    keys: Sequence[Key]
    url: str = ""
    turn: int = 0
    fault: Fault | None = None
    responses: list[IssuerResponse] = field(default_factory=list)
    published_at: dict[str, float] = field(default_factory=dict)
    withdrawn_at: dict[str, float] = field(default_factory=dict)
    outages: list[Interval] = field(default_factory=list)
    _failing_since: float = 0.0
    _recovered: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    @property
    def key(self) -> Key:
        """The key that signs now."""
        return self.keys[self.turn]

    @property
    def published(self) -> Sequence[Key]:
        """The keys in its JWK Set; the one that signs is the last."""
        return self.keys[max(0, self.turn + 1 - PUBLISHED_TURNS) : self.turn + 1]

    @property
    def withdrawn(self) -> Sequence[Key]:
        """The keys that were in its JWK Set, the latest last."""
        return self.keys[: max(0, self.turn + 1 - PUBLISHED_TURNS)]

    def rotate(self, turn: int) -> None:
        """Sign with the next key; the oldest one is withdrawn."""
        with self._lock:
            before = {key.kid for key in self.published} if self.published_at else set()
            self.turn = turn
            at = time.monotonic()
            after = {key.kid for key in self.published}
            self.published_at |= dict.fromkeys(after - before, at)
            self.withdrawn_at |= dict.fromkeys(before - after, at)

    def fail(self, fault: Fault) -> None:
        """Begin an outage."""
        self._recovered.clear()
        self._failing_since = time.monotonic()
        self.fault = fault

    def recover(self) -> None:
        """End an outage; requests that still wait get no response."""
        if self.fault is not None:
            self.outages.append(Interval(self._failing_since, time.monotonic()))
        self.fault = None
        self._recovered.set()

    def claims(self, subject: str, life_seconds: int = 3600) -> dict[str, Any]:
        """Return the claims of a token."""
        now = int(time.time())
        return {"iss": self.url, "sub": subject, "aud": APPLICATION_ID, "iat": now, "exp": now + life_seconds}

    @contextmanager
    def serve(self, context: ssl.SSLContext) -> Iterator[None]:
        """Respond over HTTPS on a free port of this machine, for the length of a `with` block."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 30

            def do_GET(self) -> None:
                issuer.respond(self)

            def log_message(self, *_arguments: object) -> None:
                """Print nothing: the record has it."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def get_request(self) -> tuple[ssl.SSLSocket, Any]:
                connection, address = super().get_request()
                # The TLS handshake happens at the first read, on the thread of the request.
                return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_arguments: object) -> None:
                """Print nothing: the drill kills workers, also during their requests."""

        with Server(("127.0.0.1", 0), Handler) as server:
            self.url = f"https://127.0.0.1:{server.server_address[1]}"
            thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                self.recover()
                server.shutdown()
                thread.join()

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        """Respond to one request, or fail as the present outage does, and record it."""
        began_at = time.monotonic()
        with self._lock:
            fault, kids, status, body = self.fault, frozenset[str](), _OK, b""
            if fault is not None:
                status = _UNAVAILABLE
            elif request.path == _DISCOVERY_PATH:
                body = json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}{_KEYS_PATH}"}).encode()
            else:
                kids = frozenset(key.kid for key in self.published)
                body = json.dumps({"keys": [key.jwk for key in self.published]}).encode()
        if fault == "accepts connections and sends nothing":
            status = 0
            self._recovered.wait()
        request.close_connection = True
        # A worker may have been killed meanwhile.
        with suppress(OSError):
            if status:
                request.send_response(status)
                request.send_header("Content-Type", "application/json")
                request.send_header("Content-Length", str(len(body)))
                request.end_headers()
                request.wfile.write(body)
        worker = int(request.headers.get(WORKER_HEADER, "0"))
        forced = request.headers.get("Cache-Control") == "no-cache"
        with self._lock:
            self.responses.append(IssuerResponse(worker, began_at, time.monotonic(), status, forced, kids))
