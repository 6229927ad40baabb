"""`FakeIssuer`: an OpenID Connect issuer for tests, which is also the `Fetcher` that gets its documents.

Makes real keys, real tokens and real documents. Answers in memory, or with `serve()` over HTTP on this machine.
OpenID Connect Discovery 1.0; RFC 7517; RFC 7519.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, ClassVar, Final, Literal

from aveverify._core.provider import Provider
from aveverify.clock import Clock
from aveverify.errors import Reason, quote
from aveverify.fetcher import FetchError, FetchRequest, FetchResponse
from aveverify.testing._clock import FakeClock
from aveverify.testing._invalid_tokens import REASONS, TABLE
from aveverify.testing._keys import KeyAlgorithm, SigningKey, dump_json
from aveverify.testing._refusals import Scene, make_scene
from aveverify.testing._server import serve_documents
from aveverify.verifier import Verifier

_DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
_KEYS_PATH: Final = "/.well-known/jwks.json"
_LIFE_SECONDS: Final = 3600
_NOT_FOUND: Final = FetchResponse(status=404)
_UNAVAILABLE: Final = FetchResponse(status=503)


class FakeIssuer:
    """An issuer under the control of a test. Its keys are its own; no two issuers share one.

    Args:
        issuer: Its URL.
        application_id: The client id for which it issues tokens.
        algorithms: One key is made for each entry: `RS256`, `ES256` or `EdDSA`; the first signs where nothing else is
            asked for. OIDC providers accept RS256 and EdDSA, customJwt providers RS256 and ES256.
        clock: Where the dates of its tokens come from; a new `FakeClock` by default.
        max_age_seconds: The `Cache-Control: max-age` of its documents; None sends no such header.

    Raises:
        ValueError: There is no algorithm, or an unknown one.

    Attributes:
        FLAWS: The names that `forge` knows, each with the `Reason` for which `provider` refuses the token.
        issuer: Its URL; within `serve()` that of the server.
        discovery_requests: How often the discovery document was asked for, whatever was answered.
        jwks_requests: How often the keys were asked for, whatever was answered.
    """

    FLAWS: ClassVar[Mapping[str, Reason]] = REASONS

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
        self.discovery_requests = 0
        self.jwks_requests = 0
        self._published = tuple(SigningKey(algorithm) for algorithm in self.algorithms)
        self._discovery_answer: FetchResponse | None = None
        self._keys_answer: FetchResponse | None = None
        self._is_up = True
        self._lock = Lock()

    @property
    def jwks_uri(self) -> str:
        """Where its keys are."""
        return self.issuer.rstrip("/") + _KEYS_PATH

    @property
    def provider(self) -> Provider:
        """The OIDC provider that accepts its tokens."""
        return Provider(issuer=self.issuer, application_id=self.application_id)

    def custom_jwt_provider(self, algorithm: Literal["RS256", "ES256"]) -> Provider:
        """Return the customJwt provider that accepts its tokens of an algorithm."""
        return Provider.custom_jwt(
            issuer=self.issuer, jwks=self.jwks_uri, algorithm=algorithm, application_id=self.application_id
        )

    def verifier(self, *providers: Provider, **options: Any) -> Verifier:  # noqa: ANN401 - those of `Verifier`
        """Make a verifier that fetches from this issuer and lives by its clock.

        Args:
            providers: The providers; `provider` by default.
            options: Keyword arguments of `Verifier`.

        Returns:
            The verifier.
        """
        defaults: dict[str, Any] = {"fetcher": self, "clock": self.clock}
        return Verifier(*(providers or (self.provider,)), **(defaults | options))

    def claims(self) -> dict[str, Any]:
        """Return what its tokens say by default, which is what an id_token of Ave says."""
        now = int(self.clock.now())
        return {
            "iss": self.issuer,
            "sub": "user_ada",
            "aud": self.application_id,
            "azp": self.application_id,
            "iat": now,
            "auth_time": now,
            "exp": now + _LIFE_SECONDS,
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
        **more_claims: Any,  # noqa: ANN401 - a claim is any JSON value
    ) -> str:
        """Issue a token.

        Args:
            claims: Claims that are added to the default ones, or replace them.
            header: Members that are added to the header or replace some; the key that signs stays the same.
            algorithm: With which key it is signed; that of the first algorithm by default.
            omit: Names of default claims to leave out.
            more_claims: More claims, by name.

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

    def forge(self, flaw: str) -> str:
        """Make a token with one flaw.

        Args:
            flaw: A name of `FLAWS`.

        Returns:
            A token that `provider` refuses for exactly the reason that `FLAWS` gives.

        Raises:
            ValueError: There is no such flaw.
        """
        if flaw not in TABLE:
            message = f"no flaw is called {flaw!r}; there are {', '.join(TABLE)}"
            raise ValueError(message)
        return TABLE[flaw].forge(self, self._signing_key(None))

    def scene(self, reason: Reason) -> Scene:
        """Make a situation that is refused for a reason: a verifier, a request, and the options of an edge.

        There is one for every `Reason`, so that one test can show what an application answers to each:

            with issuer.scene(reason) as scene:
                client = make_app(scene.verifier, **scene.options).test_client()
                assert client.get("/me", headers=scene.headers).status_code == scene.status

        Args:
            reason: Why it shall be refused.

        Returns:
            The scene. The issuer itself stays as it is.

        Raises:
            ValueError: There is no such reason.
        """
        return make_scene(self, Reason(reason))

    def rotate(self, *, keep_old: bool = True, same_kid: bool = False) -> None:
        """Sign with new keys from now on.

        Args:
            keep_old: Whether the old keys stay published, as a careful issuer does for a while.
            same_kid: Whether the new keys take over the key ids of the old ones, which are gone then.
        """
        with self._lock:
            current = {key.algorithm: key for key in self._published}
            fresh = [SigningKey(algorithm, key.kid if same_kid else None) for algorithm, key in current.items()]
            self._published = (*(self._published if keep_old and not same_kid else ()), *fresh)

    def go_down(self) -> None:
        """Stop answering: `fetch` raises `FetchError`, and the server answers 503."""
        self._is_up = False

    def come_up(self) -> None:
        """Answer again."""
        self._is_up = True

    def answer_discovery_with(self, response: FetchResponse | None) -> None:
        """Answer with something else than the discovery document; None takes that back."""
        self._discovery_answer = response

    def answer_keys_with(self, response: FetchResponse | None) -> None:
        """Answer with something else than the keys; None takes that back."""
        self._keys_answer = response

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Answer a request in memory, as the `Fetcher` of a verifier.

        Args:
            request: For one of the two documents; every other address is a 404.

        Returns:
            The answer.

        Raises:
            FetchError: The issuer is down.
        """
        path = request.url.removeprefix(self.issuer.rstrip("/"))
        response = self._answer(path)
        if response is _UNAVAILABLE:
            message = "the fake issuer is down"
            raise FetchError(message)
        return response

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Answer over HTTP on a free port of this machine, for the length of a `with` block.

        Within the block `issuer` is the URL of the server, so that provider, tokens and documents name it; afterwards
        it is what it was. Tokens issued before are for the other URL.

        Yields:
            The URL.
        """
        with serve_documents(self._answer) as url:
            before, self.issuer = self.issuer, url
            try:
                yield url
            finally:
                self.issuer = before

    def _answer(self, path: str) -> FetchResponse:
        with self._lock:
            self.discovery_requests += path == _DISCOVERY_PATH
            self.jwks_requests += path == _KEYS_PATH
        if not self._is_up:
            return _UNAVAILABLE
        if path == _DISCOVERY_PATH:
            return self._discovery_answer or self._document("application/json", self._metadata())
        if path == _KEYS_PATH:
            keys = [key.jwk for key in self._published]
            return self._keys_answer or self._document("application/jwk-set+json", {"keys": keys})
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

    def _signing_key(self, algorithm: KeyAlgorithm | None) -> SigningKey:
        wanted = self.algorithms[0] if algorithm is None else algorithm
        for key in reversed(self._published):
            if key.algorithm == wanted:
                return key
        message = f"this issuer has no key for {wanted}; give FakeIssuer algorithms=(…, {wanted!r})"
        raise ValueError(message)

    def __repr__(self) -> str:
        """Show the URL only."""
        return f"<FakeIssuer {quote(self.issuer)}>"
