"""OAuth 2.0 scopes: what a token grants, what a view requires, and which lists of scopes an option accepts.

Knows no request and no framework. RFC 6749 §3.3; RFC 6750 §3.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from aveverify._core.identity import Identity
from aveverify.errors import ConfigurationError, InsufficientScopeError, Problem

# RFC 6749 §3.3: scope-token, visible ASCII without quote and backslash.
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def check_scopes(identity: Identity, required: Sequence[str]) -> None:
    """Refuse a token without the required scopes.

    Args:
        identity: The identity of the token.
        required: The scopes; an empty list requires none.

    Raises:
        InsufficientScopeError: A required scope is not in the text of the `scope` claim, or there is no such text.

    Source: RFC 6749 §3.3; RFC 6750 §3.1.
    """
    if required and not set(required).issubset(granted_scopes(identity)):
        raise InsufficientScopeError(tuple(required))


def granted_scopes(identity: Identity) -> list[str]:
    """Return the scopes in the text of the `scope` claim; an empty list where there is no such text.

    Source: RFC 6749 §3.3.
    """
    granted = identity.claims.get("scope")
    return granted.split(" ") if isinstance(granted, str) else []


def check_scope_list(scopes: object, *, may_be_empty: bool = True) -> None:
    """Check the value of a `scopes` option.

    Args:
        scopes: The value.
        may_be_empty: Whether an empty list is a valid value.

    Raises:
        ConfigurationError: It is not a list or a tuple, a member is not a scope-token of RFC 6749 §3.3, or it is empty
            and must not be.
    """
    if not may_be_empty and not scopes:
        raise ConfigurationError(Problem.EMPTY, "scopes")
    # Text is a sequence of texts: "read" would require r, e, a and d.
    if not isinstance(scopes, (list, tuple)) or not all(map(_is_scope_token, scopes)):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "scopes", "a list of scope tokens of RFC 6749 §3.3")


def _is_scope_token(value: object) -> bool:
    return isinstance(value, str) and _SCOPE_TOKEN.fullmatch(value) is not None
