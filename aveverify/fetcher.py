"""How documents are fetched: the seam `Fetcher`, and `HttpxFetcher`, the one place that imports httpx.

A fetcher gets an answer, whatever its status, within a deadline and a size; whether the answer is a good document is
decided in `aveverify._core.key_cache.http_response`. It follows no redirect, decodes nothing and keeps no cookie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from socket import SHUT_RDWR
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, Final, Protocol

from aveverify._fork import keep_from_forking, renew_after_fork

if TYPE_CHECKING:
    import ssl

    import httpx

_CHUNK_BYTES: Final = 16 * 1024
# NET-007: a black hole on the way is found out before the deadline of a flight, and there is time for one more try.
DEFAULT_CONNECT_SECONDS: Final = 3.0
# Beyond the deadline, so that the watch always speaks first.
_READ_MARGIN_SECONDS: Final = 1.0
_CONNECTED: Final = ("connection.connect_tcp.complete", "connection.start_tls.complete")


class FetchError(Exception):
    """A document could not be fetched.

    Args:
        cause: Why, in the fetcher's own words. It gets into messages and logs: neither address nor answer in it.
        worth_a_retry: Whether asking again at once may help.
    """

    def __init__(self, cause: str, *, retryable: bool = True) -> None:
        super().__init__(cause)
        self.retryable = retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """One document to be fetched with GET.

    Attributes:
        url: From configuration or a discovery document; never from a token.
        headers: What to send, complete.
        deadline_seconds: How long connecting, sending and reading may take together.
        max_body_bytes: How long the body may be.
    """

    url: str
    headers: Mapping[str, str]
    deadline_seconds: float
    max_body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResponse:
    """An answer of an issuer, good or bad.

    Attributes:
        status: The HTTP status.
        headers: A mapping or pairs; names in any case.
        body: The bytes as they came, not decoded.
    """

    status: int
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    body: bytes = b""


class Fetcher(Protocol):
    """Fetches one document. Called from worker threads, at most once at a time for each key source."""

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Fetch one document, blocking.

        Raises:
            FetchError: No answer within the limits; any other exception counts as one.
        """


class HttpxFetcher:
    """Fetches with httpx: TLS always verified, no redirects, no cookies, one client for the life of the verifier.

    Args:
        trust_env: Whether HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE of the environment are honoured; off by default,
            so that a stray variable cannot route the key requests of a service.
        ssl_context: A context with another CA bundle, for private issuers.
        transport: An httpx transport, for special networks; it must verify TLS itself.
        connect_seconds: How long connecting may take, within the deadline of a request.
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
        """Leave the parent its connections, and open new ones when they are needed."""
        self._client = None
        self._lock = Lock()

    def fetch(self, request: FetchRequest) -> FetchResponse:
        """Fetch one document within the deadline and the size of the request.

        Args:
            request: What to fetch.

        Returns:
            The answer, whatever its status; its body is at most `max_body_bytes` long and not decoded.

        Raises:
            FetchError: Connecting, TLS or reading failed, the deadline passed, or the body is too long.

        Source: NET-001 to NET-009; DV-10.
        """
        client = self._get_client()
        import httpx  # noqa: PLC0415 - heavy, so only where something is fetched; complete by then

        watch = _Watch()
        timer = Timer(request.deadline_seconds, watch.abort)
        timer.daemon = True
        timer.start()
        try:
            timeout = httpx.Timeout(
                request.deadline_seconds + _READ_MARGIN_SECONDS,
                connect=min(self._connect_seconds, request.deadline_seconds),
            )
            with client.stream(
                "GET", request.url, headers=dict(request.headers), timeout=timeout, extensions={"trace": watch.trace}
            ) as response:
                body = bytearray()
                for chunk in response.iter_raw(_CHUNK_BYTES):
                    body += chunk
                    if len(body) > request.max_body_bytes:
                        raise FetchError("the answer is too long", retryable=False)
            # An answer that was cut off at the deadline may look whole.
            if not watch.is_over:
                return FetchResponse(
                    status=response.status_code, headers=response.headers.multi_items(), body=bytes(body)
                )
            cause = "the deadline passed"
        except (httpx.ConnectError, httpx.ConnectTimeout):
            cause = "no connection to the issuer"
        except (httpx.HTTPError, httpx.InvalidURL):
            cause = "the deadline passed" if watch.is_over else "the exchange with the issuer failed"
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
            # All that a fetch needs is imported here, before it begins.
            import encodings.idna  # noqa: F401, PLC0415 - name look-ups import it
            from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415 - as httpx

            import httpx  # noqa: PLC0415 - heavy, so only where something is fetched

            if self._client is None:
                # Made once: building the TLS context takes 20 ms.
                self._client = httpx.Client(
                    verify=True if self._ssl_context is None else self._ssl_context,
                    trust_env=self._trust_env,
                    transport=self._transport,
                    follow_redirects=False,
                    # A connection for each exchange: the watch knows only those that were opened under its eyes, and
                    # fetches are minutes apart.
                    limits=httpx.Limits(max_keepalive_connections=0),
                    # NET-019: no cookie is kept or sent.
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                )
            return self._client


class _Watch:
    """Ends one exchange from outside: httpx's limits are per read, so a dripping answer never trips them (NET-005)."""

    def __init__(self) -> None:
        self.is_over = False
        self._streams: list[Any] = []
        self._lock = Lock()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of the connections of this exchange (httpx's extension `trace`)."""
        if event in _CONNECTED:
            with self._lock:
                self._streams.append(info["return_value"])
                late = self.is_over
            if late:
                self.abort()

    def abort(self) -> None:
        """Shut the connections down, so that whoever reads from them stops."""
        with self._lock:
            self.is_over = True
            streams = list(self._streams)
        for stream in streams:
            # Where the other side was faster, the connection is gone already.
            with suppress(OSError):
                stream.get_extra_info("socket").shutdown(SHUT_RDWR)
