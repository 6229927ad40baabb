"""A real Redis server on a free port of this machine, and three that only seem to be one."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import redis

from aveverify.redis._document_store import DEFAULT_PREFIX
from tests.missing import skip_missing
from tests.processes import free_port

_READY = b"Ready to accept connections"
# Another program may take the free port before the server does.
_ATTEMPTS = 5


class RedisServer:
    """One server process, without a disk, seen by this machine alone.

    Args:
        folder: Where it runs and has its Unix socket.
        certificate: A file with certificate and key; with it, it speaks TLS only.
    """

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        program = shutil.which("redis-server")
        if program is None:
            skip_missing("redis")
        self.unix_socket = folder / "redis.sock"
        self.port = 0
        self._program = program
        self._folder = folder
        self._certificate = certificate
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'redis' if self._certificate is None else 'rediss'}://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def client(self) -> redis.Redis:
        """Connect as the operator, who may do everything and waits as long as it takes."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=None)

    def start(self) -> None:
        """Start on a free port, or again on the last one; back when it accepts connections."""
        for _ in range(_ATTEMPTS):
            port = self.port or free_port()
            if self._start_on(port):
                self.port = port
                return
            self.stop()
        message = "redis-server does not start"
        raise AssertionError(message)

    def _start_on(self, port: int) -> bool:
        options = {"bind": "127.0.0.1", "save": "", "appendonly": "no", "daemonize": "no", "dir": str(self._folder)}
        options |= {"port": str(port), "unixsocket": str(self.unix_socket)}
        if self._certificate is not None:
            pem = str(self._certificate)
            options |= {"port": "0", "tls-port": str(port), "tls-cert-file": pem, "tls-key-file": pem}
            options |= {"tls-auth-clients": "no"}
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [self._program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self._process.stdout is not None
        return any(_READY in line for line in self._process.stdout)

    def stop(self) -> None:
        """Kill the process, as an outage does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def end_leases(self) -> None:
        """Let the time of every lease be over."""
        with self.client() as client:
            for name in client.scan_iter(f"{DEFAULT_PREFIX}lease:*"):
                client.delete(name)


@contextmanager
def run_redis(certificate: Path | None = None) -> Iterator[RedisServer]:
    """Run a server for the length of a `with` block."""
    # Not pytest's own folder: the path of a Unix socket is at most 107 bytes long.
    with TemporaryDirectory(prefix="aveverify-") as folder:
        server = RedisServer(Path(folder), certificate)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def silent_server() -> Iterator[str]:
    """Accept connections and send nothing: the kernel does that for a listener without `accept`."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def dripping_server() -> Iterator[str]:
    """Send one answer for ever, byte by byte: no single read times out."""

    def drip(connection: socket.socket, stopped: Event) -> None:
        connection.sendall(b"+")
        while not stopped.wait(0.01):
            connection.sendall(b"a")

    with _serve(drip) as url:
        yield url


@contextmanager
def sluggish_server() -> Iterator[str]:
    """Have no document and no lease, and answer half a second later, but in time."""

    def answer_late(connection: socket.socket, stopped: Event) -> None:
        with connection.makefile("rb") as requests:
            for line in requests:
                # RESP: the number of words, then the length and the text of each.
                words = [requests.read(int(requests.readline()[1:]) + 2).strip() for _ in range(int(line[1:]))]
                if words[0] in (b"GETRANGE", b"SET"):
                    stopped.wait(0.5)
                connection.sendall({b"GETRANGE": b"$0\r\n\r\n", b"SET": b"$-1\r\n"}.get(words[0], b"+OK\r\n"))

    with _serve(answer_late) as url:
        yield f"{url}?protocol=2"


@contextmanager
def _serve(answer: Callable[[socket.socket, Event], None]) -> Iterator[str]:
    stopped = Event()

    def handle(connection: socket.socket) -> None:
        # A client that hangs up is what it is about.
        with suppress(OSError), connection:
            answer(connection, stopped)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                Thread(target=handle, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
