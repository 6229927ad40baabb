"""`Issuer`: an OpenID Connect issuer with keys of its own, its tokens, and the documents that it publishes.

Answers in memory, as the `Fetcher` of a verifier. Knows nothing of bad tokens, outages and refusals: `FakeIssuer`
adds them. OpenID Connect Discovery 1.0; RFC 7517; RFC 7519.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Any, Final, Literal

from aveverify._core.provider import Provider
from aveverify.clock import Clock
from aveverify.errors import quote
from aveverify.fetcher import FetchRequest, FetchResponse
from aveverify.testing._clock import FakeClock
from aveverify.testing._keys import KeyAlgorithm, SigningKey, dump_json
from aveverify.verifier import Verifier

DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
KEYS_PATH: Final = "/.well-known/jwks.json"
_LIFETIME_SECONDS: Final = 3600
_NOT_FOUND: Final = FetchResponse(status=404)


class Issuer:
    """An issuer that works: the base of `FakeIssuer`, which documents the arguments."""

    issuer: str
    application_id: str
    clock: Clock

    def __init__(
        self,
        issuer: str = "https://issuer.test",
        *,
        application_id: str = "app_test",
        algorithms: Sequence[KeyAlgorithm] = ("RS256",),
        clock: Clock | None = None,
        max_age_seconds: int | None = None,
    ) -> None:
        self.issuer = issuer
        self.application_id = application_id
        self.algorithms = tuple(algorithms)
        if not self.algorithms:
            message = "an issuer needs at least one algorithm"
            raise ValueError(message)
        self.clock = FakeClock() if clock is None else clock
        self.max_age_seconds = max_age_seconds
        self._published = tuple(SigningKey(algorithm) for algorithm in self.algorithms)
        # Guards what the threads of a server share: the keys and the counts of requests.
        self._lock = Lock()

    @property
    def jwks_uri(self) -> str:
        """The URL of its JWK Set."""
        return self.issuer.rstrip("/") + KEYS_PATH

    @property
    def provider(self) -> Provider:
        """The OIDC provider that accepts its tokens."""
        return Provider(issuer=self.issuer, application_id=self.application_id)

    def custom_jwt_provider(self, algorithm: Literal["RS256", "ES256"]) -> Provider:
        """Return the customJwt provider that accepts its tokens.

        Args:
            algorithm: The one algorithm that the provider accepts.

        Returns:
            The provider, with the issuer's JWK Set and application id.
        """
        return Provider.custom_jwt(
            issuer=self.issuer, jwks=self.jwks_uri, algorithm=algorithm, application_id=self.application_id
        )

    def verifier(self, *providers: Provider, **options: Any) -> Verifier:
        """Make a verifier that fetches from this issuer and reads its clock.

        Args:
            providers: The providers; `provider` by default.
            options: Keyword arguments of `Verifier`.

        Returns:
            The verifier. Close it, or use it with `with`.

        Raises:
            ConfigurationError: An option of `Verifier` is wrong.
        """
        defaults: dict[str, Any] = {"fetcher": self, "clock": self.clock}
        return Verifier(*(providers or (self.provider,)), **(defaults | options))

    def claims(self) -> dict[str, Any]:
        """Return the claims of its tokens by default, which are those of an id_token of Ave.

        Returns:
            A new dictionary. The token is issued now and expires in an hour.
        """
        now = int(self.clock.now())
        return {
            "iss": self.issuer,
            "sub": "user_ada",
            "aud": self.application_id,
            "azp": self.application_id,
            "iat": now,
            "auth_time": now,
            "exp": now + _LIFETIME_SECONDS,
            "name": "Ada Lovelace",
            "preferred_username": "ada",
            "picture": "https://images.test/ada.png",
            "email": "ada@example.com",
        }

    def token(
        self,
        claims: Mapping[str, Any] | None = None,
        /,
        *,
        header: Mapping[str, Any] | None = None,
        algorithm: KeyAlgorithm | None = None,
        omit: Collection[str] = (),
        **more_claims: Any,
    ) -> str:
        """Issue a token.

            issuer.token(sub="ada", plan="pro", exp=int(issuer.clock.now()) + 60)

        Args:
            claims: Claims that are added to the default ones, or replace them.
            header: Members that are added to the header or replace some; the key that signs stays the same.
            algorithm: Which of the issuer's keys signs; the first algorithm of the issuer by default.
            omit: Names of claims to leave out.
            more_claims: More claims, by name; they replace those of `claims`.

        Returns:
            The compact token.

        Raises:
            ValueError: The issuer has no key for the algorithm.
        """
        members = self.claims() | dict(claims or {}) | more_claims
        payload = dump_json({name: value for name, value in members.items() if name not in omit})
        return self.sign(payload, header=header, algorithm=algorithm)

    def sign(
        self, payload: bytes, *, header: Mapping[str, Any] | None = None, algorithm: KeyAlgorithm | None = None
    ) -> str:
        """Sign a payload as it is, claims or not.

        Args:
            payload: Any bytes.
            header: As for `token`.
            algorithm: As for `token`.

        Returns:
            The compact token.

        Raises:
            ValueError: The issuer has no key for the algorithm.
        """
        key = self._signing_key(algorithm)
        members = {"alg": key.algorithm, "typ": "JWT", "kid": key.kid} | dict(header or {})
        return key.sign_token(members, payload)

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Answer a request in memory, as the `Fetcher` of a verifier.

        Args:
            request: For one of the two documents; any other URL is a 404.

        Returns:
            The response.
        """
        return self._answer(request.url.removeprefix(self.issuer.rstrip("/")))

    def _answer(self, path: str) -> FetchResponse:
        if path == DISCOVERY_PATH:
            return self._document("application/json", self._metadata())
        if path == KEYS_PATH:
            return self._document("application/jwk-set+json", {"keys": [key.jwk for key in self._published]})
        return _NOT_FOUND

    def _metadata(self) -> dict[str, Any]:
        # OpenID Connect Discovery §3: the required members.
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer.rstrip("/") + "/authorize",
            "jwks_uri": self.jwks_uri,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(dict.fromkeys(self.algorithms)),
        }

    def _document(self, content_type: str, members: dict[str, Any]) -> FetchResponse:
        headers = {"Content-Type": content_type}
        if self.max_age_seconds is not None:
            headers["Cache-Control"] = f"max-age={self.max_age_seconds}"
        return FetchResponse(status=200, headers=headers, body=dump_json(members))

    def _signing_key(self, algorithm: KeyAlgorithm | None = None) -> SigningKey:
        wanted = self.algorithms[0] if algorithm is None else algorithm
        for key in reversed(self._published):
            if key.algorithm == wanted:
                return key
        message = f"this issuer has no key for {wanted}; give FakeIssuer algorithms=(…, {wanted!r})"
        raise ValueError(message)

    def __repr__(self) -> str:
        """Show the URL only."""
        return f"<{type(self).__name__} {quote(self.issuer)}>"
