"""What workers share: how a document is sealed and unsealed, and the store in Redis, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads
from time import time

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from aveverify import ConfigurationError
from aveverify.document_store import (
    FORM_VERSION,
    MAX_SEALED_BYTES,
    DocumentStore,
    StoredDocument,
    _mac,
    fingerprint,
    seal,
    unseal,
)
from aveverify.errors import Problem
from aveverify.redis import RedisClient, RedisDocumentStore
from tests.hmac_keys import KEY, OTHER_KEY
from tests.jwks.test_fetcher import certificate_for_loopback
from tests.processes import free_port
from tests.servers.fleet.servers import RedisServer, dripping_server, run_redis, silent_server

URL = "https://issuer.test/.well-known/jwks.json"
DOCUMENT = StoredDocument(
    url=URL, fetched_at=1_700_000_000.25, headers={"etag": '"1"', "cache-control": "max-age=60"}, body=b'{"keys":[]}'
)
# Time enough for a busy machine, where the time is not what a test is about.
AGES = 30.0

keys = pytest.mark.parametrize("hmac_key", [None, KEY], ids=["open", "with a key"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)
documents = st.builds(
    StoredDocument,
    url=st.text(),
    fetched_at=st.floats(allow_nan=False, allow_infinity=False),
    headers=st.dictionaries(st.text(), st.text()),
    body=st.binary(),
    confirmed_at=st.floats(allow_nan=False, allow_infinity=False),
)


def write(members: object, hmac_key: bytes | None = None) -> bytes:
    """Seal any JSON as one who knows the key could."""
    content = json.dumps(members).encode()
    return _mac(content, hmac_key) + content


def members_of(document: StoredDocument) -> dict[str, object]:
    members: dict[str, object] = json.loads(seal(document, None)[64:])
    return members


# --- sealing ----------------------------------------------------------------------------------------------------------


@given(documents, st.none() | st.binary(min_size=32))
def test_what_was_sealed_is_unsealed(document: StoredDocument, hmac_key: bytes | None) -> None:
    assert unseal(seal(document, hmac_key), document.url, hmac_key) == document


@keys
def test_a_sealed_document_is_one_line_of_ascii(hmac_key: bytes | None) -> None:
    sealed = seal(replace(DOCUMENT, headers={"x-name": "Ünï\ncode"}, body=bytes(range(256))), hmac_key)
    assert sealed.decode("ascii").isprintable()


def test_one_changed_bit_is_refused() -> None:
    sealed = seal(DOCUMENT, KEY)
    for position in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[position] ^= 1 << bit
            assert unseal(bytes(changed), URL, KEY) is None


def test_a_shorter_or_longer_text_is_refused() -> None:
    sealed = seal(DOCUMENT, KEY)
    assert all(unseal(sealed[:length], URL, KEY) is None for length in range(len(sealed)))
    assert unseal(sealed + b" ", URL, KEY) is None
    assert unseal(b" " + sealed, URL, KEY) is None


@pytest.mark.parametrize(
    ("sealed_with", "unsealed_with"), [(OTHER_KEY, KEY), (None, KEY), (KEY, None)], ids=["other", "none", "unknown"]
)
def test_only_the_same_key_unseals(sealed_with: bytes | None, unsealed_with: bytes | None) -> None:
    assert unseal(seal(DOCUMENT, sealed_with), URL, unsealed_with) is None


def test_an_hmac_of_the_same_words_for_another_purpose_does_not_count() -> None:
    """A secret that authenticates something else, too, must not lend its authority to a document."""
    import hmac  # noqa: PLC0415 - as another program would

    content = seal(DOCUMENT, None)[64:]
    assert unseal(hmac.digest(KEY, content, "sha256").hex().encode() + content, URL, KEY) is None


@keys
def test_a_document_of_another_address_does_not_count(hmac_key: bytes | None) -> None:
    assert unseal(seal(DOCUMENT, hmac_key), f"{URL}?", hmac_key) is None


@keys
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"version": FORM_VERSION + 1}, id="another version"),
        pytest.param({"version": str(FORM_VERSION)}, id="a version in words"),
        pytest.param({"url": None}, id="no address"),
        pytest.param({"fetched_at": "1700000000"}, id="a time in words"),
        pytest.param({"fetched_at": True}, id="a time that is a truth value"),
        pytest.param({"fetched_at": None}, id="no time"),
        pytest.param({"fetched_at": float("nan")}, id="a time that is not a number"),
        pytest.param({"fetched_at": 10**400}, id="a time beyond all times"),
        pytest.param({"confirmed_at": None}, id="no confirmation"),
        pytest.param({"confirmed_at": True}, id="a confirmation that is a truth value"),
        pytest.param({"confirmed_at": "1700000000"}, id="a confirmation in words"),
        pytest.param({"headers": [["etag", "1"]]}, id="headers in a list"),
        pytest.param({"headers": {"etag": 1}}, id="a header that is a number"),
        pytest.param({"body": 1234}, id="a body that is a number"),
        pytest.param({"body": "e30"}, id="a body without padding"),
        pytest.param({"body": "e30=\n"}, id="a body with a line break"),
        pytest.param({"body": "é30="}, id="a body beyond ASCII"),
        pytest.param({"more": 1}, id="a member too many"),
        pytest.param({"headers": {"etag": "\ud800"}}, id="half a surrogate pair"),
    ],
)
def test_another_form_does_not_count_even_with_the_right_seal(
    changes: dict[str, object], hmac_key: bytes | None
) -> None:
    assert unseal(write(members_of(DOCUMENT), hmac_key), URL, hmac_key) == DOCUMENT
    assert unseal(write(members_of(DOCUMENT) | changes, hmac_key), URL, hmac_key) is None


@pytest.mark.parametrize("name", ["version", "url", "fetched_at", "confirmed_at", "headers", "body"])
def test_a_member_too_few_does_not_count(name: str) -> None:
    members = members_of(DOCUMENT)
    del members[name]
    assert unseal(write(members), URL, None) is None


@given(st.binary(), st.sampled_from([None, KEY]))
def test_garbage_is_never_an_error(data: bytes, hmac_key: bytes | None) -> None:
    assert unseal(data, URL, hmac_key) is None


@given(st.binary())
def test_garbage_behind_a_right_seal_is_never_an_error(content: bytes) -> None:
    assert unseal(_mac(content, KEY) + content, URL, KEY) is None


@given(json_values)
def test_any_json_behind_a_right_seal_is_never_an_error(value: object) -> None:
    assert unseal(write(value, KEY), URL, KEY) is None


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(members_of(DOCUMENT), json_values)))
def test_any_values_in_the_right_form_are_never_an_error(changes: dict[str, object]) -> None:
    found = unseal(write(members_of(DOCUMENT) | changes, KEY), URL, KEY)
    assert found is None or found.url == URL


def test_the_longest_document_of_an_issuer_can_be_shared() -> None:
    longest = replace(DOCUMENT, headers={"x-much": "a" * 100 * 1024}, body=b"x" * 512 * 1024)
    assert unseal(seal(longest, KEY), URL, KEY) == longest


def test_what_is_longer_than_any_document_is_not_even_authenticated() -> None:
    def sealed(body_bytes: int) -> bytes:
        return seal(replace(DOCUMENT, body=b"x" * body_bytes), KEY)

    # Three bytes of a body are four in base64.
    fitting = (MAX_SEALED_BYTES - len(sealed(0))) // 4 * 3
    assert unseal(sealed(fitting), URL, KEY) is not None
    assert len(sealed(fitting + 3)) > MAX_SEALED_BYTES
    assert unseal(sealed(fitting + 3), URL, KEY) is None


# --- the store, with a client that is no network ----------------------------------------------------------------------


class FakeClient:
    """What a server would keep, and for how many milliseconds."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.milliseconds: dict[str, int] = {}
        self.reads: list[tuple[int, int]] = []
        self.is_closed = False

    def getrange(self, key: str, start: int, end: int) -> object:
        self.reads.append((start, end))
        value = self.values.get(key, b"")
        return value[start : end + 1] if isinstance(value, bytes) else value

    def set(self, name: str, value: bytes, *, px: int, nx: bool = False) -> object:
        if nx and name in self.values:
            return None
        self.values[name] = value
        self.milliseconds[name] = px
        return True

    def eval(self, script: str, numkeys: int, *keys_and_args: str | bytes) -> object:
        """Put whatever comes: what the script compares is a matter of the real server."""
        name, value, milliseconds, _ = keys_and_args
        assert (bool(script), numkeys) == (True, 1)
        assert isinstance(name, str)
        assert isinstance(value, bytes)
        return self.set(name, value, px=int(milliseconds))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def store(client: FakeClient) -> RedisDocumentStore:
    return RedisDocumentStore(client, hmac_key=KEY, timeout_seconds=AGES)


