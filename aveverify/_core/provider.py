"""`Provider`: one issuer's configuration, checked when it is built, and never changed afterwards.

Two kinds as in Convex: OIDC (`domain` there, `issuer` here) and customJwt. What cannot work is a `ConfigurationError`
that names the field and how to mend it; the checks are in `provider_checks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from aveverify._core.auth_config_entry import CustomJwtEntry, OidcEntry
from aveverify._core.key_cache.metadata import WELL_KNOWN_PATH
from aveverify._core.provider_checks import (
    check_application_id,
    check_fetch_url,
    check_flag,
    check_issuer,
    check_key_set_location,
    check_leeway,
    check_text,
    is_custom_jwt_algorithm,
)
from aveverify._core.rules import ave, custom_jwt, oidc
from aveverify.errors import ConfigurationError, Problem, ProviderKind, quote

CustomJwtAlgorithm = Literal["RS256", "ES256"]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Provider:
    """One issuer whose tokens are accepted.

    `Provider(issuer=…, application_id=…)` is an OIDC provider; `Provider.custom_jwt(…)` and `Provider.ave(…)` make the
    others. Providers are immutable; equal ones compare equal.

    Attributes:
        kind: `oidc` or `customJwt`.
        issuer: The text that is compared with `iss`: as written, with `https://` in front if it had no scheme.
        application_id: The audience that a token must have; None accepts every audience (customJwt only).
        jwks: The https URL or `data:` URL of the keys of a customJwt provider; None on OIDC.
        algorithm: The only algorithm of a customJwt provider; None on OIDC.
        leeway_seconds: Clock skew to forgive, 0 to 300; None means Convex's own of the kind, 0 on OIDC, 5 on customJwt.
        discovery_url: Where the discovery document is, if not at its well-known address.
        jwks_uri: Where the keys are, for an issuer without a discovery document.
        insecure_http: Whether plain http is allowed beyond this machine.
        preset: `ave` adds the id_token checks of Ave.

    Example:
        >>> Provider(issuer="https://idp.example", application_id="app")
        <Provider oidc issuer='https://idp.example' application_id='app'>
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
            application_id: The client id that `aud` must name; an empty one fits only an empty `aud` (CFG-17).
            leeway_seconds: Clock skew to forgive, 0 to 300; None is Convex's own, which is 0.
            discovery_url: The URL of the discovery document, if it is not at its well-known address.
            jwks_uri: The URL of the key set of an issuer without a discovery document.
            insecure_http: Allow plain http beyond this machine, for test networks.

        Raises:
            ConfigurationError: Names the field and how to mend it.

        Source: CFG-02, CFG-08 to CFG-12; DV-10; DV-17.
        """
        check_application_id("application_id", application_id)
        check_flag("insecure_http", insecure_http)
        issuer = check_issuer(issuer, application_id, insecure_http=insecure_http)
        for name, url in (("discovery_url", discovery_url), ("jwks_uri", jwks_uri)):
            if url is not None:
                check_fetch_url(name, url, Problem.FETCH_ADDRESS, insecure_http=insecure_http)
        self._fill(
            kind="oidc", issuer=issuer, application_id=application_id, jwks=None, algorithm=None,
            leeway_seconds=check_leeway(leeway_seconds), discovery_url=discovery_url, jwks_uri=jwks_uri,
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
            jwks: The https URL of the key set, or a `data:` URL that holds it.
            algorithm: `RS256` or `ES256`.
            application_id: What one of the token's audiences must be.
            any_audience: True, instead of an `application_id`, accepts tokens made for any client of the issuer.
            leeway_seconds: Clock skew to forgive, 0 to 300; None is Convex's own, which is 5.
            insecure_http: Allow plain http beyond this machine, for test networks.

        Returns:
            The provider.

        Raises:
            ConfigurationError: Names the field and how to mend it.

        Source: CFG-03, CFG-07 to CFG-14; DV-10; DV-17 to DV-19; SEC-03.
        """
        check_flag("any_audience", any_audience)
        check_flag("insecure_http", insecure_http)
        if application_id is not None:
            check_application_id("application_id", application_id)
        check_text("jwks", jwks)
        if not is_custom_jwt_algorithm(algorithm):
            # CFG-13
            raise ConfigurationError(Problem.ALGORITHM, "algorithm")
        issuer = check_issuer(issuer, application_id, insecure_http=insecure_http)
        # SEC-03: no audience must be a choice that is written down; beside an audience it is a contradiction.
        if (application_id is None) != any_audience:
            raise ConfigurationError(Problem.AUDIENCE, "application_id")
        check_key_set_location(jwks, insecure_http=insecure_http)
        provider = object.__new__(cls)
        provider._fill(
            kind="customJwt", issuer=issuer, application_id=application_id, jwks=jwks, algorithm=algorithm,
            leeway_seconds=check_leeway(leeway_seconds), discovery_url=None, jwks_uri=None,
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
            issuer: The issuer of a self-hosted Ave.
            leeway_seconds: As for an OIDC provider.
            discovery_url: As for an OIDC provider.
            jwks_uri: As for an OIDC provider.
            insecure_http: As for an OIDC provider.

        Returns:
            The provider.

        Raises:
            ConfigurationError: Names the field and how to mend it; also for an empty client id.

        Source: AVE-01 to AVE-03.
        """
        check_application_id("client_id", client_id)
        if not client_id:
            raise ConfigurationError(Problem.EMPTY, "client_id")
        provider = cls(
            issuer=issuer, application_id=client_id, leeway_seconds=leeway_seconds, discovery_url=discovery_url,
            jwks_uri=jwks_uri, insecure_http=insecure_http,
        )  # fmt: skip
        provider._fill(preset="ave")
        return provider

    def _fill(self, **fields: object) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Show what chooses tokens; no address, which might hold credentials."""
        return f"<Provider {self.kind} issuer={quote(self.issuer)} application_id={self.application_id!a}>"

    @property
    def effective_leeway_seconds(self) -> float:
        """The leeway that is applied, in seconds: the configured one, or Convex's own of the kind."""
        if self.leeway_seconds is not None:
            return self.leeway_seconds
        return oidc.DEFAULT_LEEWAY_SECONDS if self.kind == "oidc" else custom_jwt.DEFAULT_LEEWAY_SECONDS

    @property
    def metadata_url(self) -> str | None:
        """The URL of the discovery document; None where there is none (DV-09)."""
        if self.kind == "customJwt" or self.jwks_uri is not None:
            return None
        return self.discovery_url or self.issuer.rstrip("/") + WELL_KNOWN_PATH

    @property
    def key_set_url(self) -> str | None:
        """The URL of the keys; None where the discovery document names it."""
        return self.jwks if self.kind == "customJwt" else self.jwks_uri

    def to_auth_config(self) -> OidcEntry | CustomJwtEntry:
        """Return the entry of a Convex `auth.config` that means the same.

        Returns:
            The entry, without the options that Convex does not have: `leeway_seconds`, `discovery_url`, `jwks_uri`,
            `insecure_http` and the checks of the preset.
        """
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


# Pickles and tracebacks name the public module.
Provider.__module__ = "aveverify.provider"
