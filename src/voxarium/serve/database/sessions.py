"""Sessions: who signed in, known by a random secret in a cookie, of which only a hash is kept."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, insert, select

from voxarium.serve.database import schema
from voxarium.serve.database.audit import Event, record
from voxarium.serve.database.engine import Database
from voxarium.serve.database.tokens import Token, token_of
from voxarium.serve.secret_text import digest_of

__all__ = ["LONGEST", "Session", "begin_session", "end_session", "find_session", "server_secret"]

LONGEST: Final = 12 * 3600.0  # seconds
_MOST: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who signed in.

    Parameters
    ----------
    who : str
        For the log.
    names : tuple of str
        Users and groups whose grants hold, as the file about access writes them.
    token : Token or None
        With which they signed in.
    expires_at : float
        Seconds since 1970.
    """

    who: str
    names: tuple[str, ...]
    token: Token | None
    expires_at: float

    def valid(self, now: float) -> bool:
        """Tell whether it still holds."""
        return now < self.expires_at and (self.token is None or self.token.valid(now))


def begin_session(
    database: Database, *, who: str, names: tuple[str, ...] = (), token: Token | None = None, client: str = ""
) -> str:
    """Begin a session and return its secret. Those that ended are forgotten."""
    secret = secrets.token_urlsafe(32)
    now = time.time()
    table = schema.sessions
    until = now + LONGEST
    if token is not None and token.expires_at is not None:
        until = min(until, token.expires_at)
    with database.writing() as connection:
        connection.execute(delete(table).where(table.c.expires_at <= now))
        if connection.execute(select(func.count()).select_from(table)).scalar_one() >= _MOST:
            oldest = select(table.c.digest).order_by(table.c.expires_at).limit(_MOST // 100)
            connection.execute(delete(table).where(table.c.digest.in_(oldest)))
        row = {
            "digest": digest_of(secret),
            "token_id": None if token is None else token.id,
            "who": who[:200],
            "names": json.dumps(names),
            "created_at": now,
            "expires_at": until,
        }
        connection.execute(insert(table).values(**row))
        record(connection, Event(who, "signed-in", "", client))
    return secret


def find_session(database: Database, secret: str) -> Session | None:
    """Return a session; None when there is none. A hash is looked up: what a guess begins with tells nothing."""
    with database.reading() as connection:
        row = connection.execute(select(schema.sessions).filter_by(digest=digest_of(secret))).one_or_none()
        if row is None:
            return None
        token = None if row.token_id is None else token_of(connection, row.token_id)
        if row.token_id is not None and token is None:
            return None
        return Session(who=row.who, names=tuple(json.loads(row.names)), token=token, expires_at=row.expires_at)


def end_session(database: Database, secret: str, *, client: str = "") -> None:
    """Sign out."""
    table = schema.sessions
    with database.writing() as connection:
        row = connection.execute(select(table).filter_by(digest=digest_of(secret))).one_or_none()
        if row is not None:
            connection.execute(delete(table).where(table.c.digest == row.digest))
            record(connection, Event(row.who, "signed-out", "", client))


def server_secret(database: Database) -> str:
    """Return what the processes of a server sign short-lived cookies with."""
    table = schema.secrets
    with database.writing() as connection:
        kept = connection.execute(select(table.c.value).filter_by(name="cookies")).scalar_one_or_none()
        if kept is None:
            kept = secrets.token_urlsafe(32)
            connection.execute(insert(table).values(name="cookies", value=kept))
    return kept
