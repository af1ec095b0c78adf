"""Tokens: made, shown once, found again by their ids, revoked."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, insert, select, update

from voxarium.errors import Code, NotFoundError
from voxarium.serve.access import Grants, place_of
from voxarium.serve.database import schema
from voxarium.serve.database.audit import Event, record
from voxarium.serve.database.engine import Database
from voxarium.serve.secret_text import digest_of, matches, new_token, split_token

__all__ = ["Token", "create_token", "list_tokens", "note_use", "revoke_token", "verify_token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token; not the token itself, which nobody knows but its holder.

    Parameters
    ----------
    id : str
        By which it is named.
    name : str
        Whose, or for what.
    kind : str
        ``personal``, or ``sharing`` for one that only reads.
    grants : tuple of (scope, address)
        What it allows.
    created_at, expires_at, revoked_at, last_used_at : float or None
        Seconds since 1970.
    created_by : str
        Who made it.
    """

    id: str
    name: str
    kind: str
    grants: tuple[tuple[str, str], ...]
    created_at: float
    created_by: str
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None

    def valid(self, now: float) -> bool:
        """Tell whether it may still be used."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create_token(
    database: Database,
    name: str,
    granted: Iterable[tuple[str, str]],
    *,
    expires_at: float | None = None,
    kind: str = "personal",
    created_by: str = "",
) -> tuple[str, Token]:
    """Make a token; return its text, which is not kept, and what is known of it.

    Parameters
    ----------
    database : Database
        Where it is kept.
    name : str
        Whose, or for what; up to 200 letters.
    granted : iterable of (scope, address)
        What it allows; ``*`` is everything.
    expires_at : float or None
        Seconds since 1970; None = never.
    kind : str
        ``personal`` or ``sharing``.
    created_by : str
        For the log.

    Raises
    ------
    InputError
        If there is no such scope.
    """
    granted = list(granted)
    Grants.of(granted)
    grants = {place_of(address) or "*": scope for scope, address in granted}
    identifier, secret, text = new_token()
    now = time.time()
    row = {
        "id": identifier,
        "digest": digest_of(secret),
        "name": name[:200],
        "kind": kind,
        "created_at": now,
        "created_by": created_by[:200],
        "expires_at": expires_at,
    }
    with database.writing() as connection:
        connection.execute(insert(schema.tokens).values(**row))
        if grants:
            rows = [{"token_id": identifier, "address": a, "scope": s} for a, s in grants.items()]
            connection.execute(insert(schema.grants), rows)
        record(connection, Event(created_by, "token-created", f"{identifier} {name} {_texts(grants.items())}"))
        made = _with_grants(connection, [connection.execute(select(schema.tokens).filter_by(id=identifier)).one()])
    return text, made[0]


def _texts(grants: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{scope}:{address}" for address, scope in grants)


def _with_grants(connection: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> list[Token]:
    found: dict[str, list[tuple[str, str]]] = {}
    wanted = select(schema.grants)
    if len(rows) == 1:
        wanted = wanted.filter_by(token_id=rows[0].id)
    for grant in connection.execute(wanted.order_by(schema.grants.c.address)):
        found.setdefault(grant.token_id, []).append((grant.scope, grant.address))
    names = ("id", "name", "kind", "created_at", "created_by", "expires_at", "revoked_at", "last_used_at")
    return [Token(**{n: getattr(row, n) for n in names}, grants=tuple(found.get(row.id, ()))) for row in rows]


def list_tokens(database: Database) -> list[Token]:
    """Return all tokens, the newest first; also those that are no longer valid."""
    with database.reading() as connection:
        rows = connection.execute(select(schema.tokens).order_by(schema.tokens.c.created_at.desc())).all()
        return _with_grants(connection, rows) if rows else []


def revoke_token(database: Database, identifier: str, *, by: str = "") -> Token:
    """Make a token invalid, for ever; servers notice within seconds.

    Parameters
    ----------
    database : Database
        Where it is kept.
    identifier : str
        Its id, or the token itself.
    by : str
        For the log.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    whole = split_token(identifier)
    identifier = identifier if whole is None else whole[0]
    with database.writing() as connection:
        table = schema.tokens
        rows = connection.execute(select(table).filter_by(id=identifier)).all()
        if not rows:
            raise NotFoundError("there is no such token", code=Code.PATH_MISSING, fix="see voxarium token list")
        if rows[0].revoked_at is None:
            connection.execute(update(table).where(table.c.id == identifier).values(revoked_at=time.time()))
            record(connection, Event(by, "token-revoked", f"{identifier} {rows[0].name}"))
        return _with_grants(connection, connection.execute(select(table).filter_by(id=identifier)).all())[0]


def token_of(connection: Connection, identifier: str) -> Token | None:
    """Return a token by its id; nothing is proven by knowing that."""
    rows = connection.execute(select(schema.tokens).filter_by(id=identifier)).all()
    return _with_grants(connection, rows)[0] if rows else None


def verify_token(database: Database, text: str) -> Token | None:
    """Return the token that a text is, whether it is still valid or not; None when it is none.

    What is done for a text whose id is known and for one whose id is not is the same, until a secret is right.
    """
    parts = split_token(text)
    if parts is None:
        return None
    identifier, secret = parts
    with database.reading() as connection:
        row = connection.execute(select(schema.tokens).filter_by(id=identifier)).one_or_none()
        if not matches(secret, None if row is None else row.digest) or row is None:
            return None
        return _with_grants(connection, [row])[0]


def note_use(database: Database, used: dict[str, float]) -> None:
    """Note when tokens, by their ids, were used last."""
    table = schema.tokens
    with database.writing() as connection:
        for identifier, at in used.items():
            connection.execute(update(table).where(table.c.id == identifier).values(last_used_at=at))
