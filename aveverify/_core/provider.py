"""`Provider`: one issuer's configuration, checked when it is built, and never changed afterwards.

Two kinds as in Convex: OIDC (`domain` there, `issuer` here) and customJwt. What cannot work is a `ConfigurationError`
that names the field and the mend. Rules CFG-07 to CFG-14; DV-10, DV-17 to DV-19.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypedDict

from aveverify._core.jose.jwk_set import KeySetFault, parse_key_set
from aveverify._core.key_cache.metadata import WELL_KNOWN_PATH
from aveverify._core.key_cache.urls import (
    add_scheme,
    decode_data_url,
    is_data_url,
    is_fetch_allowed,
    parse_address,
)
from aveverify._core.rules import ave, custom_jwt, oidc
from aveverify.errors import ConfigurationError, Problem, ProviderKind, quote

MAX_LEEWAY_SECONDS: Final = 300
# CFG-07, DV-19: all applications of this service share one issuer.
_SHARED_HOST: Final = "api.workos.com"
# RFC 8615 §3
_WELL_KNOWN: Final = "/.well-known/"
_QUOTES: Final = frozenset("\"'`\u2018\u2019\u201c\u201d")

CustomJwtAlgorithm = Literal["RS256", "ES256"]


class OidcEntry(TypedDict):
    """An OIDC entry of a Convex `auth.config`."""

    domain: str
    applicationID: str


class _CustomJwtRequired(TypedDict):
    type: Literal["customJwt"]
    issuer: str
    jwks: str
    algorithm: str


class CustomJwtEntry(_CustomJwtRequired, total=False):
    """A customJwt entry of a Convex `auth.config`."""

    applicationID: str


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Provider:
    """One issuer whose tokens are accepted.

    `Provider(issuer=…, application_id=…)` is an OIDC provider; see `custom_jwt` and `ave` for the others.

    Attributes:
        kind: `oidc` or `customJwt`.
        issuer: The text that is compared with `iss`: as written, with `https://` in front if it had no scheme.
        application_id: The audience that is asked for; None accepts every audience (customJwt only).
        jwks: The address or `data:` URL of the keys of a customJwt provider; None on OIDC.
        algorithm: The only algorithm of a customJwt provider; None on OIDC.
        leeway_seconds: Clock skew to forgive; None means Convex's own of the kind.
        discovery_url: Where the discovery document is, if not at its well-known address.
        jwks_uri: Where the keys are, without any discovery document.
        insecure_http: Whether plain http is allowed beyond this machine.
        preset: `ave` adds the id_token checks of Ave.
    """

    kind: ProviderKind
    issuer: str
    application_id: str | None
    jwks: str | None
    algorithm: CustomJwtAlgorithm | None
    leeway_seconds: float | None
    discovery_url: str | None
    jwks_uri: str | None
    insecure_http: bool
    preset: Literal["ave"] | None

    def __init__(  # noqa: PLR0913 - options, all by keyword
        self,
        *,
        issuer: str,
        application_id: str,
        leeway_seconds: float | None = None,
        discovery_url: str | None = None,
        jwks_uri: str | None = None,
        insecure_http: bool = False,
    ) -> None:
        """Configure an OIDC provider.

        Args:
            issuer: The issuer's URL; `https://` is put in front of a text without scheme.
            application_id: The client id that `aud` must name; empty is legal and fits only an empty `aud` (CFG-17).
            leeway_seconds: 0 to 300; None is Convex's own, which is 0.
            discovery_url: The discovery document of a self-hosted issuer, if not at its well-known address.
            jwks_uri: The key set of an issuer without discovery document.
            insecure_http: Allow plain http beyond this machine, for test networks.

        Raises:
            ConfigurationError: Names the field and the mend.

        Source: CFG-02, CFG-08 to CFG-12; DV-10; DV-17.
        """
        _check_audience("application_id", application_id)
        _require_flag("insecure_http", insecure_http)
        issuer = _check_issuer(issuer, application_id, insecure_http=insecure_http)
        for name, url in (("discovery_url", discovery_url), ("jwks_uri", jwks_uri)):
            if url is not None:
                _check_fetched(name, url, Problem.FETCH_ADDRESS, insecure_http=insecure_http)
        self._fill(
            kind="oidc", issuer=issuer, application_id=application_id, jwks=None, algorithm=None,
            leeway_seconds=_check_leeway(leeway_seconds), discovery_url=discovery_url, jwks_uri=jwks_uri,
            insecure_http=insecure_http, preset=None,
        )  # fmt: skip

    @classmethod
    def custom_jwt(  # noqa: PLR0913 - options, all by keyword
        cls,
        *,
        issuer: str,
        jwks: str,
        algorithm: CustomJwtAlgorithm,
        application_id: str | None = None,
        any_audience: bool = False,
        leeway_seconds: float | None = None,
        insecure_http: bool = False,
    ) -> Self:
        """Configure a customJwt provider.

        Args:
            issuer: The issuer's URL; `https://` is put in front of a text without scheme.
            jwks: The https address of the key set, or a `data:` URL that holds it.
            algorithm: `RS256` or `ES256`.
            application_id: What one of the token's audiences must be.
            any_audience: Say True to accept tokens made for any client of the issuer, instead of `application_id`.
            leeway_seconds: 0 to 300; None is Convex's own, which is 5.
            insecure_http: Allow plain http beyond this machine, for test networks.

        Returns:
            The provider.

        Raises:
            ConfigurationError: Names the field and the mend.

        Source: CFG-03, CFG-07 to CFG-14; DV-10; DV-17 to DV-19; SEC-03.
        """
        _require_flag("any_audience", any_audience)
        _require_flag("insecure_http", insecure_http)
        if application_id is not None:
            _check_audience("application_id", application_id)
        _require_text("jwks", jwks)
        if not is_custom_jwt_algorithm(algorithm):
            # CFG-13
            raise ConfigurationError(Problem.ALGORITHM, "algorithm")
        issuer = _check_issuer(issuer, application_id, insecure_http=insecure_http)
        # Without an audience the choice has to be spelled out; with one, `any_audience` contradicts it.
        if (application_id is None) != any_audience:
            raise ConfigurationError(Problem.AUDIENCE, "application_id")
        _check_key_set_address(jwks, insecure_http=insecure_http)
        provider = object.__new__(cls)
        provider._fill(
            kind="customJwt", issuer=issuer, application_id=application_id, jwks=jwks, algorithm=algorithm,
            leeway_seconds=_check_leeway(leeway_seconds), discovery_url=None, jwks_uri=None,
            insecure_http=insecure_http, preset=None,
        )  # fmt: skip
        return provider

    @classmethod
    def ave(  # noqa: PLR0913 - options, all by keyword
        cls,
        client_id: str,
        *,
        issuer: str = ave.ISSUER,
        leeway_seconds: float | None = None,
        discovery_url: str | None = None,
        jwks_uri: str | None = None,
        insecure_http: bool = False,
    ) -> Self:
        """Configure Ave: an OIDC provider that accepts id_tokens only.

        Args:
            client_id: The app's client id (`app_…`), or `origin:https://site` for Quick Ave.
            issuer: Another issuer for a self-hosted Ave.
            leeway_seconds: As for an OIDC provider.
            discovery_url: As for an OIDC provider.
            jwks_uri: As for an OIDC provider.
            insecure_http: As for an OIDC provider.

        Returns:
            The provider.

        Raises:
            ConfigurationError: Names the field and the mend; also for an empty client id.

        Source: AVE-01 to AVE-03.
        """
        _check_audience("client_id", client_id)
        if not client_id:
            raise ConfigurationError(Problem.EMPTY, "client_id")
        provider = cls(
            issuer=issuer, application_id=client_id, leeway_seconds=leeway_seconds, discovery_url=discovery_url,
            jwks_uri=jwks_uri, insecure_http=insecure_http,
        )  # fmt: skip
        provider._fill(preset="ave")
        return provider

    def _fill(self, **values: Any) -> None:  # noqa: ANN401 - the fields of this class
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Show what chooses tokens; no address, which might hold credentials."""
        return f"<Provider {self.kind} issuer={quote(self.issuer)} application_id={self.application_id!a}>"

    @property
    def effective_leeway_seconds(self) -> float:
        """The leeway that is applied: the configured one, or Convex's own of the kind."""
        if self.leeway_seconds is not None:
            return self.leeway_seconds
        return oidc.DEFAULT_LEEWAY_SECONDS if self.kind == "oidc" else custom_jwt.DEFAULT_LEEWAY_SECONDS

    @property
    def metadata_url(self) -> str | None:
        """Where the discovery document is fetched; None where there is none (DV-09)."""
        if self.kind == "customJwt" or self.jwks_uri is not None:
            return None
        return self.discovery_url or self.issuer.rstrip("/") + WELL_KNOWN_PATH

    @property
    def key_set_url(self) -> str | None:
        """Where the keys are fetched; None where a discovery document tells."""
        return self.jwks if self.kind == "customJwt" else self.jwks_uri

    def to_auth_config(self) -> OidcEntry | CustomJwtEntry:
        """Return the entry of a Convex `auth.config` that means the same; options of ours have no place there."""
        if self.kind == "oidc":
            return {"domain": self.issuer, "applicationID": self.application_id or ""}
        entry: CustomJwtEntry = {
            "type": "customJwt",
            "issuer": self.issuer,
            "jwks": self.jwks or "",
            "algorithm": self.algorithm or "",
        }
        if self.application_id is not None:
            entry["applicationID"] = self.application_id
        return entry