def the_name(client: FakeClient) -> str:
    (name,) = client.values
    return name


def test_a_store_gives_back_what_was_put(store: RedisDocumentStore, client: FakeClient) -> None:
    generic: DocumentStore = store
    assert generic.get(URL) is None
    generic.put(DOCUMENT, 7200.5)
    assert generic.get(URL) == DOCUMENT
    assert generic.get("https://issuer.test/other") is None
    assert client.milliseconds[the_name(client)] == 7_200_500


def test_a_lease_is_for_one(store: RedisDocumentStore, client: FakeClient) -> None:
    assert store.lease(URL, 2.0)
    assert not store.lease(URL, 2.0)
    assert store.lease("https://issuer.test/other", 2.0)
    assert set(client.milliseconds.values()) == {2000}


def test_nothing_is_kept_for_no_time(store: RedisDocumentStore, client: FakeClient) -> None:
    store.put(DOCUMENT, 0)
    assert client.milliseconds[the_name(client)] == 1


def test_names_begin_with_the_prefix_and_show_no_address(client: FakeClient) -> None:
    store = RedisDocumentStore(client, prefix="team-a:", timeout_seconds=AGES)
    store.put(DOCUMENT, 60)
    store.lease(URL, 60)
    assert all(name.startswith("team-a:") and "issuer" not in name and name.isascii() for name in client.values)
    assert len(client.values) == 2


