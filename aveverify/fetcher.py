"""How documents are fetched: the protocol `Fetcher`, and `HttpxFetcher`, the one place that imports httpx.

A fetcher returns a response, whatever its status, within a deadline and a size. It follows no redirect, decodes nothing
and keeps no cookie. `aveverify._core.key_cache.http_response` decides whether the response is a good document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, Final, Protocol

from aveverify._fork import keep_from_forking, renew_after_fork

if TYPE_CHECKING:
    import ssl

    import httpx

_CHUNK_BYTES: Final = 16 * 1024
# NET-007: a host that never answers is given up before the deadline of a refresh, which leaves time for one retry.
DEFAULT_CONNECT_SECONDS: Final = 3.0
# Beyond the deadline, so that the watchdog always ends the exchange first.
_READ_MARGIN_SECONDS: Final = 1.0
_CONNECTED: Final = ("connection.connect_tcp.complete", "connection.start_tls.complete")


class FetchError(Exception):
    """A document could not be fetched.

    Args:
        cause: Why. It appears in messages and logs, so it must contain neither a URL nor a part of a response.
        worth_a_retry: Whether another attempt at once may succeed.
    """

    def __init__(self, cause: str, *, worth_a_retry: bool = True) -> None:
        super().__init__(cause)
        self.worth_a_retry = worth_a_retry


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """A GET request for one document.

    Attributes:
        url: From configuration or a discovery document; never from a token.
        headers: All headers to send.
        deadline_seconds: How long connecting, sending and reading may take together; above 0.
        max_body_bytes: The longest body to read.
    """

    url: str
    headers: Mapping[str, str]
    deadline_seconds: float
    max_body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResponse:
    """A response of an issuer, good or bad.

    Attributes:
        status: The HTTP status.
        headers: A mapping or pairs; names in any case.
        body: The bytes, not decoded.
    """

    status: int
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    body: bytes = b""


class Fetcher(Protocol):
    """Fetches one document. Called from threads of the verifier, at most once at a time for each key set."""

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Fetch one document, blocking.

        Args:
            request: What to fetch, and its limits.

        Returns:
            The response, whatever its status.

        Raises:
            FetchError: No response within the limits. Any other exception counts as one.
        """


class HttpxFetcher:
    """Fetches with httpx: TLS always verified, no redirects, no cookies, one client for the life of the verifier.

    Args:
        trust_env: Whether to use HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE of the environment; off by default, so that a
            stray variable cannot redirect the key requests of a service.
        ssl_context: A context with another CA bundle, for private issuers; that of the system by default.
        transport: An httpx transport, for special networks; it must verify TLS itself.
        connect_seconds: How long connecting may take, within the deadline of a request; 3 by default.

    Example:
        ```python
        context = ssl.create_default_context(cafile="company-ca.pem")
        verifier = Verifier(provider, fetcher=HttpxFetcher(ssl_context=context))
        ```
    """

    def __init__(
        self,
        *,
        trust_env: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
        connect_seconds: float = DEFAULT_CONNECT_SECONDS,
    ) -> None:
        self._trust_env = trust_env
        self._ssl_context = ssl_context
        self._transport = transport
        self._connect_seconds = connect_seconds
        self._client: httpx.Client | None = None
        self._lock = Lock()
        renew_after_fork(self)

    def renew_after_fork(self) -> None:
        """Leave the connections to the parent process; the next fetch opens new ones."""
        self._client = None
        self._lock = Lock()

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Fetch one document within the deadline and the size of the request.

        Args:
            request: What to fetch.

        Returns:
            The response, whatever its status; its body is at most `max_body_bytes` long and not decoded.

        Raises:
            FetchError: Connecting, TLS or reading failed, the deadline passed, or the body is too long.

        Source: NET-001 to NET-009; DV-10.
        """
        client = self._get_client()
        import httpx  # noqa: PLC0415 - costly, so not at import; `_get_client` has imported all of it

        watchdog = _Watchdog()
        timer = Timer(request.deadline_seconds, watchdog.abort)
        timer.daemon = True
        timer.start()
        try:
            timeout = httpx.Timeout(
                request.deadline_seconds + _READ_MARGIN_SECONDS,
                connect=min(self._connect_seconds, request.deadline_seconds),
            )
            with client.stream(
                "GET", request.url, headers=dict(request.headers), timeout=timeout, extensions={"trace": watchdog.trace}
            ) as response:
                body = bytearray()
                for chunk in response.iter_raw(_CHUNK_BYTES):
                    body += chunk
                    if len(body) > request.max_body_bytes:
                        raise FetchError("the response is too long", worth_a_retry=False)
            # A response that was cut off at the deadline may look complete.
            if not watchdog.is_over:
                return FetchResponse(
                    status=response.status_code, headers=response.headers.multi_items(), body=bytes(body)
                )
            cause = "the deadline passed"
        except (httpx.ConnectError, httpx.ConnectTimeout):
            cause = "no connection to the issuer"
        except (httpx.HTTPError, httpx.InvalidURL):
            cause = "the deadline passed" if watchdog.is_over else "the exchange with the issuer failed"
        finally:
            timer.cancel()
        raise FetchError(cause)

    def close(self) -> None:
        """Close the connections. A later fetch opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _get_client(self) -> httpx.Client:
        with keep_from_forking(), self._lock:
            # All that a fetch needs is imported here, before it starts (CON-005).
            import encodings.idna  # noqa: F401, PLC0415 - name look-ups import it
            from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415 - costly, so not at import

            import httpx  # noqa: PLC0415 - costly, so not at import

            if self._client is None:
                # Made once: building the TLS context takes 20 ms.
                self._client = httpx.Client(
                    verify=True if self._ssl_context is None else self._ssl_context,
                    trust_env=self._trust_env,
                    transport=self._transport,
                    follow_redirects=False,
                    # One connection for each exchange: the watchdog knows only connections that this exchange opened.
                    # Fetches are minutes apart, so a kept connection would save little.
                    limits=httpx.Limits(max_keepalive_connections=0),
                    # NET-019: no cookie is kept or sent.
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                )
            return self._client


class _Watchdog:
    """Ends one exchange at its deadline: httpx limits each read, so a slow trickle never times out (NET-005)."""

    def __init__(self) -> None:
        self.is_over = False
        self._streams: list[Any] = []
        self._lock = Lock()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember the connections of this exchange (httpx's extension `trace`)."""
        if event in _CONNECTED:
            with self._lock:
                self._streams.append(info["return_value"])
                late = self.is_over
            if late:
                self.abort()

    def abort(self) -> None:
        """Shut the connections down, so that reads from them end."""
        from socket import SHUT_RDWR  # noqa: PLC0415 - loaded by httpx already; `import aveverify` does not need it

        with self._lock:
            self.is_over = True
            streams = list(self._streams)
        for stream in streams:
            # The server may have closed the connection already.
            with suppress(OSError):
                stream.get_extra_info("socket").shutdown(SHUT_RDWR)
