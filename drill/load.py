"""The users: threads that send tokens, good and bad, to a server on this machine, and write down what came back.

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

# Longer than any wait that a verification may make: whoever gets no answer in this time met a machine that is too slow.
CLIENT_SECONDS: Final = 20.0
_MAX_REQUESTS_OF_A_THREAD: Final = 50_000
_PAUSE_SECONDS: Final = 0.01
# How many users there are for each server: with sessions, newcomers, and strangers.
_SESSIONS: Final = 3
_NEWCOMERS: Final = 2
_STRANGERS: Final = 1
_TOKENS_OF_A_KEY: Final = 8
# A key that was withdrawn is trusted for some turns at most; these look whether for longer.
_WITHDRAWN_TRIED: Final = 4


class Card(NamedTuple):
    """Who answered: see `drill.worker.Card`."""

    worker: int
    parent: int
    kids: frozenset[str]
    at: float


class Sample(NamedTuple):
    """One request.

    Attributes:
        server: Which server it went to.
        kind: What was sent.
        kid: The key id under which it was signed.
        sent_at: Before it was sent, by the monotonic clock of this machine.
        back_at: After the answer.
        status: The HTTP status; 0 where there was none.
        card: Who answered; None where nobody did.
        is_late: Whether the client gave up waiting.
    """

    server: str
    kind: Kind
    kid: str
    sent_at: float
    back_at: float
    status: int
    card: Card | None = None
    is_late: bool = False


@dataclass(slots=True)
class Load:
    """All users of one server.

    Attributes:
        server: The server.
        issuer: Who issues their tokens.
        probe_seconds: How often strangers try a key that was withdrawn.
        is_flood: Whether strangers send random key ids, too.
        samples: What came back.
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
        """Let all users begin."""
        crowd = [self._session] * _SESSIONS + [self._newcomer] * _NEWCOMERS + [self._stranger] * _STRANGERS
        for choose in crowd:
            self._threads.append(Thread(target=self._use, args=(choose(),), daemon=True))
            self._threads[-1].start()

    def end(self) -> None:
        """Let all users finish what they have begun."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(CLIENT_SECONDS + 1)

    def _use(self, tokens: Iterator[tuple[Kind, str, str]]) -> None:
        for _, (kind, kid, token) in zip(range(_MAX_REQUESTS_OF_A_THREAD), tokens, strict=False):
            self.samples.append(ask(self.server, kind, kid, token))
            if self._is_over.wait(_PAUSE_SECONDS):
                return

    def _session(self) -> Iterator[tuple[Kind, str, str]]:
        """Tokens that are used again and again, of every key that is published."""
        while True:
            key = random.choice(self.issuer.published)
            yield "session", key.kid, self._token_of(key)

    def _newcomer(self) -> Iterator[tuple[Kind, str, str]]:
        """Tokens that nobody has seen, of the key that signs."""
        while True:
            key = self.issuer.key
            yield "newcomer", key.kid, key.sign(self.issuer.claims(secrets.token_hex(8)))

    def _stranger(self) -> Iterator[tuple[Kind, str, str]]:
        """Tokens that must not be accepted, or not for much longer."""
        probe_at = 0.0
        while True:
            signing = self.issuer.key
            token = self._token_of(signing)
            # In the middle of the signature: every bit of that character counts.
            place = token.rindex(".") + 100
            changed = "A" if token[place] != "A" else "B"
            yield "forged", signing.kid, token[:place] + changed + token[place + 1 :]
            yield "expired", signing.kid, signing.sign(self.issuer.claims("late", life_seconds=-60))
            # Each of these may cost a refetch of the budget that new keys are found with, so there are few.
            if self.issuer.withdrawn and time.monotonic() >= probe_at:
                probe_at = time.monotonic() + self.probe_seconds
                key = random.choice(self.issuer.withdrawn[-_WITHDRAWN_TRIED:])
                yield "withdrawn", key.kid, self._token_of(key)
            if self.is_flood.is_set():
                kid = secrets.token_hex(8)
                yield "random kid", kid, signing.sign(self.issuer.claims("stranger"), kid=kid)

    def _token_of(self, key: Key) -> str:
        known = self._sessions.setdefault(key.kid, [])
        if len(known) < _TOKENS_OF_A_KEY:
            known.append(key.sign(self.issuer.claims(f"user_{len(known)}")))
        return random.choice(known)


def ask(server: Server, kind: Kind, kid: str, token: str) -> Sample:
    """Send one request, and write down what came back."""
    sent_at = time.monotonic()
    status, card, is_late = 0, None, False
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=CLIENT_SECONDS)
    try:
        connection.request("GET", "/", headers={"Authorization": f"Bearer {token}", "Connection": "close"})
        response = connection.getresponse()
        response.read()
        status = response.status
        card = read_card(response.headers.get(WORKER_HEADER))
    except TimeoutError:
        is_late = True
    except (OSError, http.client.HTTPException):
        # The worker went away with the connection.
        status = 0
    finally:
        connection.close()
    return Sample(server.name, kind, kid, sent_at, time.monotonic(), status, card, is_late)


def read_card(value: str | None) -> Card | None:
    """Read what a worker wrote on an answer; a server's own answers have nothing of it."""
    if value is None:
        return None
    members = json.loads(value)
    return Card(members["worker"], members["parent"], frozenset(members["kids"]), members["at"])