def test_the_server_is_asked_for_one_byte_more_than_is_read_and_never_for_all(
    store: RedisDocumentStore, client: FakeClient
) -> None:
    store.get(URL)
    assert client.reads == [(0, MAX_SEALED_BYTES)]


def test_a_document_that_is_too_long_to_be_read_is_not_written(store: RedisDocumentStore, client: FakeClient) -> None:
    store.put(replace(DOCUMENT, body=bytes(MAX_SEALED_BYTES)), 60)
    assert client.values == {}


def test_a_client_that_decodes_answers_does_too(store: RedisDocumentStore, client: FakeClient) -> None:
    store.put(DOCUMENT, 60)
    name = the_name(client)
    client.values[name] = seal(DOCUMENT, KEY).decode()
    assert store.get(URL) == DOCUMENT


@pytest.mark.parametrize("answer", [None, 1, [b"1"], bytearray(b"1")], ids=repr)
def test_an_answer_that_is_no_text_is_no_document(
    store: RedisDocumentStore, client: FakeClient, answer: object
) -> None:
    store.put(DOCUMENT, 60)
    client.values[the_name(client)] = answer
    assert store.get(URL) is None


@pytest.mark.parametrize("error", [redis.ConnectionError("dead"), ValueError("odd"), SystemExit(1)], ids=repr)
def test_what_the_client_raises_goes_up(
    store: RedisDocumentStore, client: FakeClient, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_arguments: object, **_options: object) -> object:
        raise error

    monkeypatch.setattr(client, "getrange", fail)
    monkeypatch.setattr(client, "set", fail)
    with pytest.raises(type(error)):
        store.get(URL)
    with pytest.raises(type(error)):
        store.put(DOCUMENT, 60)
    with pytest.raises(type(error)):
        store.lease(URL, 2)


