"""The requests of the demo's tour, and the response that each must get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from aveverify import CachePolicy, Reason
from aveverify.cli.demo.servers import DemoServers
from aveverify.testing import FakeIssuer

# The challenge of RFC 6750 §3.1 for a refused token, up to the description.
REFUSAL_CHALLENGE: Final = 'Bearer error="invalid_token"'
_FRESH_SECONDS: Final = CachePolicy().fresh_seconds
_CAP_SECONDS: Final = _FRESH_SECONDS + CachePolicy().stale_if_error_seconds


class Exchange(NamedTuple):
    """One request, and the response that it must get.

    Attributes:
        title: The case that it shows.
        status: The expected status.
        token: Makes the token of the request; None sends no token.
        reason: The expected reason of a refusal.
        challenge: The expected start of `WWW-Authenticate`; None where the header must be absent.
        before: Prepares the servers.
        story: An explanation in one sentence.
        in_full: Whether the body is shown member by member.
    """

    title: str
    status: int
    token: Callable[[FakeIssuer], str] | None
    reason: Reason | None = None
    challenge: str | None = None
    before: Callable[[DemoServers], object] | None = None
    story: str | None = None
    in_full: bool = False


def _good_token(issuer: FakeIssuer) -> str:
    return issuer.token(plan="pro")


def _refused(title: str, flaw: str, story: str | None = None) -> Exchange:
    return Exchange(
        title,
        401,
        lambda issuer: issuer.forge(flaw),
        FakeIssuer.FLAWS[flaw],
        challenge=REFUSAL_CHALLENGE,
        story=story,
    )


def _rotate(servers: DemoServers) -> None:
    servers.issuer.rotate()


def _go_down(servers: DemoServers) -> None:
    servers.issuer.go_down()
    servers.clock.tick(seconds=_FRESH_SECONDS + 60)


def _grow_old(servers: DemoServers) -> None:
    servers.clock.tick(seconds=_CAP_SECONDS)


def _come_up(servers: DemoServers) -> None:
    servers.issuer.come_up()
    servers.clock.tick(seconds=60)


EXCHANGES: Final = (
    Exchange(
        "A good id_token",
        200,
        _good_token,
        story="The body is exactly what ctx.auth.getUserIdentity() returns in Convex.",
        in_full=True,
    ),
    Exchange("No token", 401, None, challenge="Bearer", story="No credentials, so the challenge carries no error."),
    _refused("An expired token", "expired"),
    _refused("A token for another app", "wrong_audience"),
    _refused("An access token instead of the id_token", "access_token"),
    _refused(
        "A forged token",
        "tampered_payload",
        "`sub` was changed. A wrong signature makes the verifier fetch the keys again, at most once a minute.",
    ),
    Exchange(
        "A new key",
        200,
        _good_token,
        before=_rotate,
        story="The issuer rotates; the first token with the new key causes a refresh.",
    ),
    Exchange(
        "The issuer is down, its keys are still good",
        200,
        _good_token,
        before=_go_down,
        story="11 minutes pass on the demo's clock: the keys are stale, no fetch succeeds, and the keys stay in use.",
    ),
    Exchange(
        "The issuer is down, its keys are too old",
        503,
        _good_token,
        Reason.KEYS_UNAVAILABLE,
        before=_grow_old,
        story="Another 70 minutes pass. The keys are unavailable, so the token is neither accepted nor refused.",
    ),
    Exchange("The issuer is back", 200, _good_token, before=_come_up, story="A minute later, without a restart."),
)
