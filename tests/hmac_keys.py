"""HMAC keys that tests share: they look random, and are the same in every run."""

from __future__ import annotations

from hashlib import sha256

KEY = sha256(b"a key of the tests").digest()
OTHER_KEY = sha256(b"another key of the tests").digest()
# As `openssl rand -hex 32 > file` writes it.
KEY_TEXT = KEY.hex().encode()
KEY_FILE = KEY_TEXT + b"\n"
