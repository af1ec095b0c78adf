"""The audit log: who did what, and when. It is only appended to; the database refuses anything else."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from voxarium.serve.database import schema
from voxarium.serve.database.engine import Database
from voxarium.serve.secret_text import redacted

__all__ = ["Event", "list_events", "record", "record_all"]

_LONGEST: Final = {"who": 200, "action": 40, "what": 1024, "client": 64}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Parameters
    ----------
    who : str
        Id of a token, or name of a user.
    action : str
        Such as ``token-created``, ``signed-in``, ``read``.
    what : str
        What it was done to.
    client : str
        Where it came from; empty for the command line.
    at : float
        Seconds since 1970.
    """

    who: str
    action: str
    what: str = ""
    client: str = ""
    at: float = field(default_factory=time.time)

    def document(self) -> dict[str, Any]:
        """Return it as JSON, without anything that may be a token, and no part longer than the table takes."""
        texts = {name: redacted(getattr(self, name))[:most] for name, most in _LONGEST.items()}
        return {"at": self.at, **{name: text.replace("\x00", "") for name, text in texts.items()}}


def record(connection: Connection, *events: Event) -> None:
    """Append to the log, in the transaction of what is logged."""
    if events:
        connection.execute(insert(schema.audit), [event.document() for event in events])


def record_all(database: Database, events: Iterable[Event]) -> None:
    """Append to the log."""
    with database.writing() as connection:
        record(connection, *events)


def list_events(database: Database, *, most: int = 100, action: str | None = None) -> list[Event]:
    """Return the last events, the newest first."""
    table = schema.audit
    wanted = select(table).order_by(table.c.id.desc()).limit(most)
    if action is not None:
        wanted = wanted.where(table.c.action == action)
    with database.reading() as connection:
        return [Event(r.who, r.action, r.what, r.client, r.at) for r in connection.execute(wanted)]
