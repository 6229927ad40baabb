"""The tour of the demo: makes each request, prints its response, and checks it."""

from __future__ import annotations

import json
import textwrap
from typing import Final

import httpx

from aveverify import Reason
from aveverify.cli.demo.exchanges import EXCHANGES, REFUSAL_CHALLENGE, Exchange
from aveverify.cli.demo.servers import DemoServers
from aveverify.cli.terminal import Colour, paint, print_rows
from aveverify.testing import FakeIssuer

_LINE_CHARACTERS: Final = 96


def run_tour(servers: DemoServers) -> list[str]:
    """Make the requests, print the responses, and check each of them.

    Args:
        servers: The running servers.

    Returns:
        The differences from the expected responses; empty if there is none.
    """
    print(paint("aveverify demo", Colour.BOLD))
    print_rows(
        (
            ("issuer", f"{servers.issuer.issuer}, with throw-away keys"),
            ("app", f"{servers.app_url}/me, AveAuthMiddleware(app, verifier, required=True) under uvicorn"),
            ("clock", "one for both; the demo moves it instead of waiting"),
            ("log", "`reason` and `hint` are from the server's log; the client gets only the challenge and the body"),
        )
    )
    mismatches: list[str] = []
    for number, exchange in enumerate(EXCHANGES, start=1):
        print(f"\n{number:2}  {paint(exchange.title, Colour.BOLD)}")
        found = _run_exchange(servers, exchange)
        print(f"  {paint('not as expected: ' + '; '.join(found), Colour.RED) if found else paint('ok', Colour.GREEN)}")
        mismatches += [f"{exchange.title}: {mismatch}" for mismatch in found]
    print()
    if mismatches:
        print(paint(f"{len(mismatches)} not as expected:", Colour.RED), *mismatches, sep="\n  ")
    else:
        print(paint(f"All {len(EXCHANGES)} responses are as expected.", Colour.GREEN))
    return mismatches


def _run_exchange(servers: DemoServers, exchange: Exchange) -> list[str]:
    if exchange.before is not None:
        exchange.before(servers)
    headers = {} if exchange.token is None else {"Authorization": f"Bearer {exchange.token(servers.issuer)}"}
    fetched_before = servers.issuer.jwks_requests
    servers.log.records.clear()
    response = servers.client.get("/me", headers=headers)
    fetched = servers.issuer.jwks_requests - fetched_before
    errors = servers.log.errors()
    print_rows(
        (
            ("note", exchange.story),
            ("request", "GET /me" + (", Authorization: Bearer <token>" if headers else "")),
            ("response", f"{response.status_code} {response.reason_phrase}"),
            ("challenge", _wrap(response.headers.get("www-authenticate", "")) or None),
            ("retry after", response.headers.get("retry-after")),
            ("body", json.dumps(response.json(), indent=2) if exchange.in_full else _wrap(json.dumps(response.json()))),
            *(("reason", f"{error.reason} ({error.rule}): {error.reason.explanation}") for error in errors),
            *(("hint", error.hint) for error in errors),
            ("issuer", _describe_fetches(fetched)),
        )
    )
    mismatches = _check(exchange, response, [error.reason for error in errors])
    if exchange.status == httpx.codes.OK and not mismatches:
        mismatches = _compare_identity(servers.issuer, response.json())
    return mismatches


def _check(exchange: Exchange, response: httpx.Response, reasons: list[Reason]) -> list[str]:
    """Compare a response with the expected one, and name every difference."""
    challenge = response.headers.get("www-authenticate")
    if challenge is not None and exchange.challenge == REFUSAL_CHALLENGE:
        challenge = challenge[: len(REFUSAL_CHALLENGE)]
    pairs: tuple[tuple[str, object, object], ...] = (
        ("status", exchange.status, response.status_code),
        ("reasons", [exchange.reason] if exchange.reason else [], reasons),
        ("challenge", exchange.challenge, challenge),
        ("Retry-After", exchange.status == httpx.codes.SERVICE_UNAVAILABLE, "retry-after" in response.headers),
    )
    return [f"{name} should be {wanted!r}, is {actual!r}" for name, wanted, actual in pairs if wanted != actual]


def _compare_identity(issuer: FakeIssuer, found: object) -> list[str]:
    """Compare an identity with the one that `ctx.auth.getUserIdentity()` returns in Convex for the good token."""
    wanted = {
        "tokenIdentifier": f"{issuer.issuer}|user_ada",
        "issuer": issuer.issuer,
        "subject": "user_ada",
        "name": "Ada Lovelace",
        "preferredUsername": "ada",
        "pictureUrl": "https://images.test/ada.png",
        "email": "ada@example.com",
        "plan": "pro",
    }
    return [] if found == wanted else [f"identity should be {wanted}, is {found}"]


def _describe_fetches(count: int) -> str | None:
    if not count:
        return None
    # One refresh requests a document at most twice.
    return f"requests for its keys: {count}" + (", one of them a retry" if count > 1 else "")


def _wrap(text: str) -> str:
    return textwrap.fill(text, _LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False)
