"""`RedisDocumentStore`: workers share the documents of issuers through Redis or Valkey (extra `redis`).

Speaks three commands, GETRANGE, SET and EVAL, through any client of redis-py's synchronous kind. Knows nothing of keys
or tokens; what it holds was sealed, and is unsealed, by `aveverify.document_store`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from hashlib import sha256
from math import isfinite
from threading import Thread
from time import time
from typing import Any, Final, Protocol, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from aveverify._core.secret_key import check_secret_key
from aveverify._fork import renew_after_fork
from aveverify.document_store import FORM_VERSION, MAX_SEALED_BYTES, StoredDocument, fingerprint, seal, unseal
from aveverify.errors import ConfigurationError, Problem, quote

__all__ = ["RedisClient", "RedisDocumentStore"]

T = TypeVar("T")

# CFG-014: all that the query of a URL may set. Whatever else redis-py reads there, today or tomorrow, is refused.
_OPTIONS: Final = frozenset(
    {
        "client_name", "db", "health_check_interval", "max_connections", "password", "protocol",
        "socket_connect_timeout", "socket_keepalive", "socket_read_size", "socket_timeout", "username",
    }
)  # fmt: skip
_TLS_OPTIONS: Final = frozenset(
    {"ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"}
)
# They may be said, but not otherwise than they are.
_STRICT: Final = frozenset(
    {("ssl_cert_reqs", "required"), ("ssl_check_hostname", "true"), ("ssl_check_hostname", "True")}
)

DEFAULT_PREFIX: Final = "aveverify:"
# A command takes a millisecond, and a new connection with TLS ten; workers that start together take longer over both.
# At its end a worker asks the issuer itself, with 4.75 of its 5 seconds left.
DEFAULT_TIMEOUT_SECONDS: Final = 0.25
# Clocks of workers differ; what claims to come from further in the future blocks no document.
_MAX_CLOCK_SKEW_SECONDS: Final = 60.0
# NET-029: `StoredDocument.has_come_after`, in the server, so that nothing comes between the comparison and the write.
# The instants stand at the beginning of the JSON, which follows an HMAC of 64 characters; anything else is replaced. A
# fleet whose policy keeps documents for a shorter time takes none away from another one.
_PUT_IF_NEWER: Final = """
local function instants(sealed)
  local fetched, confirmed = string.match(
    sealed, '^{"version": %d+, "fetched_at": ([%d.e+-]+), "confirmed_at": ([%d.e+-]+),', 65)
  fetched, confirmed = tonumber(fetched), tonumber(confirmed)
  if fetched and confirmed then return fetched, math.max(fetched, confirmed) end
