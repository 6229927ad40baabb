"""The five errors, the closed lists of reasons and problems, and every message of the package.

AveVerifyError
├── InvalidRequestError      400  the Authorization header is malformed or doubled
├── InvalidTokenError        401  the token is refused
├── InsufficientScopeError   403  the token is good, the scope is missing
├── KeysUnavailableError     503  the issuer's keys are unavailable; the token was not judged
└── ConfigurationError        -   raised when an object is built; also a ValueError
"""

from aveverify.errors._errors import (
    AveVerifyError,
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    _rebuild,
    quote,
)
from aveverify.errors._reasons import Fault, Hint, Problem, ProviderKind, Reason, Step

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

# Pickles and tracebacks name the public module.
for _public in (
    AveVerifyError,
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    _rebuild,
    Fault,
    Hint,
    Problem,
    Reason,
    Step,
):
    _public.__module__ = __name__
del _public
