"""Opening the database: SQLite in a file, or PostgreSQL. Whoever opens it first brings its tables up to date."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxarium.errors import Code, InputError, StoreError, UnsupportedError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["Database", "default_database", "migrations", "open_database"]

VARIABLE: Final = "VOXARIUM_DATABASE"
_URL: Final = re.compile(r"[a-z][a-z0-9+]*:")
_PATIENCE: Final = 30.0  # seconds that one process waits for another's transaction
_LOCK: Final = 0x766F78  # of PostgreSQL: one process changes tables at a time
_INSTALL: Final = "pip install 'voxarium[serve]'"


def default_database() -> str:
    """Return the database that is used when none is named: that of the environment, or a file of the user's own."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(home, "voxarium", "server.db")


class Database:
    """An open database. Thread-safe.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        To it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def name(self) -> str:
        """Its address, without the password in it."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read, all of it at one moment."""
        with self._told(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Write; all or nothing of it."""
        with self._told(), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell of errors in our way; those of drivers repeat statements and addresses."""
        from sqlalchemy.exc import DBAPIError, OperationalError

        try:
            yield
        except OperationalError as error:
            raise StoreError(
                f"the database {self.name} cannot be used: {type(error.orig).__name__}",
                code=Code.STORE_UNREADABLE,
                fix="check that it is there, that it may be written, and that the disk is not full",
            ) from error
        except DBAPIError as error:
            raise StoreError(
                f"the database {self.name} refused a statement: {type(error.orig).__name__}",
                code=Code.STORE_UNWRITABLE,
                fix="check that no other program changed its tables",
            ) from error

    def close(self) -> None:
        """Close its connections."""
        self.engine.dispose()


def open_database(address: str, *, create: bool = True) -> Database:
    """Open a database, and bring its tables up to date.

    Parameters
    ----------
    address : str
        Path of a file, or a URL such as ``postgresql://user@host/name``.
    create : bool
        Make the file when there is none.

    Raises
    ------
    UnsupportedError
        If SQLAlchemy, alembic or the driver are not installed, or the tables are those of a newer program.
    InputError
        If the address cannot be understood.
    StoreError
        If the database cannot be reached.
    """
    try:
        engine = _engine(address, create=create)
    except ImportError as error:
        postgresql = error.name is not None and error.name.startswith("psycopg")
        raise UnsupportedError(
            f"access control needs {error.name}, which is not installed",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[postgresql]'" if postgresql else _INSTALL,
        ) from error
    database = Database(engine)
    try:
        _upgrade(database)
    except BaseException:
        database.close()
        raise
    return database


def _engine(address: str, *, create: bool) -> Engine:
    from sqlalchemy import create_engine, event, make_url
    from sqlalchemy.exc import ArgumentError
    from sqlalchemy.pool import NullPool

    try:
        url = make_url(address if _URL.match(address) else f"sqlite:///{os.path.abspath(address)}")
    except (ArgumentError, ValueError) as error:
        raise _not_understood() from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    backend = url.get_backend_name()
    # Connections are opened when they are needed: that is rare, since what was checked is remembered for a while.
    if backend == "postgresql":
        return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 10})
    if backend != "sqlite" or not url.database or url.database == ":memory:":
        raise _not_understood()
    _make_file(url.database, create=create)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _PATIENCE})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _not_understood() -> InputError:
    return InputError(
        "the address of the database cannot be understood",
        code=Code.ARGUMENT_INVALID,
        fix="name a file, or postgresql://USER@HOST/NAME",
    )


def _make_file(path: str, *, create: bool) -> None:
    """Make the file, for this user alone: it holds names and hashes."""
    if os.path.exists(path):
        return
    if not create:
        raise StoreError(
            f"there is no database {path}",
            code=Code.STORE_UNREADABLE,
            fix="name it with --database, or make a token first: voxarium token create",
        )
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be made: {error.strerror}",
            code=Code.STORE_UNWRITABLE,
            fix="name a file in a folder that may be written",
        ) from error


def _prepare(connection: Any, _: object) -> None:  # Any: of the driver
    connection.isolation_level = None  # transactions are begun by `_begin`, also around changes of tables
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # One that begins by reading and writes later fails when another has written between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# ------------------------------------------------------------------------------------------------------- migrations
def migrations(connection: Connection | None = None) -> Any:  # Any: a configuration of alembic, which is optional
    """Return the configuration of alembic."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _upgrade(database: Database, revision: str = "head") -> None:
    from alembic import command
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(migrations())
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        now = MigrationContext.configure(connection).get_current_revision()
        if now == script.get_current_head():
            return
        if now is not None and now not in {s.revision for s in script.walk_revisions()}:
            raise UnsupportedError(
                f"the tables of the database {database.name} are those of a newer program",
                code=Code.FEATURE_UNSUPPORTED,
                fix="upgrade Voxarium, or use another database",
            )
        command.upgrade(migrations(connection), revision)
