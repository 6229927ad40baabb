"""The same user in Convex and in Python: one row for each user, made or brought up to date at every sign-in.

    pip install aveverify
    AVEVERIFY_ISSUER=https://aveid.net AVEVERIFY_APPLICATION_ID=app_123 python examples/same_user/users.py TOKEN

The key of a user is the pair of issuer and subject. `token_identifier`, the two joined by a bar, is what Convex shows
and what both sides exchange; but two different pairs can give the same text, so the pair is what is unique here.
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
# One statement, so that two sign-ins at the same instant make one row. Names, addresses and pictures change at the
# issuer; a claim that is gone there is gone here. An older token, still valid, brings nothing older back.
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

COLUMNS = "id, token_identifier, name, email, picture_url"


@dataclass(frozen=True)
class User:
    """A row of the table."""

    id: int
    token_identifier: str
    name: str | None
    email: str | None
    picture_url: str | None


def connect(path: str | Path) -> sqlite3.Connection:
    """Open the database, and make the table if there is none."""
    database = sqlite3.connect(path, timeout=10)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA)
    return database


def sign_in(database: sqlite3.Connection, identity: Identity, now: float) -> User:
    """Make the row of a user, or bring it up to date.

    Args:
        database: From `connect`; one for each thread.
        identity: From the verifier. Nothing but a verified identity gets in here.
        now: When the token was issued or seen, in seconds since the epoch.

    Returns:
        The user.
    """
    values = (identity.issuer, identity.subject, identity.token_identifier, identity.name, identity.email)
    with database:
        database.execute(UPSERT, (*values, identity.picture_url, now))
        found = database.execute(
            f"SELECT {COLUMNS} FROM users WHERE issuer = ? AND subject = ?",  # noqa: S608 - a constant of our own
            (identity.issuer, identity.subject),
        ).fetchone()
    return User(*found)


if __name__ == "__main__":
    with Verifier.from_env() as verifier, closing(connect("users.sqlite")) as users:
        who = verifier.verify(sys.argv[1])
        sys.stdout.write(f"{sign_in(users, who, who.issued_at or 0)}\n")
