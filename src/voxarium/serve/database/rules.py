"""Rules about datasets in the database: which are public, and which are not."""

from __future__ import annotations

import time

from sqlalchemy import delete, insert, select

from voxarium.serve.access import Rules, place_of
from voxarium.serve.database import schema
from voxarium.serve.database.audit import Event, record
from voxarium.serve.database.engine import Database

__all__ = ["list_rules", "set_rule"]


def list_rules(database: Database) -> dict[str, bool]:
    """Return whether datasets are public, by address; ``*`` is what no other rule is about."""
    with database.reading() as connection:
        return {r.address: r.public for r in connection.execute(select(schema.rules).order_by(schema.rules.c.address))}


def set_rule(database: Database, address: str, public: bool | None, *, by: str = "") -> None:
    """Make a dataset public or private; None takes the rule away.

    Raises
    ------
    InputError
        If part of a file is to be private.
    """
    if public is not None:
        Rules(datasets={address: public})
    place = place_of(address) or "*"
    with database.writing() as connection:
        connection.execute(delete(schema.rules).where(schema.rules.c.address == place))
        if public is not None:
            row = {"address": place, "public": public, "changed_at": time.time(), "changed_by": by[:200]}
            connection.execute(insert(schema.rules).values(**row))
        action = "rule-removed" if public is None else "made-public" if public else "made-private"
        record(connection, Event(by, action, place))