def is_custom_jwt_algorithm(value: object) -> bool:
    """Tell whether a value names an algorithm of customJwt providers.

    Source: CFG-13.
    """
    return type(value) is str and value in custom_jwt.ALLOWED_ALGORITHMS


def _require_text(name: str, value: object) -> None:
    if type(value) is not str:
        raise ConfigurationError(Problem.WRONG_TYPE, name)


def _require_flag(name: str, value: object) -> None:
    if type(value) is not bool:
        raise ConfigurationError(Problem.OUT_OF_RANGE, name, "True or False")


def is_padded(text: str) -> bool:
    """Tell whether a text begins or ends with what only a careless copy puts there: a blank, a line break, a quote.

    Args:
        text: An issuer or an application id as written.

    Returns:
        Whether no token could name it; also for control and invisible characters. False for an empty text.

    Source: DV-24.
    """
    return any(not end.isprintable() or end.isspace() or end in _QUOTES for end in (text[:1], text[-1:]) if end)


def _check_audience(name: str, value: object) -> None:
    _require_text(name, value)
    # CFG-17: empty is legal.
    if is_padded(str(value)):
        raise ConfigurationError(Problem.PADDED, name)


def _check_leeway(leeway_seconds: object) -> float | None:
    if leeway_seconds is None:
        return None
    # CFG-010. NaN is in no range, and bool is an int.
    if (
        not isinstance(leeway_seconds, (int, float))
        or isinstance(leeway_seconds, bool)
        or not 0 <= leeway_seconds <= MAX_LEEWAY_SECONDS
    ):
        raise ConfigurationError(Problem.OUT_OF_RANGE, "leeway_seconds", f"0 to {MAX_LEEWAY_SECONDS}")
    return leeway_seconds