class StuckClient(FakeClient):
    """A client whose calls do not come back before they are released."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.released = Event()

    def getrange(self, key: str, start: int, end: int) -> object:
        self.calls += 1
        self.released.wait()
        return super().getrange(key, start, end)


@pytest.fixture
def stuck() -> Iterator[StuckClient]:
    client = StuckClient()
    yield client
    client.released.set()


def test_a_call_that_does_not_come_back_is_given_up(stuck: StuckClient) -> None:
    store = RedisDocumentStore(stuck, timeout_seconds=0.01)
    with pytest.raises(TimeoutError):
        store.get(URL)
    # Others are not affected.
    assert store.lease(URL, 2)


def test_calls_that_do_not_come_back_do_not_pile_up(stuck: StuckClient) -> None:
    store = RedisDocumentStore(stuck, timeout_seconds=0.01)
    for _ in range(20):
        with pytest.raises(TimeoutError):
            store.get(URL)
    assert stuck.calls == 4


def test_after_calls_have_come_back_the_store_serves_again(stuck: StuckClient) -> None:
    store = RedisDocumentStore(stuck, timeout_seconds=0.01)
    for _ in range(4):
        with pytest.raises(TimeoutError):
            store.get(URL)
    stuck.released.set()
    for thread in enumerate_threads():
        if thread.name == "aveverify-store":
            thread.join()
    store._timeout_seconds = AGES
    assert store.get(URL) is None


def test_a_child_process_is_not_held_up_by_calls_of_its_parent(stuck: StuckClient) -> None:
    store = RedisDocumentStore(stuck, timeout_seconds=0.01)
    for _ in range(4):
        with pytest.raises(TimeoutError):
            store.get(URL)
    store.renew_after_fork()
    assert store.lease(URL, 2)


@pytest.mark.parametrize("hmac_key", [b"", bytes(31), bytearray(32), "x" * 32], ids=lambda key: type(key).__name__)
def test_a_weak_key_is_refused(client: FakeClient, hmac_key: bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisDocumentStore(client, hmac_key=hmac_key)
    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, "hmac_key")


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), True, "1"], ids=repr)
def test_a_time_limit_that_is_none_is_refused(client: FakeClient, seconds: float) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisDocumentStore(client, timeout_seconds=seconds)
    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, "timeout_seconds")


def test_a_store_shows_no_secret() -> None:
    store = RedisDocumentStore.from_url("redis://user:secret@127.0.0.1/0", hmac_key=KEY)
    assert repr(store) == "<RedisDocumentStore 'aveverify:'>"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        pytest.param("redis://127.0.0.1", {}, id="TCP"),
        # The default of redis-py 5 takes a certificate of any name.
        pytest.param("rediss://127.0.0.1", {"ssl_check_hostname": True}, id="TLS"),
        pytest.param(
            "rediss://127.0.0.1?ssl_cert_reqs=required&ssl_check_hostname=true", {"ssl_check_hostname": True}, id="said"
        ),
        pytest.param("unix:///run/redis.sock", {}, id="Unix socket"),
    ],
)
def test_a_client_of_the_stores_own_is_impatient_and_strict(url: str, options: dict[str, object]) -> None:
    client = RedisDocumentStore.from_url(url, timeout_seconds=0.125)._client
    assert isinstance(client, redis.Redis)
    found = client.get_connection_kwargs()
    assert options.items() <= found.items()
    assert (found["socket_timeout"], found["socket_connect_timeout"]) == (0.125, 0.125)
    assert found["retry"]._retries == 0


@pytest.mark.parametrize(
    "query",
    [
        "ssl_cert_reqs=none", "ssl_cert_reqs=optional", "ssl_cert_reqs=None", "ssl_cert_reqs=NONE", "ssl_cert_reqs=0",
        "ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs=", "ssl_cert_reqs=REQUIRED", "ssl_cert_reqs=required%20",
        "SSL_CERT_REQS=none", "Ssl_Cert_Reqs=required", "ssl%5Fcert%5Freqs=none", "ssl_cert_reqs=%6eone",
        "ssl_ca_certs=ca.pem&ssl_cert_reqs=none", "db=0&ssl_cert_reqs=none", "ssl_\ncert_reqs=none",
        "ssl_cert_reqs=none&ssl_cert_reqs=required",
        "ssl_check_hostname=false", "ssl_check_hostname=False", "ssl_check_hostname=no", "ssl_check_hostname=0",
        "ssl_check_hostname=", "ssl_check_hostname=f", "ssl_check_hostname", "ssl_check_hostname=yes",
        "ssl_exclude_verify_flags=VERIFY_X509_STRICT", "ssl_include_verify_flags=VERIFY_X509_PARTIAL_CHAIN",
        "ssl_ciphers=aNULL", "ssl_min_version=768", "ssl_validate_ocsp=false", "ssl_context=x", "ssl=false",
        "sslmode=disable", "ssl_whatever_comes_next=1",
    ],
)  # fmt: skip
def test_cfg_014_a_query_that_could_switch_checks_off_is_refused(query: str) -> None:
    for place in ("", "/0", ":6380/1"):
        with pytest.raises(ConfigurationError, match="ssl_ca_certs=FILE") as caught:
            RedisDocumentStore.from_url(f"rediss://:secret@127.0.0.1{place}?{query}")
        assert (caught.value.problem, caught.value.field) == (Problem.INSECURE_TLS, "url")
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "connection_class=x", "retry=x", "credential_provider=x", "host=other.test", "port=1", "path=/x", "DB=0",
        "unknown", "tls_verify=false", "verify=false", "socket_timeout=1&socket_timeout=2", "db=1&db=2", " db=1",
        "ssl_ca_certs=a.pem&ssl_ca_certs=b.pem", "ssl_cert_reqs=required&ssl_cert_reqs=required",
    ],
)  # fmt: skip
def test_cfg_014_a_query_that_sets_what_no_url_may_set_is_refused(query: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisDocumentStore.from_url(f"rediss://127.0.0.1?{query}")
    assert (caught.value.problem, caught.value.field) == (Problem.OUT_OF_RANGE, "url")


@pytest.mark.parametrize("url", ["redis://127.0.0.1", "unix:///run/redis.sock"])
@pytest.mark.parametrize("query", ["ssl_cert_reqs=required", "ssl_ca_certs=ca.pem", "ssl=true"])
def test_cfg_014_options_of_tls_without_tls_are_refused(url: str, query: str) -> None:
    """Whoever names a CA means TLS."""
    with pytest.raises(ConfigurationError) as caught:
        RedisDocumentStore.from_url(f"{url}?{query}")
    assert caught.value.problem is Problem.INSECURE_TLS


@pytest.mark.parametrize(
    "query",
    [
        "ssl_cert_reqs=required", "ssl_check_hostname=true", "ssl_check_hostname=True", "ssl_ca_certs=ca.pem",
        "ssl_ca_path=/etc/ca", "ssl_ca_data=x", "ssl_certfile=a.pem&ssl_keyfile=b.pem&ssl_password=c", "db=3",
        "socket_timeout=1&health_check_interval=30&max_connections=9&client_name=web&protocol=3", "",
    ],
)  # fmt: skip
def test_cfg_014_what_leaves_every_check_on_may_be_said(query: str) -> None:
    store = RedisDocumentStore.from_url(f"rediss://127.0.0.1?{query}")

    options = store._client.get_connection_kwargs()  # type: ignore[attr-defined]  # of redis-py
    assert options["ssl_check_hostname"] is True
    assert options.get("ssl_cert_reqs", "required") == "required"


def test_an_address_that_redis_py_cannot_read_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        RedisDocumentStore.from_url("http://127.0.0.1")


def test_close_closes_the_client(store: RedisDocumentStore, client: FakeClient) -> None:
    store.close()
    assert client.is_closed


# --- the store, with connections that fail ----------------------------------------------------------------------------


def test_a_dead_server_is_an_error() -> None:
    store = RedisDocumentStore.from_url(f"redis://127.0.0.1:{free_port()}", timeout_seconds=AGES)
    with pytest.raises(redis.ConnectionError):
        store.get(URL)


def test_a_server_that_says_nothing_is_an_error() -> None:
    with silent_server() as url:
        store = RedisDocumentStore.from_url(url, timeout_seconds=0.05)
        with pytest.raises((TimeoutError, redis.TimeoutError)):
            store.lease(URL, 2)


def test_a_server_that_drips_is_an_error() -> None:
    """Each of redis-py's reads is in time; the call is not."""
    with dripping_server() as url:
        store = RedisDocumentStore.from_url(url, timeout_seconds=0.1)
        with pytest.raises(TimeoutError):
            store.get(URL)


