"""The same user in Convex and in Python: one row per user, inserted or updated at every sign-in.

    pip install aveverify
    AVEVERIFY_ISSUER=https://aveid.net AVEVERIFY_APPLICATION_ID=app_123 python examples/same_user/users.py TOKEN

The key of a user is the pair of issuer and subject. Convex shows `token_identifier`, the two joined by a bar, and both
sides exchange it. Two different pairs can give the same text, so the unique key here is the pair.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from aveverify import Identity, Verifier

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id               INTEGER PRIMARY KEY,
    issuer           TEXT NOT NULL,
    subject          TEXT NOT NULL,
    token_identifier TEXT NOT NULL,
    name             TEXT,
    email            TEXT,
    picture_url      TEXT,
    signed_in_at     REAL NOT NULL,
    UNIQUE (issuer, subject)
) STRICT;
CREATE INDEX IF NOT EXISTS users_by_token_identifier ON users (token_identifier);
"""

# region upsert
# One statement, so that two sign-ins at the same instant make one row. The issuer may change names, addresses and
# pictures, or remove them. The condition stops an older token, still valid, from restoring an older profile.
UPSERT = """
INSERT INTO users (issuer, subject, token_identifier, name, email, picture_url, signed_in_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (issuer, subject) DO UPDATE SET
    name = excluded.name,
    email = excluded.email,
    picture_url = excluded.picture_url,
    signed_in_at = excluded.signed_in_at
WHERE excluded.signed_in_at >= signed_in_at
"""
# endregion

SELECT = "SELECT id, token_identifier, name, email, picture_url FROM users WHERE issuer = ? AND subject = ?"


@dataclass(frozen=True)
class User:
    """A row of the table."""

    id: int
    token_identifier: str
    name: str | None
    email: str | None
    picture_url: str | None


def connect(path: str | Path) -> sqlite3.Connection:
    """Open the database, and create the table if it does not exist."""
    database = sqlite3.connect(path, timeout=10)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA)
    return database


def sign_in(database: sqlite3.Connection, identity: Identity, now: float) -> User:
    """Insert or update the row of a user.

    Args:
        database: From `connect`; one for each thread.
        identity: A verified identity, from `Verifier.verify`.
        now: When the token was issued, in seconds since the epoch.

    Returns:
        The row.
    """
    values = (identity.issuer, identity.subject, identity.token_identifier, identity.name, identity.email)
    with database:
        database.execute(UPSERT, (*values, identity.picture_url, now))
        found = database.execute(SELECT, (identity.issuer, identity.subject)).fetchone()
    return User(*found)


if __name__ == "__main__":
    with Verifier.from_env() as verifier, closing(connect("users.sqlite")) as users:
        identity = verifier.verify(sys.argv[1])
        sys.stdout.write(f"{sign_in(users, identity, identity.issued_at or 0)}\n")
