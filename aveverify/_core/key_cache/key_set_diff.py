"""What changed between two JWK Sets, for events: new and removed key ids, and other keys under known ids."""

from __future__ import annotations

from typing import NamedTuple

from aveverify._core.jose.jwk_set import KeySet


class Changes(NamedTuple):
    """The difference between two JWK Sets.

    Attributes:
        added: Key ids that only the new set has.
        removed: Key ids that only the old set has.
        replaced: Key ids of both sets that name none of the old keys any more.
        shares_no_key: Whether the sets have no key in common.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    shares_no_key: bool


def compare_key_sets(old: KeySet, new: KeySet) -> Changes:
    """Compare two JWK Sets by key id and thumbprint.

    Args:
        old: The last set.
        new: The present set.

    Returns:
        What changed.

    Source: RFC 7638.
    """
    replaced = [kid for kid in old.kids if _is_replaced(_thumbprints(old, kid), _thumbprints(new, kid))]
    return Changes(
        added=tuple(kid for kid in new.kids if kid not in old.kids),
        removed=tuple(kid for kid in old.kids if kid not in new.kids),
        replaced=tuple(replaced),
        shares_no_key=_all_thumbprints(old).isdisjoint(_all_thumbprints(new)),
    )


def _is_replaced(old: set[str], new: set[str]) -> bool:
    # A key that can verify nothing has no thumbprint, so its change is no replacement.
    return bool(old and new) and old.isdisjoint(new)


def _thumbprints(key_set: KeySet, kid: str) -> set[str]:
    return {candidate.key.thumbprint for candidate in key_set.with_kid(kid) if candidate.key is not None}


def _all_thumbprints(key_set: KeySet) -> set[str]:
    return {candidate.key.thumbprint for candidate in key_set.candidates if candidate.key is not None}
