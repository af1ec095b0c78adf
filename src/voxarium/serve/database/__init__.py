"""The embedded database of a server: tokens, rules, sessions, saved states, and the audit log."""

from voxarium.serve.database.engine import Database, default_database, open_database

__all__ = ["Database", "default_database", "open_database"]
