"""The scenes of the demo: what happens, what is sent, what must come back; and how they are performed and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import httpx

from aveverify import CachePolicy, Reason
from aveverify.cli.demo.servers import World
from aveverify.cli.terminal import Colour, paint, print_rows
from aveverify.testing import FakeIssuer

_FRESH_SECONDS: Final = CachePolicy().fresh_seconds
_CAP_SECONDS: Final = _FRESH_SECONDS + CachePolicy().stale_if_error_seconds
_INVALID_TOKEN: Final = 'Bearer error="invalid_token"'  # noqa: S105 - a challenge
_SHOWN_CHARACTERS: Final = 72


class Scene(NamedTuple):
    """One request and its answer.

    Attributes:
        title: What it shows.
        status: The expected status.
        token: What is sent; None sends no token.
        reason: The expected reason of a refusal.
        challenge: How `WWW-Authenticate` must begin; None where there must be none.
        before: What happens first.
        story: What that means, in a sentence.
        in_full: Whether the whole body is shown.
    """

    title: str
    status: int
    token: Callable[[FakeIssuer], str] | None
    reason: Reason | None = None
    challenge: str | None = None
    before: Callable[[World], object] | None = None
    story: str | None = None
    in_full: bool = False


def _good_token(issuer: FakeIssuer) -> str:
    return issuer.token(plan="pro")


def _refused(title: str, flaw: str, story: str | None = None) -> Scene:
    return Scene(
        title, 401, lambda issuer: issuer.forge(flaw), FakeIssuer.FLAWS[flaw], challenge=_INVALID_TOKEN, story=story
    )


def _rotate(world: World) -> None:
    world.issuer.rotate()


def _go_down(world: World) -> None:
    world.issuer.go_down()
    world.clock.tick(seconds=_FRESH_SECONDS + 60)


def _grow_old(world: World) -> None:
    world.clock.tick(seconds=_CAP_SECONDS)


def _come_up(world: World) -> None:
    world.issuer.come_up()
    world.clock.tick(seconds=60)


SCENES: Final = (
    Scene(
        "A good id_token",
        200,
        _good_token,
        story="The body is exactly what ctx.auth.getUserIdentity() gives in Convex.",
        in_full=True,
    ),
    Scene("No token", 401, None, challenge="Bearer", story="No credentials, so the challenge carries no error."),
    _refused("An expired token", "expired"),
    _refused("A token for another app", "wrong_audience"),
    _refused("An access token instead of the id_token", "access_token"),
    _refused(
        "A forged token",
        "tampered_payload",
        "Somebody changed `sub`. A wrong signature makes the keys be looked up again, once a minute.",
    ),
    Scene(
        "A new key", 200, _good_token, before=_rotate, story="The issuer rotates; the first new token brings a refetch."
    ),
    Scene(
        "The issuer is down, its keys are still good",
        200,
        _good_token,
        before=_go_down,
        story="11 minutes pass on the demo's clock: the keys are stale, cannot be renewed, and serve on.",
    ),
    Scene(
        "The issuer is down, its keys are too old",
        503,
        _good_token,
        Reason.KEYS_UNAVAILABLE,
        before=_grow_old,
        story="Another 70 minutes pass. Nothing can be said about the token, so the answer does not blame it.",
    ),
    Scene("The issuer is back", 200, _good_token, before=_come_up, story="A minute later; nobody had to restart."),
)


def perform(world: World, scenes: Sequence[Scene] = SCENES) -> list[str]:
    """Perform the scenes, print them, and check every answer.

    Args:
        world: Where they take place.
        scenes: What is performed.

    Returns:
        What was not as expected; empty if all was.
    """
    print(paint("aveverify demo", Colour.BOLD))
    print_rows(
        (
            ("issuer", f"{world.issuer.issuer}, with throw-away keys"),
            ("app", f"{world.app_url}/me, AveAuthMiddleware(app, verifier, required=True) under uvicorn"),
            ("clock", "one for both; the demo moves it instead of waiting"),
            ("log", "where reason and hint come from; no answer says more than its challenge"),
        )
    )
    mismatches: list[str] = []
    for number, scene in enumerate(scenes, start=1):
        print(f"\n{number:2}  {paint(scene.title, Colour.BOLD)}")
        found = _perform_one(world, scene)
        print(f"  {paint('not as expected: ' + '; '.join(found), Colour.RED) if found else paint('ok', Colour.GREEN)}")
        mismatches += [f"{scene.title}: {mismatch}" for mismatch in found]
    print()
    if mismatches:
        print(paint(f"{len(mismatches)} not as expected:", Colour.RED), *mismatches, sep="\n  ")
    else:
        print(paint(f"All {len(scenes)} answers are as expected.", Colour.GREEN))
    return mismatches


def _perform_one(world: World, scene: Scene) -> list[str]:
    if scene.before is not None:
        scene.before(world)
    headers = {} if scene.token is None else {"Authorization": f"Bearer {scene.token(world.issuer)}"}
    asked_before = world.issuer.jwks_requests
    world.log_book.records.clear()
    answer = world.client.get("/me", headers=headers)
    asked = world.issuer.jwks_requests - asked_before
    errors = world.log_book.errors()
    print_rows(
        (
            ("here", scene.story),
            ("request", "GET /me" + (", Authorization: Bearer <token>" if headers else "")),
            ("answer", f"{answer.status_code} {answer.reason_phrase}"),
            ("challenge", _shorten(answer.headers.get("www-authenticate", "")) or None),
            ("retry after", answer.headers.get("retry-after")),
            (
                "body",
                json.dumps(answer.json(), indent=2) if scene.in_full else _shorten(answer.text),
            ),
            *(("reason", f"{error.reason} ({error.rule}): {error.reason.explanation}") for error in errors),
            *(("hint", error.hint) for error in errors),
            ("issuer", f"asked for its keys, {asked} x" if asked else None),
        )
    )
    mismatches = _check(scene, answer, [error.reason for error in errors])
    if scene.status == httpx.codes.OK and not mismatches:
        mismatches = _compare_identity(world.issuer, answer.json())
    return mismatches


def _check(scene: Scene, answer: httpx.Response, reasons: list[Reason]) -> list[str]:
    """Compare an answer with what was expected; the result names every difference."""
    challenge = answer.headers.get("www-authenticate")
    if challenge is not None and scene.challenge == _INVALID_TOKEN:
        challenge = challenge[: len(_INVALID_TOKEN)]
    pairs: tuple[tuple[str, object, object], ...] = (
        ("status", scene.status, answer.status_code),
        ("reasons", [scene.reason] if scene.reason else [], reasons),
        ("challenge", scene.challenge, challenge),
        ("Retry-After", scene.status == httpx.codes.SERVICE_UNAVAILABLE, "retry-after" in answer.headers),
    )
    return [f"{name} should be {wanted!r}, is {actual!r}" for name, wanted, actual in pairs if wanted != actual]


def _compare_identity(issuer: FakeIssuer, found: object) -> list[str]:
    """Compare an identity with what `ctx.auth.getUserIdentity()` gives in Convex for the good token, written out."""
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


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