end
local milliseconds = tonumber(ARGV[2])
local kept = redis.pcall('GETRANGE', KEYS[1], 0, 255)
if type(kept) == 'string' then
  local fetched, current = instants(kept)
  if fetched and current <= tonumber(ARGV[3]) then
    local new_fetched, new_current = instants(ARGV[1])
    if fetched > new_fetched or (fetched == new_fetched and current >= new_current) then return 0 end
    milliseconds = math.max(milliseconds, redis.call('PTTL', KEYS[1]))
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', milliseconds))
return 1
"""
# Calls that were given up and have not come back; each of them holds a thread.
_MAX_OVERDUE: Final = 4


class RedisClient(Protocol):
    """What is asked of a client: `redis.Redis`, `redis.RedisCluster` and `valkey.Valkey` have it."""

    def getrange(self, key: str, start: int, end: int, /) -> object:
        """Return a part of a value, empty where there is none."""

    def set(self, name: str, value: bytes, /, *, px: int, nx: bool = False) -> object:
        """Set a value for so many milliseconds; with `nx`, only where there is none."""

    def eval(self, script: str, numkeys: int, /, *keys_and_args: str | bytes) -> object:
        """Run a script of the server."""

    def close(self) -> object:
        """Close the connections."""


class RedisDocumentStore:
    """Documents that all workers with the same server, prefix and HMAC key share.

    Workers with another HMAC key, or with none, neither see nor overwrite them, and hold leases of their own: the names
    of entries carry a fingerprint of the key. A newer document is never replaced by an older one.

    Whoever may write to the server is trusted: without an HMAC key it can inject keys, and with them sign as any user.
    With an HMAC key, which only the workers know, it can withhold documents, delay each fetch by some seconds, and put
    back an older document for as long as that is fresh, or while the issuer is down until the cap. Readers learn
    nothing: an issuer publishes these documents.

    So give the store an `hmac_key`, a server that only the workers can reach, `rediss://`, which always checks
    certificate and name, and a user of its own, who needs nothing but
    `ACL SETUSER aveverify on >PASSWORD ~aveverify:* resetchannels -@all +getrange +set +eval +pttl`.

    Every call raises what the client raises, and `TimeoutError` where the server does not answer in time. A verifier
    takes any exception for "no store" and asks the issuer itself.

    Safe to share between threads and verifiers, and usable on both sides of a fork.

    Args:
        client: A synchronous client of redis-py or valkey-py.
        prefix: What the name of each entry begins with, `aveverify:` by default.
        hmac_key: At least 32 random bytes, the same for all workers; None trusts whoever may write to the server.
        timeout_seconds: How long one call may take, altogether.

    Raises:
        ConfigurationError: `hmac_key` is too short or can be guessed, or `timeout_seconds` is no positive number.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        prefix: str = DEFAULT_PREFIX,
        hmac_key: bytes | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        if hmac_key is not None:
            check_secret_key(hmac_key, "hmac_key")
        # type(), not isinstance(): bool is an int.
        if type(timeout_seconds) not in (int, float) or not isfinite(timeout_seconds) or timeout_seconds <= 0:
            raise ConfigurationError(Problem.OUT_OF_RANGE, "timeout_seconds", "above zero")
        self._client = client
        self._prefix = prefix
        self._hmac_key = hmac_key
        self._fingerprint = fingerprint(hmac_key)
        self._timeout_seconds = timeout_seconds
        self._overdue: set[Future[Any]] = set()
        renew_after_fork(self)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        prefix: str = DEFAULT_PREFIX,
        hmac_key: bytes | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Self:
        """Make a store with a client of its own, which opens its first connection at the first call.

        Args:
            url: `redis://`, `rediss://` or `unix://`, as redis-py reads it; a query such as `?ssl_ca_certs=ca.pem`
                names a private CA. None can switch checks of the certificate off: a client that shall do without
                them has to be made by hand.
            prefix: As for the constructor.
            hmac_key: As for the constructor.
            timeout_seconds: As for the constructor.

        Returns:
            The store.

        Raises:
            ConfigurationError: As from the constructor; or the query of the URL switches checks off, or sets what no
                URL may set (CFG-014).
            ImportError: redis-py is not installed; `pip install aveverify[redis]` does it.
            ValueError: redis-py cannot read the URL.
        """
        _check_query(url)
        import encodings.idna  # noqa: F401, PLC0415 - name look-ups import it, and a fork may come in the middle

        from redis import Redis  # noqa: PLC0415 - heavy, and not needed with a client of another package
        from redis.backoff import NoBackoff  # noqa: PLC0415 - as above
        from redis.retry import Retry  # noqa: PLC0415 - as above

        options: dict[str, Any] = {}
        if url.startswith("rediss:"):
            # Before its version 6 redis-py took a certificate of any name.
            options["ssl_check_hostname"] = True
        client = Redis.from_url(
            url,
            # Per read; they end the threads of calls that were given up.
            socket_connect_timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            # A second attempt is the issuer's: asking it helps more than asking a dead server again.
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        return cls(client, prefix=prefix, hmac_key=hmac_key, timeout_seconds=timeout_seconds)

    def get(self, url: str) -> StoredDocument | None:
        """Return the last document that a worker put for this address.

        Args:
            url: The address.

        Returns:
            The document, or None where there is none, or none that was sealed with our key.
        """
        name = self._name("document", url)
        # GETRANGE, not GET: the server itself keeps back what is too long.
        data = self._call(lambda: self._client.getrange(name, 0, MAX_SEALED_BYTES))
        if isinstance(data, str):
            # A client with `decode_responses`.
            data = data.encode()
        return unseal(data, url, self._hmac_key) if isinstance(data, bytes) else None

    def put(self, document: StoredDocument, keep_seconds: float) -> None:
        """Keep a document for all workers, in the place of an older one; one too long to be read is not written.

        Args:
            document: The document.
            keep_seconds: For how long.
        """
        data = seal(document, self._hmac_key)
        if len(data) <= MAX_SEALED_BYTES:
            name, milliseconds = self._name("document", document.url), str(_milliseconds(keep_seconds))
            latest = repr(time() + _MAX_CLOCK_SKEW_SECONDS)
            self._call(lambda: self._client.eval(_PUT_IF_NEWER, 1, name, data, milliseconds, latest))

    def lease(self, url: str, seconds: float) -> bool:
        """Try to become the one worker that fetches this address.

        Args:
            url: The address.
            seconds: For how long.

        Returns:
            True for one worker, False for all others until the lease is over.
        """
        name, milliseconds = self._name("lease", url), _milliseconds(seconds)
        return bool(self._call(lambda: self._client.set(name, b"1", px=milliseconds, nx=True)))

    def close(self) -> None:
        """Close the client's connections. A later call opens new ones."""
        self._client.close()

    def renew_after_fork(self) -> None:
        """Forget the threads that are overdue in the parent. redis-py itself opens new connections."""
        self._overdue = set()

    def __repr__(self) -> str:
        """Show neither address nor secret."""
        return f"<RedisDocumentStore {self._prefix!a}>"

    def _name(self, kind: str, url: str) -> str:
        # The form's version is in the name, so that releases with different forms do not overwrite each other.
        return f"{self._prefix}{kind}:{FORM_VERSION}:{self._fingerprint}:{sha256(url.encode()).hexdigest()}"

    def _call(self, command: Callable[[], T]) -> T:
        """Run a command on a thread of its own: a client's limits are per read, and a name look-up has none."""
        if len(self._overdue) >= _MAX_OVERDUE:
            message = "earlier calls of the document store have not come back"
            raise TimeoutError(message)
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(command())
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                future.set_exception(error)

        Thread(target=run, name="aveverify-store", daemon=True).start()
        try:
            return future.result(self._timeout_seconds)
        except TimeoutError:
            overdue = self._overdue
            overdue.add(future)
            # At once, where the thread has come back meanwhile.
            future.add_done_callback(overdue.discard)
            raise


def _check_query(url: str) -> None:
    # As redis-py takes it apart. Of an option that is there twice it takes the first.
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    names = [name for name, _ in options]
    for name, value in options:
        is_tls = name.lower().startswith("ssl")
        if is_tls and (parts.scheme != "rediss" or not (name in _TLS_OPTIONS or (name, value) in _STRICT)):
            raise ConfigurationError(Problem.INSECURE_TLS, "url", f"its query sets {quote(name)}")
        if not is_tls and name not in _OPTIONS:
            raise ConfigurationError(Problem.OUT_OF_RANGE, "url", f"its query must not set {quote(name)}")
        if names.count(name) > 1:
            raise ConfigurationError(Problem.OUT_OF_RANGE, "url", f"its query sets {quote(name)} twice")


def _milliseconds(seconds: float) -> int:
    # Redis refuses to keep anything for no time.
    return max(1, int(seconds * 1000))
