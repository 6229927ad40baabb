"""`FakeIssuer`: an issuer under the control of a test, with bad tokens, outages, rotations and refusals.

Answers in memory, or with `serve()` over HTTP on this machine. OpenID Connect Discovery 1.0; RFC 7517.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Final

from aveverify.errors import Reason
from aveverify.fetcher import FetchError, FetchRequest, FetchResponse
from aveverify.testing._invalid_tokens import FLAWS, REASON_BY_FLAW
from aveverify.testing._issuer import DISCOVERY_PATH, KEYS_PATH, Issuer
from aveverify.testing._keys import SigningKey
from aveverify.testing._refusals import make_scene
from aveverify.testing._scene import Scene
from aveverify.testing._server import serve_documents

_UNAVAILABLE: Final = FetchResponse(status=503)


class FakeIssuer(Issuer):
    """An issuer under the control of a test. No two issuers share a key.

        issuer = FakeIssuer(application_id="app_123")
        with issuer.verifier() as verifier:
            assert verifier.verify(issuer.token(sub="ada")).subject == "ada"

    Args:
        issuer: Its URL.
        application_id: The client id for which it issues tokens.
        algorithms: One key is made for each entry: `RS256`, `ES256` or `EdDSA`; the first one signs by default.
            OIDC providers accept RS256 and EdDSA, customJwt providers RS256 and ES256.
        clock: The clock that dates its tokens; a new `FakeClock` by default, so the real time until a test moves it.
        max_age_seconds: The `Cache-Control: max-age` of its documents; None sends no such header.

    Raises:
        ValueError: There is no algorithm, or an unknown one.

    Attributes:
        FLAWS: The names that `forge` knows, each with the `Reason` for which `provider` refuses the token.
        issuer: Its URL; within `serve()` that of the server.
        discovery_requests: How many requests for the discovery document have come, whatever the response.
        jwks_requests: How many requests for the JWK Set have come, whatever the response.
    """

    FLAWS: ClassVar[Mapping[str, Reason]] = REASON_BY_FLAW

    discovery_requests = 0
    jwks_requests = 0
    _discovery_response: FetchResponse | None = None
    _keys_response: FetchResponse | None = None
    _is_up = True

    def forge(self, flaw: str) -> str:
        """Make a token with one flaw.

        Args:
            flaw: A name of `FLAWS`.

        Returns:
            A token that `provider` refuses for exactly the reason that `FLAWS` gives.

        Raises:
            ValueError: There is no such flaw.
        """
        if flaw not in FLAWS:
            message = f"no flaw is called {flaw!r}; there are {', '.join(FLAWS)}"
            raise ValueError(message)
        return FLAWS[flaw].forge(self, self._signing_key())

    def scene(self, reason: Reason) -> Scene:
        """Make a situation that is refused for a reason: a verifier, a request, and options of a middleware.

        There is one for every `Reason`, so that one test can show how an application responds to each:

            with issuer.scene(reason) as scene:
                client = make_app(scene.verifier, **scene.options).test_client()
                assert client.get("/me", headers=scene.headers).status_code == scene.status

        Args:
            reason: The reason of the refusal.

        Returns:
            The scene. The issuer itself stays as it is.

        Raises:
            ValueError: There is no such reason.
        """
        return make_scene(self, Reason(reason), self.forge)

    def rotate(self, *, keep_old: bool = True, same_kid: bool = False) -> None:
        """Sign with new keys from now on.

        Args:
            keep_old: Whether the old keys stay published, as a careful issuer does for a while.
            same_kid: Whether the new keys take over the key ids of the old ones, which are no longer published then.
        """
        with self._lock:
            current = {key.algorithm: key for key in self._published}
            fresh = [SigningKey(algorithm, key.kid if same_kid else None) for algorithm, key in current.items()]
            self._published = (*(self._published if keep_old and not same_kid else ()), *fresh)

    def go_down(self) -> None:
        """Stop answering: `fetch` raises `FetchError`, and the server responds with 503."""
        self._is_up = False

    def come_up(self) -> None:
        """Answer again."""
        self._is_up = True

    def answer_discovery_with(self, response: FetchResponse | None) -> None:
        """Replace the response to requests for the discovery document.

        Args:
            response: What is sent instead; None restores the document.
        """
        self._discovery_response = response

    def answer_keys_with(self, response: FetchResponse | None) -> None:
        """Replace the response to requests for the JWK Set.

        Args:
            response: What is sent instead; None restores the JWK Set.
        """
        self._keys_response = response

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Answer a request in memory, as the `Fetcher` of a verifier.

        Args:
            request: For one of the two documents; any other URL is a 404.

        Returns:
            The response.

        Raises:
            FetchError: The issuer is down.
        """
        response = super().fetch(request)
        if response is _UNAVAILABLE:
            message = "the fake issuer is down"
            raise FetchError(message)
        return response

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Answer over HTTP on a free port of 127.0.0.1, for the length of a `with` block.

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
            self.discovery_requests += path == DISCOVERY_PATH
            self.jwks_requests += path == KEYS_PATH
        if not self._is_up:
            return _UNAVAILABLE
        replaced = {DISCOVERY_PATH: self._discovery_response, KEYS_PATH: self._keys_response}.get(path)
        return replaced or super()._answer(path)
