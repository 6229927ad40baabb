"""Do they do the same work? Every contestant is tried on a good token and on one wrong token of each kind."""

from __future__ import annotations

from benchmarks.case import UnexpectedOutcomeError
from benchmarks.contestants import Contestant, Verify
from benchmarks.corpus import Corpus

# A verification needs these checks; a contestant that lacks one is configured wrongly, and is not timed.
ESSENTIAL = ("flipped signature", "expired", "wrong iss", "wrong aud")


def refuses(verify: Verify, token: str) -> bool:
    """Whether a token is refused, by whatever the library raises."""
    try:
        verify(token)
    except Exception:
        return True
    return False


def try_flaws(contestant: Contestant, verify: Verify, corpus: Corpus, name: str) -> dict[str, bool]:
    """Find the wrong tokens that a contestant refuses.

    Args:
        contestant: The contestant.
        verify: The function that is timed afterwards.
        corpus: The tokens.
        name: The key under which they are signed.

    Returns:
        For each kind of wrong token whether it was refused.

    Raises:
        UnexpectedOutcomeError: A good token is refused, or an essential check is not made.
    """
    good = corpus.tokens[name][0]
    if refuses(verify, good):
        raise UnexpectedOutcomeError(f"{contestant.name}, {name}, a good token", "acceptance", "refusal")
    refused = {flaw: refuses(verify, token) for flaw, token in corpus.flaws[name].items()}
    for flaw in ESSENTIAL:
        if not refused[flaw]:
            raise UnexpectedOutcomeError(f"{contestant.name}, {name}, {flaw}", "refusal", "acceptance")
    return refused