# --- the store, with a real server ------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with run_redis() as server:
        yield server


@pytest.fixture
def real(server: RedisServer) -> Iterator[RedisDocumentStore]:
    store = RedisDocumentStore.from_url(server.url, hmac_key=KEY, timeout_seconds=AGES)
    yield store
    store.close()


def names_of(server: RedisServer) -> dict[str, int]:
    """Return every name that the server knows, and for how many milliseconds more."""
    with server.client() as operator:
        return {name.decode(): int(operator.pttl(name)) for name in operator.scan_iter("*")}


def test_workers_share_what_one_of_them_put(real: RedisDocumentStore, server: RedisServer) -> None:
    other = RedisDocumentStore.from_url(server.url, hmac_key=KEY, timeout_seconds=AGES)
    assert other.get(URL) is None
    real.put(DOCUMENT, 7200)
    assert other.get(URL) == DOCUMENT
    newer = replace(DOCUMENT, fetched_at=DOCUMENT.fetched_at + 1, body=b"{}")
    other.put(newer, 7200)
    assert real.get(URL) == newer
    assert all(7_100_000 < rest <= 7_200_000 for rest in names_of(server).values())
    other.close()


def test_one_worker_gets_the_lease_until_it_is_over(real: RedisDocumentStore, server: RedisServer) -> None:
    other = RedisDocumentStore.from_url(server.url, hmac_key=KEY, timeout_seconds=AGES)
    assert real.lease(URL, 60)
    assert not other.lease(URL, 60)
    assert all(0 < rest <= 60_000 for rest in names_of(server).values())
    server.end_leases()
    assert other.lease(URL, 60)
    other.close()


