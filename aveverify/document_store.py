"""A place where many workers share the documents of issuers, so that a fleet asks as seldom as one process does.

What is read from a store is parsed, bounded and aged like any answer of the network. Where documents are sealed with
an HMAC key, whoever may write to the store but does not know it can only make workers fetch for themselves, or bring
back an older document until that is no longer fresh, or while the issuer is down until the cap. Without a key, whoever
may write to the store can inject keys.
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

# Raised when the form changes; a worker passes over what another version has written.
FORM_VERSION: Final = 2
# A body of 512 KiB (`CachePolicy.max_document_bytes`) is 683 KiB in base64; half as much again is for its headers.
# Stops a writer of the store from filling the memory of its readers. Documents beyond it are not shared.
MAX_SEALED_BYTES: Final = 1024 * 1024
# SHA-256 in hex.
_MAC_CHARACTERS: Final = 64
# A secret that also authenticates other things must not do so in the same words.
_PURPOSE: Final = b"aveverify document\n"
_FINGERPRINT_PURPOSE: Final = b"aveverify names of documents\n"
_FINGERPRINT_CHARACTERS: Final = 32
_MEMBERS: Final = frozenset({"version", "fetched_at", "confirmed_at", "url", "headers", "body"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A good answer of an issuer, as one worker fetched it.

    Attributes:
        url: Where it was fetched.
        fetched_at: When the fetch began that brought its body in full, by the wall clock, in seconds since the epoch.
        headers: Its headers, with names in lower case; only those that are read.
        body: Its body.
        confirmed_at: When a fetch began whose 304 confirmed the body; not above `fetched_at` where none has. A store
            that does not keep it makes documents older, never younger.
    """

    url: str
    fetched_at: float
    headers: Mapping[str, str]
    body: bytes
    confirmed_at: float = 0.0

    @property
    def current_at(self) -> float:
        """When the issuer last said that this is its document."""
        return max(self.fetched_at, self.confirmed_at)

    def has_come_after(self, other: StoredDocument | None) -> bool:
        """Tell whether this document may take the place of another one.

        Args:
            other: What the store has for the same address; None where it has nothing.

        Returns:
            Whether its body was fetched later, or the same body confirmed later. A 304, however late, puts no body in
            the place of one that was fetched after it.

        Source: NET-027; NET-029.
        """
        return other is None or (self.fetched_at, self.current_at) > (other.fetched_at, other.current_at)


class DocumentStore(Protocol):
    """Shared documents. Every method may raise anything, should come back soon, and may be called from any thread.

    Workers that share a store must trust each other: two fleets with different secrets need names, or stores, of their
    own.
    """

    def get(self, url: str) -> StoredDocument | None:
        """Return the last document that a worker put for this address, or None."""

    def put(self, document: StoredDocument, keep_seconds: float) -> None:
        """Keep a document for all workers, in the place of an older one and never of a newer one.

        A worker may be late: compare with `StoredDocument.has_come_after` and set in one step, as a transaction or a
        script of the server does.

        Args:
            document: The document.
            keep_seconds: For how long it can be used.
        """

    def lease(self, url: str, seconds: float) -> bool:
        """Try to become the one worker that fetches this address.

        Args:
            url: The address.
            seconds: For how long; nobody gives a lease back.

        Returns:
            True for one worker, False for all others until the lease is over.
        """


def seal(document: StoredDocument, hmac_key: bytes | None) -> bytes:
    """Write a document as one line of ASCII.

    Args:
        document: The document.
        hmac_key: A secret of all workers; None leaves the line open to every writer of the store.

    Returns:
        HMAC-SHA-256 in hex (zeros without a key), then JSON.

    Source: RFC 2104.
    """
    members = {
        # In this order: a server that compares documents reads no further.
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
    """Read a document from bytes that anybody may have written.

    Args:
        data: What the store holds.
        url: The address that was asked for; a document of another one does not count.
        hmac_key: The secret with which it must have been sealed.

    Returns:
        The document, or None where the bytes are anything else than one of ours.
    """
    mac, content = data[:_MAC_CHARACTERS], data[_MAC_CHARACTERS:]
    # Checked before anything is parsed.
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
    """Name the workers that share a secret, without showing it.

    Args:
        hmac_key: The secret.

    Returns:
        Half of an HMAC in hex; another text of that kind for all that have none. Fleets with different secrets cannot
        read each other's documents, and so must not overwrite them or hold each other's leases.

    Source: NET-029; RFC 2104.
    """
    return _authenticate(_FINGERPRINT_PURPOSE, hmac_key)[:_FINGERPRINT_CHARACTERS].decode()


def _mac(content: bytes, hmac_key: bytes | None) -> bytes:
    return _authenticate(_PURPOSE + content, hmac_key)


def _authenticate(words: bytes, hmac_key: bytes | None) -> bytes:
    if hmac_key is None:
        return b"0" * _MAC_CHARACTERS
    return hmac.digest(hmac_key, words, sha256).hex().encode()
