"""Verify the tokens that a Convex backend accepts, and get the same user identity.

from aveverify import Provider, Verifier

verifier = Verifier(Provider.ave("app_123"))
identity = verifier.verify(token)
"""

from aveverify._core.identity import Identity
from aveverify._core.provider import Provider
from aveverify._core.refusal import Refusal, problem_details
from aveverify._core.standard_attributes import ConvexIdentity
from aveverify._http.auth_record import AuthRecord
from aveverify._http.current_identity import current_identity
from aveverify._http.request_identity import get_user_identity
from aveverify._verify import verify
from aveverify._version import __version__
from aveverify.auth_config import parse_auth_config
from aveverify.cache_policy import CachePolicy
from aveverify.clock import Clock, SystemClock
from aveverify.errors import (
    AveVerifyError,
    ConfigurationError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
)
from aveverify.fetcher import Fetcher, FetchError, FetchRequest, FetchResponse, HttpxFetcher
from aveverify.verifier import Verifier

__all__ = [
    "AuthRecord",
    "AveVerifyError",
    "CachePolicy",
    "Clock",
    "ConfigurationError",
    "ConvexIdentity",
    "FetchError",
    "FetchRequest",
    "FetchResponse",
    "Fetcher",
    "HttpxFetcher",
    "Identity",
    "InsufficientScopeError",
    "InvalidRequestError",
    "InvalidTokenError",
    "KeysUnavailableError",
    "Provider",
    "Reason",
    "Refusal",
    "SystemClock",
    "Verifier",
    "__version__",
    "current_identity",
    "get_user_identity",
    "parse_auth_config",
    "problem_details",
    "verify",
]