# Prefix and HMAC key of another fleet.
OTHER_FLEETS: list[tuple[str, bytes | None]] = [("b:", KEY), ("aveverify:", OTHER_KEY), ("aveverify:", None)]


@pytest.mark.parametrize(("prefix", "hmac_key"), OTHER_FLEETS, ids=["another prefix", "another key", "no key"])
def test_net_029_fleets_neither_see_nor_overwrite_nor_hold_up_each_other(
    real: RedisDocumentStore, server: RedisServer, prefix: str, hmac_key: bytes | None
) -> None:
    other = RedisDocumentStore.from_url(server.url, prefix=prefix, hmac_key=hmac_key, timeout_seconds=AGES)
    real.put(DOCUMENT, 60)
    assert other.get(URL) is None
    theirs = replace(DOCUMENT, fetched_at=DOCUMENT.fetched_at + 1, body=b"theirs")
    other.put(theirs, 60)
    assert (real.get(URL), other.get(URL)) == (DOCUMENT, theirs)
    assert real.lease(URL, 60)
    assert other.lease(URL, 60)
    other.close()


def test_net_029_names_show_which_key_seals_and_not_the_key(client: FakeClient) -> None:
    names = []
    for hmac_key in (KEY, KEY, OTHER_KEY, None):
        RedisDocumentStore(client, hmac_key=hmac_key, timeout_seconds=AGES).put(DOCUMENT, 60)
        names.append(list(client.values)[-1])
    assert names[0] == names[1]
    assert len(set(names)) == 3
    # Neither the key, nor what seals a document, nor the bare hash of a key that may be guessed.
    assert not any(secret in name for name in names for secret in (KEY.hex(), sha256(KEY).hexdigest()[:16]))
    assert fingerprint(KEY) not in seal(DOCUMENT, KEY).decode()


