"""The users: threads that send good and bad tokens to a server on this machine, and record the answers.

Bounded in number, in time and in requests; each request has a connection of its own and an end.
"""

from __future__ import annotations

import http.client
import json
import random
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Final, Literal, NamedTuple

from drill.issuer import Issuer, Key
from drill.plan import WORKER_HEADER
from drill.servers import Server

Kind = Literal["session", "newcomer", "withdrawn", "forged", "expired", "random kid"]

# Longer than any wait that a verification may make.
CLIENT_SECONDS: Final = 20.0
_MAX_REQUESTS_OF_A_THREAD: Final = 50_000
_PAUSE_SECONDS: Final = 0.01
# How many users each server has: with sessions, with new tokens, and attackers.
_SESSIONS: Final = 3
_NEW_USERS: Final = 2
_ATTACKERS: Final = 1
_TOKENS_OF_A_KEY: Final = 8
# A withdrawn key is trusted for some turns at most; tokens of the latest withdrawn keys show whether for longer.
_WITHDRAWN_TRIED: Final = 4


class WorkerInfo(NamedTuple):
    """The process that answered: see `drill.worker.WorkerHeader`."""

    worker: int
    parent: int
    kids: frozenset[str]
    at: float


class Sample(NamedTuple):
    """One request.

    Attributes:
        server: The name of the server.
        kind: The kind of token.
        kid: The key id of the token.
        sent_at: When the request was sent, by the monotonic clock of this machine.
        back_at: When the answer had come.
        status: The HTTP status; 0 where there was none.
        info: The process that answered; None where no worker did.
        is_late: Whether the client's timeout passed.
    """

    server: str
    kind: Kind
    kid: str
    sent_at: float
    back_at: float
    status: int
    info: WorkerInfo | None = None
    is_late: bool = False


@dataclass(slots=True)
class Load:
    """All users of one server.

    Attributes:
        server: The server.
        issuer: Issues their tokens.
        probe_seconds: How often attackers try a token of a withdrawn key.
        is_flood: Whether attackers also send random key ids.
        samples: The answers.
    """

    server: Server
    issuer: Issuer
    probe_seconds: float
    is_flood: Event = field(default_factory=Event)
    samples: list[Sample] = field(default_factory=list)
    _is_over: Event = field(default_factory=Event)
    _threads: list[Thread] = field(default_factory=list)
    _sessions: dict[str, list[str]] = field(default_factory=dict)

    def begin(self) -> None:
        """Start all users."""
        users = [self._session] * _SESSIONS + [self._new_user] * _NEW_USERS + [self._attacker] * _ATTACKERS
        for choose in users:
            self._threads.append(Thread(target=self._use, args=(choose(),), daemon=True))
            self._threads[-1].start()

    def end(self) -> None:
        """Stop all users after their current requests."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(CLIENT_SECONDS + 1)

    def _use(self, tokens: Iterator[tuple[Kind, str, str]]) -> None:
        for _, (kind, kid, token) in zip(range(_MAX_REQUESTS_OF_A_THREAD), tokens, strict=False):
            self.samples.append(send(self.server, kind, kid, token))
            if self._is_over.wait(_PAUSE_SECONDS):
                return

    def _session(self) -> Iterator[tuple[Kind, str, str]]:
        """Tokens that are sent repeatedly, of every published key."""
        while True:
            key = random.choice(self.issuer.published)
            yield "session", key.kid, self._token_of(key)

    def _new_user(self) -> Iterator[tuple[Kind, str, str]]:
        """Tokens that no worker has seen, of the key that signs."""
        while True:
            key = self.issuer.key
            yield "newcomer", key.kid, key.sign(self.issuer.claims(secrets.token_hex(8)))

    def _attacker(self) -> Iterator[tuple[Kind, str, str]]:
        """Tokens that must be refused, now or soon."""
        probe_at = 0.0
        while True:
            signing = self.issuer.key
            token = self._token_of(signing)
            # In the middle of the signature: every bit of that character counts.
            place = token.rindex(".") + 100
            changed = "A" if token[place] != "A" else "B"
            yield "forged", signing.kid, token[:place] + changed + token[place + 1 :]
            yield "expired", signing.kid, signing.sign(self.issuer.claims("late", life_seconds=-60))
            # Each of these may use up a refetch of the budget for unknown keys, so there are few.
            if self.issuer.withdrawn and time.monotonic() >= probe_at:
                probe_at = time.monotonic() + self.probe_seconds
                key = random.choice(self.issuer.withdrawn[-_WITHDRAWN_TRIED:])
                yield "withdrawn", key.kid, self._token_of(key)
            if self.is_flood.is_set():
                kid = secrets.token_hex(8)
                yield "random kid", kid, signing.sign(self.issuer.claims("attacker"), kid=kid)

    def _token_of(self, key: Key) -> str:
        known = self._sessions.setdefault(key.kid, [])
        if len(known) < _TOKENS_OF_A_KEY:
            known.append(key.sign(self.issuer.claims(f"user_{len(known)}")))
        return random.choice(known)


def send(server: Server, kind: Kind, kid: str, token: str) -> Sample:
    """Send one request, and record its answer."""
    sent_at = time.monotonic()
    status, info, is_late = 0, None, False
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=CLIENT_SECONDS)
    try:
        connection.request("GET", "/", headers={"Authorization": f"Bearer {token}", "Connection": "close"})
        response = connection.getresponse()
        response.read()
        status = response.status
        info = parse_worker_info(response.headers.get(WORKER_HEADER))
    except TimeoutError:
        is_late = True
    except (OSError, http.client.HTTPException):
        # The worker ended, and the connection with it.
        status = 0
    finally:
        connection.close()
    return Sample(server.name, kind, kid, sent_at, time.monotonic(), status, info, is_late)


def parse_worker_info(value: str | None) -> WorkerInfo | None:
    """Parse the header that a worker adds to its answers; a server's own answers do not have it."""
    if value is None:
        return None
    members = json.loads(value)
    return WorkerInfo(members["worker"], members["parent"], frozenset(members["kids"]), members["at"])
