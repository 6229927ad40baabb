"""The closed list of configuration problems: for each its rule, Convex's code and one fixed sentence with the remedy.

A new problem starts here: a member of `Problem` and a row in `REMEDIES`.
"""

from __future__ import annotations

from enum import auto
from typing import Final, NamedTuple

from aveverify.errors._named_values import NamedValues

# Convex's codes for a refused auth.config.
_SCHEMA: Final = "AuthConfigNotMatchingSchemaError"
_URL: Final = "InvalidProviderDomainUrl"
_INSECURE: Final = "InsecureConfiguration"


class Remedy(NamedTuple):
    """What is fixed for one problem.

    Attributes:
        rule: The id of the rule that forbids it.
        code: Convex's code, or None if Convex has no such rule.
        sentence: What is wrong and what to do; it follows the name of the field.
    """

    rule: str
    code: str | None
    sentence: str


class Problem(NamedValues):
    """What is wrong with a configuration. The value of a member is its name."""

    NOT_A_CONFIG = auto()
    MISSING = auto()
    WRONG_TYPE = auto()
    MISSPELT = auto()
    UNKNOWN_TYPE = auto()
    FOREIGN_MEMBER = auto()
    SHARED_ISSUER = auto()
    QUOTED = auto()
    PADDED = auto()
    WELL_KNOWN = auto()
    NOT_A_URL = auto()
    NO_DOT = auto()
    PLAIN_HTTP = auto()
    ALGORITHM = auto()
    KEY_SET_ADDRESS = auto()
    KEY_SET_DATA = auto()
    FETCH_ADDRESS = auto()
    OUT_OF_RANGE = auto()
    EMPTY = auto()
    AUDIENCE = auto()
    UNREADABLE_FILE = auto()
    NOT_A_PROVIDER = auto()
    NO_PROVIDERS = auto()
    NOT_A_VERIFIER = auto()
    NOT_AN_APPLICATION = auto()
    NOT_A_VIEW = auto()
    UNKNOWN_OPTION = auto()
    UNGUARDED_VIEW = auto()
    NOT_ENFORCED = auto()
    INSTALLED_TWICE = auto()
    ENVIRONMENT = auto()
    NO_MIDDLEWARE = auto()
    NO_REQUEST = auto()
    CLOSED = auto()
    WEAK_KEY = auto()
    INSECURE_TLS = auto()