def _check_issuer(issuer: str, application_id: str | None, *, insecure_http: bool) -> str:
    _require_text("issuer", issuer)
    # CFG-08, DV-24
    if is_padded(issuer):
        is_quoted = issuer[0] in _QUOTES or issuer[-1] in _QUOTES
        raise ConfigurationError(Problem.QUOTED if is_quoted else Problem.NOT_A_URL, "issuer")
    # CFG-09, CFG-12: compared as written, but for this.
    text = add_scheme(issuer)
    address = parse_address(text)
    # CFG-10
    if address is None or address.scheme not in ("http", "https"):
        raise ConfigurationError(Problem.NOT_A_URL, "issuer")
    # DV-24: what is copied from a browser; the document's own address would be looked for below it.
    if _WELL_KNOWN in f"{address.path.lower()}/":
        raise ConfigurationError(Problem.WELL_KNOWN, "issuer")
    # CFG-11, DV-17: an IPv6 address may hold a dot, too, and is no name.
    if text != issuer and address.host != "localhost" and not _is_dotted_name(address.host):
        raise ConfigurationError(Problem.NO_DOT, "issuer")
    # CFG-07, DV-19
    if application_id is None and address.host.rstrip(".") == _SHARED_HOST and not address.path.strip("/"):
        raise ConfigurationError(Problem.SHARED_ISSUER, "issuer")
    # DV-10
    if not is_fetch_allowed(address, plain_http=True, any_host=insecure_http):
        raise ConfigurationError(Problem.PLAIN_HTTP, "issuer")
    return text


def _is_dotted_name(host: str) -> bool:
    return "." in host.rstrip(".") and not host.startswith("[")


def _check_fetched(name: str, url: object, problem: Problem, *, insecure_http: bool) -> None:
    # DV-24: a quote at the end is a copy's, too.
    address = parse_address(url) if type(url) is str and not is_padded(url) else None
    if address is None or address.scheme not in ("http", "https"):
        raise ConfigurationError(problem, name)
    # DV-10
    if not is_fetch_allowed(address, plain_http=True, any_host=insecure_http):
        raise ConfigurationError(Problem.PLAIN_HTTP, name)


def _check_key_set_address(jwks: str, *, insecure_http: bool) -> None:
    if not is_data_url(jwks):
        _check_fetched("jwks", jwks, Problem.KEY_SET_ADDRESS, insecure_http=insecure_http)
        return
    # DV-18: a key set that can never be read is a mistake that shows at start.
    document = decode_data_url(jwks)
    cause: str | None = "no data"
    if document is not None:
        try:
            parse_key_set(document, "customJwt")
        except KeySetFault as fault:
            cause = fault.cause
        else:
            cause = None
    if cause is not None:
        raise ConfigurationError(Problem.KEY_SET_DATA, "jwks", cause)


# Pickles and tracebacks name the public module.
Provider.__module__ = "aveverify.provider"
