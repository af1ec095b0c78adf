"""Saved states of viewers: short names for them, and limits so that they do not fill the disk."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, insert, select

from voxarium.serve.database import schema
from voxarium.serve.database.audit import Event, record
from voxarium.serve.database.engine import Database

__all__ = ["FullError", "StateLimits", "get_state", "save_state"]

_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class FullError(Exception):
    """There is no room for one more state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLimits:
    """How many states are kept, and how large: one, those of one visitor, and all together."""

    one: int = 1 << 20  # bytes
    own: int = 2000
    own_bytes: int = 64 << 20
    all: int = 100_000
    all_bytes: int = 2 << 30


def save_state(database: Database, text: str, *, who: str, client: str = "", limits: StateLimits) -> str:
    """Keep a state and return its name. Nothing that was saved before goes.

    Raises `FullError` if a limit is reached.
    """
    size = len(text.encode("utf-8", "replace"))
    table = schema.states
    name = "".join(secrets.choice(_LETTERS) for _ in range(12))
    with database.writing() as connection:
        count = select(func.count(), func.coalesce(func.sum(table.c.bytes), 0))
        own, own_bytes = connection.execute(count.where(table.c.created_by == who[:200])).one()
        everything, all_bytes = connection.execute(count).one()
        full = everything >= limits.all or all_bytes + size > limits.all_bytes
        if size > limits.one or full or own >= limits.own or own_bytes + size > limits.own_bytes:
            raise FullError
        row = {"id": name, "text": text, "bytes": size, "created_at": time.time(), "created_by": who[:200]}
        connection.execute(insert(table).values(**row))
        record(connection, Event(who, "state-saved", f"{name} {size}", client))
    return name


def get_state(database: Database, name: str) -> str | None:
    """Return a state; None when there is none of this name."""
    with database.reading() as connection:
        return connection.execute(select(schema.states.c.text).where(schema.states.c.id == name)).scalar_one_or_none()
