"""Standard streams as a shell connects them."""

from __future__ import annotations

import io
from threading import Event


class Terminal(io.StringIO):
    """Standard output on a screen."""

    def isatty(self) -> bool:
        return True


class Keyboard(io.BytesIO):
    """Standard input from somebody who types."""

    def isatty(self) -> bool:
        return True


class ImpatientKeyboard(io.BytesIO):
    """Standard input from somebody who types Ctrl-C."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise KeyboardInterrupt


class WatchedOutput(io.StringIO):
    """Standard output that tells when a text has been printed."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self.printed = Event()
        self._awaited = awaited

    def flush(self) -> None:
        super().flush()
        if self._awaited in self.getvalue():
            self.printed.set()