REMEDIES: Final[dict[Problem, Remedy]] = {
    Problem.NOT_A_CONFIG: Remedy(
        "CFG-01", _SCHEMA, "must be an object with an array `providers` of objects; pass what auth.config exports"
    ),
    Problem.MISSING: Remedy("CFG-02", _SCHEMA, "is required; add it"),
    Problem.WRONG_TYPE: Remedy("CFG-02", _SCHEMA, "has the wrong type; it must be text"),
    Problem.MISSPELT: Remedy("CFG-04", _SCHEMA, "is a misspelling; write applicationID"),
    Problem.UNKNOWN_TYPE: Remedy("CFG-05", _SCHEMA, "must be absent, `oidc` or `customJwt`; case counts"),
    Problem.FOREIGN_MEMBER: Remedy(
        "CFG-06", _SCHEMA, "belongs to the other type of provider; OIDC has domain, customJwt has issuer"
    ),
    Problem.SHARED_ISSUER: Remedy(
        "CFG-07", _INSECURE, "is shared by all applications of that service; set the application id"
    ),
    Problem.QUOTED: Remedy("CFG-08", _URL, "begins or ends with a quote; remove the quotes"),
    Problem.PADDED: Remedy("DV-24", _SCHEMA, "begins or ends with a blank, a line break or a quote; remove it"),
    Problem.WELL_KNOWN: Remedy(
        "DV-24", _URL, "is the URL of a discovery document; write only the part before /.well-known/"
    ),
    Problem.NOT_A_URL: Remedy("CFG-10", _URL, "must be an https URL with a host and a valid port, without blanks"),
    Problem.NO_DOT: Remedy("CFG-11", _URL, "has neither scheme nor dot; write the whole URL, beginning with https://"),
    Problem.PLAIN_HTTP: Remedy(
        "DV-10", _INSECURE, "is plain http to another machine; use https, or set insecure_http=True for a test network"
    ),
    Problem.ALGORITHM: Remedy("CFG-13", _SCHEMA, "must be exactly RS256 or ES256"),
    Problem.KEY_SET_ADDRESS: Remedy("DV-18", _SCHEMA, "must be an absolute https URL without blanks, or a data: URL"),
    Problem.KEY_SET_DATA: Remedy(
        "DV-18", _SCHEMA, "is a data: URL that does not decode to a key set with a usable key"
    ),
    Problem.FETCH_ADDRESS: Remedy(
        "DV-10", None, "must be an absolute https URL without blanks (http only on loopback)"
    ),
    # Also where CFG-010, CFG-015 or HTP-043 forbids the value: the id stands at the check.
    Problem.OUT_OF_RANGE: Remedy("CFG-009", None, "has a wrong value"),
    # Also where CFG-013 forbids it.
    Problem.EMPTY: Remedy("CFG-002", None, "is empty or blank; set it or leave it out"),
    Problem.AUDIENCE: Remedy(
        "SEC-03", None, "is missing: set the application id, or any_audience=True to accept tokens of every client"
    ),
    Problem.UNREADABLE_FILE: Remedy("CFG-01", None, "names a file that cannot be read"),
    Problem.NOT_A_PROVIDER: Remedy(
        "CFG-01", None, "is not a Provider; for an auth.config use Verifier.from_auth_config"
    ),
    Problem.NO_PROVIDERS: Remedy("HTP-043", None, "is empty, so every token would be refused; name a Provider"),
    Problem.NOT_A_VERIFIER: Remedy(
        "HTP-043", None, "must be a Verifier, for example Verifier(Provider.ave('app_123'))"
    ),
    Problem.NOT_AN_APPLICATION: Remedy("HTP-043", None, "is not an application of the kind that belongs here"),
    Problem.NOT_A_VIEW: Remedy("HTP-043", None, "is not a view function, so it cannot be decorated"),
    Problem.UNKNOWN_OPTION: Remedy("HTP-043", None, "is unknown"),
    Problem.UNGUARDED_VIEW: Remedy(
        "HTP-043", None, "is registered without its aveverify decorator; write the decorator below the route"
    ),
    Problem.NOT_ENFORCED: Remedy("HTP-043", None, "is not enforced, so requests without a token would be served"),
    Problem.INSTALLED_TWICE: Remedy("HTP-043", None, "is installed twice; remove one"),
    Problem.ENVIRONMENT: Remedy(
        "CFG-16",
        None,
        "is not set: set AVEVERIFY_AUTH_CONFIG, or both AVEVERIFY_ISSUER and AVEVERIFY_APPLICATION_ID",
    ),
    Problem.NO_MIDDLEWARE: Remedy(
        "HTTP-06",
        None,
        "did not pass through an aveverify middleware, so its user is unknown; install the middleware, or in front of "
        "it use AuthRecord",
    ),
    Problem.NO_REQUEST: Remedy(
        "HTTP-06",
        None,
        "has no identity, because no request is served here: in a worker, a command or a test write `with "
        "current_identity.bind(identity):`, in a view install the middleware",
    ),
    Problem.CLOSED: Remedy("CON-008", None, "is closed; create a new one"),
    Problem.WEAK_KEY: Remedy("CFG-015", None, "is guessable; generate a random one with `openssl rand -base64 48`"),
    Problem.INSECURE_TLS: Remedy(
        "CFG-014",
        None,
        "must not switch off the checks of certificate and hostname; for a private CA set ssl_ca_certs=FILE",
    ),
}
