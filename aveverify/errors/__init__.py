"""The five errors, and the closed lists of reasons, hints, faults and configuration problems.

AveVerifyError
├── InvalidRequestError      400  the request's credentials are malformed or repeated
├── InvalidTokenError        401  the token is refused
├── InsufficientScopeError   403  the token is good but lacks a scope
├── KeysUnavailableError     503  the issuer's keys are unavailable; the token was not judged
└── ConfigurationError        -   raised when an object is built; also a ValueError
"""

from aveverify.errors._base import AveVerifyError, _rebuild
from aveverify.errors._errors import (
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    KeysUnavailableError,
)
from aveverify.errors._hints import Fault, Hint
from aveverify.errors._invalid_token import InvalidTokenError
from aveverify.errors._messages import quote
from aveverify.errors._problems import Problem
from aveverify.errors._reasons import ProviderKind, Reason, Step
from aveverify.errors._unknown_options import _rebuild_unknown_option

__all__ = [
    "AveVerifyError",
    "ConfigurationError",
    "Fault",
    "Hint",
    "InsufficientScopeError",
    "InvalidRequestError",
    "InvalidTokenError",
    "KeysUnavailableError",
    "Problem",
    "ProviderKind",
    "Reason",
    "Step",
    "quote",
]

# A pickle names the module of what it holds. A private module may move, this one may not.
for _public in (
    AveVerifyError,
    ConfigurationError,
    Fault,
    Hint,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Problem,
    Reason,
    Step,
    quote,
    _rebuild,
    _rebuild_unknown_option,
):
    _public.__module__ = __name__
del _public
