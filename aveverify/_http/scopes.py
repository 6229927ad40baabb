"""OAuth 2.0 scopes: what a token grants, what a view requires, and which lists of scopes an option accepts.

Knows no request and no framework. RFC 6749 §3.3; RFC 6750 §3.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from aveverify._core.identity import Identity
from aveverify.errors import ConfigurationError, Hint, InsufficientScopeError, Problem

# RFC 6749 §3.3: scope-token, visible ASCII without quote and backslash.
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
# RFC 8693 §4.2.
DEFAULT_SCOPE_CLAIMS: Final = ("scope",)
# Where issuers put scopes; a token that has them in another claim than the configured ones is a likely mistake.
_KNOWN_SCOPE_CLAIMS: Final = ("scope", "scp", "scopes", "permissions", "roles")


class RequiredScopes(NamedTuple):
    """The scopes that a token must hold.

    Attributes:
        all_of: The token must hold each of these.
        any_of: The token must hold one of each group.
        claims: The claims that hold scopes.
    """

    all_of: tuple[str, ...] = ()
    any_of: tuple[tuple[str, ...], ...] = ()
    claims: tuple[str, ...] = DEFAULT_SCOPE_CLAIMS

    @property
    def names(self) -> tuple[str, ...]:
        """Every scope that is named, for challenges: a token with all of them is enough (RFC 6750 §3)."""
        return tuple(dict.fromkeys((*self.all_of, *(scope for group in self.any_of for scope in group))))

    def and_also(self, all_of: Sequence[str], any_of: Sequence[str] = ()) -> RequiredScopes:
        """Return these scopes and further ones.

        Args:
            all_of: Scopes that the token must hold, too.
            any_of: One of these the token must hold, too; an empty list requires none.

        Returns:
            All of them, each once.
        """
        group = (tuple(any_of),) if any_of else ()
        return self._replace(
            all_of=tuple(dict.fromkeys((*self.all_of, *all_of))), any_of=tuple(dict.fromkeys((*self.any_of, *group)))
        )

    def check(self, identity: Identity) -> None:
        """Refuse a token without the required scopes.

        Args:
            identity: The identity of the token.

        Raises:
            InsufficientScopeError: A scope of `all_of`, or every scope of a group, is missing.

        Source: RFC 6749 §3.3; RFC 6750 §3.1.
        """
        if not self.all_of and not self.any_of:
            return
        granted = set(granted_scopes(identity, self.claims))
        if not granted.issuperset(self.all_of) or any(granted.isdisjoint(group) for group in self.any_of):
            hint = None if granted else self._hint_of(identity)
            raise InsufficientScopeError(self.names, any_of=self.any_of, hint=hint)

    def _hint_of(self, identity: Identity) -> Hint | None:
        claims = identity.claims
        if any(name in claims for name in self.claims) or not any(name in claims for name in _KNOWN_SCOPE_CLAIMS):
            return None
        return Hint.OTHER_SCOPE_CLAIM


def granted_scopes(identity: Identity, claims: Sequence[str] = DEFAULT_SCOPE_CLAIMS) -> list[str]:
    """Return the scopes of a token.

    Args:
        identity: The identity of the token.
        claims: The claims that hold scopes, each as text with blanks in between or as a list of texts.

    Returns:
        The scopes of all these claims; a claim of another type holds none.

    Source: RFC 6749 §3.3; RFC 9068 §2.2.3.
    """
    granted: list[str] = []
    values = identity.claims
    for name in claims:
        value = values.get(name)
        if isinstance(value, str):
            granted += value.split(" ")
        elif isinstance(value, list):
            granted += [scope for scope in value if isinstance(scope, str)]
    return granted


def check_scope_list(scopes: object, *, may_be_empty: bool = True, name: str = "scopes") -> None:
    """Check the value of a `scopes` option.

    Args:
        scopes: The value.
        may_be_empty: Whether an empty list is a valid value.
        name: The name of the option.

    Raises:
        ConfigurationError: It is not a list or a tuple, a member is not a scope-token of RFC 6749 §3.3, or it is empty
            and must not be.
    """
    if not may_be_empty and not scopes:
        raise ConfigurationError(Problem.EMPTY, name)
    # Text is a sequence of texts: "read" would require r, e, a and d.
    if not isinstance(scopes, (list, tuple)) or not all(map(_is_scope_token, scopes)):
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, "a list of scope tokens of RFC 6749 §3.3")


def check_scope_claims(claims: object) -> tuple[str, ...]:
    """Check the value of the option `scope_claims`.

    Args:
        claims: The value.

    Returns:
        The names of the claims.

    Raises:
        ConfigurationError: It is no list of names, or empty.
    """
    if not isinstance(claims, (list, tuple)) or not claims or not all(isinstance(one, str) and one for one in claims):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "scope_claims", 'a list of claims, such as ("scope", "scp")')
    return tuple(claims)


def _is_scope_token(value: object) -> bool:
    return isinstance(value, str) and _SCOPE_TOKEN.fullmatch(value) is not None
