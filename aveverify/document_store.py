"""`DocumentStore`: many workers share the documents of issuers, so that a fleet asks as seldom as one process does.

What is read from a store is parsed, bounded and aged like a response of the network. If documents are sealed with an
HMAC key, a writer of the store who does not know it can only make workers fetch for themselves, or restore an older
document while that is fresh, or while the issuer is down until the cap. Without a key, every writer of the store can
inject keys.
"""

from __future__ import annotations

import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from aveverify._core.jose.encoding import EncodingError
from aveverify._core.jose.strict_json import parse_json_object

# Raised when the form changes; a worker ignores what another version has written.
FORM_VERSION: Final = 2
# A body of 512 KiB (`CachePolicy.max_document_bytes`) is 683 KiB in base64; half as much again is for its headers.
# Stops a writer of the store from filling the memory of its readers. Longer documents are not shared.
MAX_SEALED_BYTES: Final = 1024 * 1024
# SHA-256 in hex.
_MAC_CHARACTERS: Final = 64
# If a secret also authenticates other things, no value of one kind must be valid as another kind.
_PURPOSE: Final = b"aveverify document\n"
_FINGERPRINT_PURPOSE: Final = b"aveverify names of documents\n"
_FINGERPRINT_CHARACTERS: Final = 32
_MEMBERS: Final = frozenset({"version", "fetched_at", "confirmed_at", "url", "headers", "body"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A good response of an issuer, as one worker fetched it.

    Attributes:
        url: Its URL.
        fetched_at: When the fetch started that transferred its body, by the wall clock, in seconds since the epoch.
        headers: Its headers, with names in lower case; only those that are read.
        body: Its body.
        confirmed_at: When a fetch started whose 304 confirmed the body; not above `fetched_at` if none did. A store
            that does not save it makes documents older, never younger.
    """

    url: str
    fetched_at: float
    headers: Mapping[str, str]
    body: bytes
    confirmed_at: float = 0.0

    @property
    def current_at(self) -> float:
        """When the issuer last confirmed that this is its document."""
        return max(self.fetched_at, self.confirmed_at)

    def has_come_after(self, other: StoredDocument | None) -> bool:
        """Tell whether this document may replace another one: for stores of your own, whose `put` compares with it.

        The package does not call it. `RedisDocumentStore` has the same comparison as a script of the server.

        Args:
            other: The document of the same URL in the store; None if there is none.

        Returns:
            Whether its body was fetched later, or the same body confirmed later. A 304, however late, never makes an
            older body replace a newer one.

        Source: NET-027; NET-029.
        """
        return other is None or (self.fetched_at, self.current_at) > (other.fetched_at, other.current_at)


class DocumentStore(Protocol):
    """Shares documents. Every method may raise anything, should return soon, and may be called from any thread.

    Workers that share a store must trust each other: two fleets with different secrets need separate names or stores.
    """

    def get(self, url: str) -> StoredDocument | None:
        """Return the last document that a worker stored for a URL.

        Args:
            url: The URL of the document.

        Returns:
            The document; None where there is none.
        """

    def put(self, document: StoredDocument, keep_seconds: float) -> None:
        """Store a document for all workers, in place of an older one and never of a newer one.

        A worker may be late: compare with `StoredDocument.has_come_after` and set in one step, as a transaction or a
        script of the server does.

        Args:
            document: The document.
            keep_seconds: How long it can be used; the store may delete it after that.
        """

    def lease(self, url: str, seconds: float) -> bool:
        """Try to become the one worker that fetches this URL.

        Args:
            url: The URL.
            seconds: How long the lease lasts; no worker gives it back.

        Returns:
            True for one worker, False for all others until the lease ends.
        """


def seal(document: StoredDocument, hmac_key: bytes | None) -> bytes:
    """Return a document as one line of ASCII, authenticated by an HMAC.

    Args:
        document: The document.
        hmac_key: A secret of all workers; None leaves it unauthenticated.

    Returns:
        HMAC-SHA-256 in hex (zeros without a key), then JSON.

    Source: RFC 2104.
    """
    members = {
        # In this order: a server that compares documents reads the beginning only.
        "version": FORM_VERSION,
        "fetched_at": document.fetched_at,
        "confirmed_at": document.confirmed_at,
        "url": document.url,
        "headers": dict(document.headers),
        "body": binascii.b2a_base64(document.body, newline=False).decode(),
    }
    content = json.dumps(members).encode()
    return _mac(content, hmac_key) + content


def unseal(data: bytes, url: str, hmac_key: bytes | None) -> StoredDocument | None:
    """Return the document of a sealed line; the bytes are untrusted until the HMAC is verified.

    Args:
        data: The bytes from the store.
        url: The requested URL; a document of another URL does not count.
        hmac_key: The secret with which it must be sealed.

    Returns:
        The document; None if the bytes are anything else.

    Source: NET-029; RFC 2104.
    """
    mac, content = data[:_MAC_CHARACTERS], data[_MAC_CHARACTERS:]
    # Verified before anything is parsed.
    if len(data) > MAX_SEALED_BYTES or not hmac.compare_digest(mac, _mac(content, hmac_key)):
        return None
    try:
        members = parse_json_object(content)
    except EncodingError:
        return None
    if frozenset(members) != _MEMBERS:
        return None
    version, its_url, fetched_at, confirmed_at, headers, body = (
        members[name] for name in ("version", "url", "fetched_at", "confirmed_at", "headers", "body")
    )
    # type(), not isinstance(): bool is an int.
    if (
        version != FORM_VERSION
        or its_url != url
        or type(fetched_at) not in (int, float)
        or type(confirmed_at) not in (int, float)
        or type(headers) is not dict
        or any(type(value) is not str for value in headers.values())
        or type(body) is not str
    ):
        return None
    try:
        decoded = binascii.a2b_base64(body, strict_mode=True)
    except ValueError:
        return None
    return StoredDocument(
        url=url, fetched_at=float(fetched_at), confirmed_at=float(confirmed_at), headers=headers, body=decoded
    )


def fingerprint(hmac_key: bytes | None) -> str:
    """Return a name for the workers that share a secret, without revealing it.

    Args:
        hmac_key: The secret; None for workers without one.

    Returns:
        Half of an HMAC in hex; zeros without a secret. Fleets with different secrets cannot read each other's
        documents, so they must not overwrite them or take each other's leases.

    Source: NET-029; RFC 2104.
    """
    return _authenticate(_FINGERPRINT_PURPOSE, hmac_key)[:_FINGERPRINT_CHARACTERS].decode()


def _mac(content: bytes, hmac_key: bytes | None) -> bytes:
    return _authenticate(_PURPOSE + content, hmac_key)


def _authenticate(words: bytes, hmac_key: bytes | None) -> bytes:
    if hmac_key is None:
        return b"0" * _MAC_CHARACTERS
    return hmac.digest(hmac_key, words, sha256).hex().encode()
