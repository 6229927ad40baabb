"""The document store in Redis or Valkey: three commands, GETRANGE, SET and EVAL, of a synchronous redis-py client.

It knows nothing of keys or tokens. `aveverify.document_store` seals what it writes, and checks what it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from hashlib import sha256
from math import isfinite
from threading import Thread
from time import time
from typing import Any, Final, Protocol, Self, TypeVar

from aveverify._core.secret_key import check_secret_key
from aveverify._fork import renew_after_fork
from aveverify.document_store import FORM_VERSION, MAX_SEALED_BYTES, StoredDocument, fingerprint, seal, unseal
from aveverify.errors import ConfigurationError, Problem
from aveverify.redis._url import check_query

T = TypeVar("T")

DEFAULT_PREFIX: Final = "aveverify:"
# A command takes a millisecond, and a new connection with TLS ten; both take longer while many workers start together.
# After it a worker asks the issuer itself, with 4.75 of its 5 seconds left.
DEFAULT_TIMEOUT_SECONDS: Final = 0.25
# The clocks of workers differ. A document that claims to be from further in the future blocks no other one.
_MAX_CLOCK_SKEW_SECONDS: Final = 60.0
# NET-029: `StoredDocument.has_come_after`, run by the server, so that no other write comes between them.
# The instants stand at the beginning of the JSON, which follows an HMAC of 64 characters; anything else is replaced. A
# fleet whose policy keeps documents for a shorter time shortens no other one's.
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
# Calls that timed out and have not returned; each of them keeps a thread.
_MAX_OVERDUE: Final = 4


class RedisClient(Protocol):
    """The methods that a client needs; `redis.Redis`, `redis.RedisCluster` and `valkey.Valkey` have them."""

    def getrange(self, key: str, start: int, end: int, /) -> object:
        """Return a part of a value.

        Args:
            key: The name of the entry.
            start: The first byte.
            end: The last byte, which is included.

        Returns:
            The bytes; empty if there is no such entry.
        """

    def set(self, name: str, value: bytes, /, *, px: int, nx: bool = False) -> object:
        """Set a value that expires.

        Args:
            name: The name of the entry.
            value: Its value.
            px: When it expires, in milliseconds from now, at least 1.
            nx: Whether to set it only if there is none.

        Returns:
            A false value if `nx` kept it from being set.
        """

    def eval(self, script: str, numkeys: int, /, *keys_and_args: str | bytes) -> object:
        """Run a Lua script in the server.

        Args:
            script: The script.
            numkeys: How many of the arguments are names of entries.
            keys_and_args: The names, then the other arguments.

        Returns:
            What the script returns.
        """

    def close(self) -> object:
        """Close the connections.

        Returns:
            Anything; it is ignored.
        """


class RedisDocumentStore:
    """Shares documents between all workers with the same server, prefix and HMAC key.

    Workers with another HMAC key, or without one, neither see nor overwrite them, and have leases of their own: the
    names of entries contain a fingerprint of the key. An older document never replaces a newer one.

    Every writer of the server is trusted: without an HMAC key it can inject keys, and with them sign as any user. With
    an HMAC key, which only the workers know, it can withhold documents, delay each fetch by some seconds, and restore
    an older document for as long as that is fresh, or while the issuer is down until the cap. Readers learn nothing: an
    issuer publishes these documents.

    So give the store an `hmac_key`, a server that only the workers can reach, `rediss://`, which always checks
    certificate and name, and a user of its own that needs nothing but
    `ACL SETUSER aveverify on >PASSWORD ~aveverify:* resetchannels -@all +getrange +set +eval +pttl`.

    Every call raises what the client raises, and `TimeoutError` if the server does not answer in time. After any
    exception a verifier asks the issuer itself.

    Safe to share between threads and verifiers, and usable on both sides of a fork.

    Args:
        client: A synchronous client of redis-py or valkey-py.
        prefix: The beginning of the name of each entry, `aveverify:` by default.
        hmac_key: At least 32 random bytes, the same for all workers; None trusts every writer of the server.
        timeout_seconds: How long one call may take altogether; above zero, 0.25 by default.

    Example:
        ```python
        store = RedisDocumentStore.from_url("rediss://user:password@redis.internal", hmac_key=hmac_key)
        verifier = Verifier(provider, document_store=store)
        ```

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
            check_secret_key("hmac_key", hmac_key)
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
                names a private CA. No query can switch the checks of the certificate off: to do without them, make the
                client yourself.
            prefix: As for `RedisDocumentStore`.
            hmac_key: As for `RedisDocumentStore`.
            timeout_seconds: As for `RedisDocumentStore`.

        Returns:
            The store.

        Raises:
            ConfigurationError: As of `RedisDocumentStore`; or the query of the URL switches checks off, or sets an
                option that no URL may set (CFG-014).
            ImportError: redis-py is not installed; `pip install aveverify[redis]` installs it.
            ValueError: redis-py cannot read the URL.
        """
        check_query(url)
        from aveverify.redis._client import make_client  # noqa: PLC0415 - redis-py is costly, and optional

        client = make_client(url, timeout_seconds)
        return cls(client, prefix=prefix, hmac_key=hmac_key, timeout_seconds=timeout_seconds)

    def get(self, url: str) -> StoredDocument | None:
        """Return the last document that a worker stored for this URL.

        Args:
            url: The URL.

        Returns:
            The document; None if there is none, or none that is sealed with the same key.
        """
        name = self._name("document", url)
        # GETRANGE, not GET: the server itself cuts off what is too long.
        data = self._call(lambda: self._client.getrange(name, 0, MAX_SEALED_BYTES))
        if isinstance(data, str):
            # A client with `decode_responses`.
            data = data.encode()
        return unseal(data, url, self._hmac_key) if isinstance(data, bytes) else None

    def put(self, document: StoredDocument, keep_seconds: float) -> None:
        """Store a document for all workers, in place of an older one; one that is too long to be read is not written.

        Args:
            document: The document.
            keep_seconds: How long to store it.
        """
        data = seal(document, self._hmac_key)
        if len(data) <= MAX_SEALED_BYTES:
            name, milliseconds = self._name("document", document.url), str(_milliseconds(keep_seconds))
            latest = repr(time() + _MAX_CLOCK_SKEW_SECONDS)
            self._call(lambda: self._client.eval(_PUT_IF_NEWER, 1, name, data, milliseconds, latest))

    def lease(self, url: str, seconds: float) -> bool:
        """Try to become the one worker that fetches this URL.

        Args:
            url: The URL.
            seconds: How long the lease lasts.

        Returns:
            True for one worker, False for all others until the lease ends.
        """
        name, milliseconds = self._name("lease", url), _milliseconds(seconds)
        return bool(self._call(lambda: self._client.set(name, b"1", px=milliseconds, nx=True)))

    def close(self) -> None:
        """Close the client's connections. A later call opens new ones."""
        self._client.close()

    def renew_after_fork(self) -> None:
        """Forget the overdue threads of the parent process. redis-py itself opens new connections."""
        self._overdue = set()

    def __repr__(self) -> str:
        """Show neither the server nor a secret."""
        return f"<RedisDocumentStore {self._prefix!a}>"

    def _name(self, kind: str, url: str) -> str:
        # The version of the form is in the name, so that releases with different forms do not overwrite each other.
        return f"{self._prefix}{kind}:{FORM_VERSION}:{self._fingerprint}:{sha256(url.encode()).hexdigest()}"

    def _call(self, command: Callable[[], T]) -> T:
        """Run a command on a thread of its own: a client limits each read, and no name look-up."""
        if len(self._overdue) >= _MAX_OVERDUE:
            message = "earlier calls of the document store have not come back"
            raise TimeoutError(message)
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(command())
            except BaseException as error:  # noqa: BLE001 - raised again by `future.result`
                future.set_exception(error)

        Thread(target=run, name="aveverify-store", daemon=True).start()
        try:
            return future.result(self._timeout_seconds)
        except TimeoutError:
            overdue = self._overdue
            overdue.add(future)
            # Called at once if the thread has returned meanwhile.
            future.add_done_callback(overdue.discard)
            raise


def _milliseconds(seconds: float) -> int:
    # Redis refuses a lifetime of zero.
    return max(1, int(seconds * 1000))