CONFIRMED = replace(DOCUMENT, confirmed_at=DOCUMENT.fetched_at + 480)
# A 304 for the first body came after the second body, and is no reason to bring the first one back.
LATER = replace(DOCUMENT, fetched_at=DOCUMENT.fetched_at + 300, body=b"later")


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param(DOCUMENT, LATER, LATER, id="a later body"),
        pytest.param(LATER, DOCUMENT, LATER, id="an earlier body"),
        pytest.param(DOCUMENT, CONFIRMED, CONFIRMED, id="confirmed"),
        pytest.param(CONFIRMED, DOCUMENT, CONFIRMED, id="not yet confirmed"),
        pytest.param(LATER, CONFIRMED, LATER, id="confirmed after a later body"),
        pytest.param(CONFIRMED, LATER, LATER, id="a later body before the confirmation"),
        pytest.param(DOCUMENT, replace(DOCUMENT, body=b"other"), DOCUMENT, id="of the same moment"),
        pytest.param(replace(DOCUMENT, fetched_at=1e-7), DOCUMENT, DOCUMENT, id="a time with an exponent"),
        pytest.param(DOCUMENT, replace(DOCUMENT, fetched_at=-1.5), DOCUMENT, id="a negative time"),
    ],
)
@keys
def test_net_029_an_older_document_never_replaces_a_newer_one(
    server: RedisServer, first: StoredDocument, second: StoredDocument, kept: StoredDocument, hmac_key: bytes | None
) -> None:
    assert second.has_come_after(first) is (kept is second)
    store = RedisDocumentStore.from_url(server.url, hmac_key=hmac_key, timeout_seconds=AGES)
    store.put(first, 60)
    store.put(second, 60)
    assert store.get(URL) == kept
    store.close()


def test_net_029_of_many_that_put_at_once_the_newest_stays(real: RedisDocumentStore) -> None:
    documents = [replace(DOCUMENT, fetched_at=DOCUMENT.fetched_at + number) for number in range(64)]
    order = documents[1::2] + documents[::2]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda document: real.put(document, 60), order))
    assert real.get(URL) == documents[-1]


def test_net_029_what_claims_to_come_from_the_future_blocks_nothing(
    real: RedisDocumentStore, server: RedisServer
) -> None:
    """A worker whose clock is wrong, or a writer without the key: neither stops documents for ever."""
    name = real._name("document", URL)
    with server.client() as operator:
        for fetched_at in (time() + 3600, 1e300):
            operator.set(name, seal(replace(DOCUMENT, fetched_at=fetched_at), None))
            real.put(DOCUMENT, 60)
            assert real.get(URL) == DOCUMENT
            operator.delete(name)
        operator.rpush(name, "a list")
        real.put(DOCUMENT, 60)
    assert real.get(URL) == DOCUMENT


@pytest.mark.parametrize(("first", "second"), [(7200, 60), (60, 7200)], ids=["longer first", "shorter first"])
def test_net_029_a_fleet_with_a_shorter_policy_shortens_no_document_of_another(
    real: RedisDocumentStore, server: RedisServer, first: float, second: float
) -> None:
    real.put(DOCUMENT, first)
    real.put(LATER, second)
    (rest,) = names_of(server).values()
    assert 7_100_000 < rest <= 7_200_000


