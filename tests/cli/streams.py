"""Standard streams as a shell connects them."""

from __future__ import annotations

import io
from threading import Event


class Terminal(io.StringIO):
    """Standard output to a terminal."""

    def isatty(self) -> bool:
        return True


class Keyboard(io.BytesIO):
    """Standard input from a terminal."""

    def isatty(self) -> bool:
        return True


class InterruptedKeyboard(io.BytesIO):
    """Standard input from a terminal at which the user types Ctrl-C."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise KeyboardInterrupt


class EndlessInput(io.BytesIO):
    """Standard input without an end, such as `/dev/zero`: reading all of it would fill the memory."""

    MOST_BYTES = 2 * 1024 * 1024

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 <= size <= self.MOST_BYTES
        return b"x" * size


class WatchedOutput(io.StringIO):
    """Standard output that sets an event when a text has been printed."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self.printed = Event()
        self._awaited = awaited

    def flush(self) -> None:
        super().flush()
        if self._awaited in self.getvalue():
            self.printed.set()
