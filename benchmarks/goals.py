"""Upper goals for the ratios, by lane and case. Printed beside the figures; no run fails because of them."""

from __future__ import annotations

from benchmarks.measure import Result

# (lane, group, setting, column): at most. A missing lane means every lane.
GOALS: dict[tuple[str, str, str, str], float] = {
    ("standard", "cold", "RS256-2048", "raw"): 1.45,
    ("fast", "cold", "RS256-2048", "raw"): 1.25,
    ("", "cold", "ES256", "raw"): 1.2,
    ("", "cold", "EdDSA", "raw"): 1.12,
    ("", "warm", "RS256-2048", "sha256"): 1.8,
    ("", "warm", "RS256-2048", "raw"): 0.08,
    ("", "refused", "malformed", "raw"): 0.1,
    ("standard", "refused", "no provider", "raw"): 0.4,
    ("standard", "refused", "unknown kid", "raw"): 0.4,
    ("fast", "refused", "no provider", "raw"): 0.2,
    ("fast", "refused", "unknown kid", "raw"): 0.2,
    ("", "refused", "forged", "raw"): 1.5,
    ("", "Starlette", "warm", "bare"): 1.3,
    ("", "Flask", "warm", "bare"): 1.1,
}
# Who the goals are set for; the same verifier inside a framework's own middleware also costs what that costs.
OURS = ("aveverify", "aveverify.asgi", "aveverify.wsgi")
# How much longer these peers are meant to take than we do, at least; cold, RS256-2048, standard library.
LEADS = {"PyJWT": 2.7, "joserfc": 1.6}


def goal_of(result: Result, column: str) -> float | None:
    """What a ratio is meant to stay under; None where there is no such aim.

    Args:
        result: Of which case.
        column: Which of its ratios.
    """
    if result.contestant not in OURS or result.lane == "Python 3.12":
        return None
    for lane in (result.lane, ""):
        limit = GOALS.get((lane, result.group, result.setting, column))
        if limit is not None:
            return limit
    return None


def lead_of(result: Result) -> float | None:
    """How much longer a peer is meant to take than we do; None where there is no such aim."""
    if (result.lane, result.group, result.setting) != ("standard", "cold", "RS256-2048"):
        return None
    return LEADS.get(result.contestant)