def test_whatever_stands_under_the_name_is_a_document_or_nothing(real: RedisDocumentStore, server: RedisServer) -> None:
    name = real._name("document", URL)
    with server.client() as operator:
        for garbage in (b"", b"garbage", bytes(64), b"0" * 64 + b"{}", b"\xff" * 100, b"x" * 20_000_000):
            operator.set(name, garbage)
            assert real.get(URL) is None
        operator.delete(name)
        operator.rpush(name, "a list")
        with pytest.raises(redis.ResponseError):
            real.get(URL)


def test_a_client_of_ones_own_will_do_whatever_it_makes_of_bytes(server: RedisServer) -> None:
    for decode_responses in (False, True):
        with redis.Redis(port=server.port, decode_responses=decode_responses) as own:
            client: RedisClient = own
            store = RedisDocumentStore(client, hmac_key=KEY, timeout_seconds=AGES)
            store.put(DOCUMENT, 60)
            assert store.get(URL) == DOCUMENT


def test_a_unix_socket_will_do(server: RedisServer) -> None:
    store = RedisDocumentStore.from_url(f"unix://{server.unix_socket}", timeout_seconds=AGES)
    store.put(DOCUMENT, 60)
    assert store.get(URL) == DOCUMENT
    store.close()


def test_a_user_needs_no_more_rights_than_the_documentation_says(server: RedisServer) -> None:
    (rule,) = [line for line in (RedisDocumentStore.__doc__ or "").split("`") if line.startswith("ACL ")]
    with server.client() as operator:
        operator.execute_command(*rule.split())
        operator.execute_command("ACL SETUSER default off")
    url = f"redis://aveverify:PASSWORD@127.0.0.1:{server.port}"
    store = RedisDocumentStore.from_url(url, timeout_seconds=AGES)
    assert store.lease(URL, 60)
    store.put(DOCUMENT, 60)
    assert store.get(URL) == DOCUMENT
    store.close()
    elsewhere = RedisDocumentStore.from_url(url, prefix="sessions:", timeout_seconds=AGES)
    with pytest.raises(redis.exceptions.NoPermissionError):
        elsewhere.get(URL)
    elsewhere.close()


def test_certificate_and_name_of_the_server_are_checked(tmp_path: Path) -> None:
    certificate_for_loopback(tmp_path)
    certificate = tmp_path / "server.pem"
    trusting = f"?ssl_ca_certs={certificate}"
    with run_redis(certificate) as server:
        store = RedisDocumentStore.from_url(server.url + trusting, timeout_seconds=AGES)
        store.put(DOCUMENT, 60)
        assert store.get(URL) == DOCUMENT
        store.close()
        for url in (server.url, f"rediss://localhost:{server.port}{trusting}"):
            store = RedisDocumentStore.from_url(url, timeout_seconds=AGES)
            with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
                store.get(URL)
            store.close()


def test_a_server_that_comes_back_is_used_again(real: RedisDocumentStore, server: RedisServer) -> None:
    real.put(DOCUMENT, 60)
    server.stop()
    with pytest.raises(redis.ConnectionError):
        real.get(URL)
    server.start()
    assert real.get(URL) is None
    real.put(DOCUMENT, 60)
    assert real.get(URL) == DOCUMENT


def test_threads_share_a_store(real: RedisDocumentStore) -> None:
    documents = [replace(DOCUMENT, url=f"{URL}?{number}", body=b"%d" % number) for number in range(16)]

    def use(document: StoredDocument) -> bool:
        for _ in range(10):
            real.put(document, 60)
            if real.get(document.url) != document:
                return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(use, documents))
        assert sum(pool.map(lambda _: real.lease(URL, 60), range(16))) == 1


def test_parent_and_child_of_a_fork_share_a_store(server: RedisServer) -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "tests.servers.fleet.forker", server.url],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (completed.stdout.split(), completed.returncode) == (["True", "0"], 0), completed.stderr
