"""A database that acknowledges only what is on the disk, SQLite or PostgreSQL, with this version's schema."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from pal.errors import SchemaError, StoreError, StoreFull, StoreLocked
from pal.ratings import schema

FILE_NAME = "ratings.sqlite3"
WRITER_LOCK = 0x50414C  # advisory lock of PostgreSQL: one writing transaction at a time
_FULL_CODES, _LOCKED_CODES = {"53100"}, {"55P03", "40P01", "57014"}
VERSION = 1


def sqlite_url(folder: Path) -> str:
    """Address of the SQLite store in ``folder``, which is made if it is missing.

    Raises:
        StoreError: the folder cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot hold the ratings ({error.strerror}): set PAL_DATA.") from None
    return f"sqlite:///{folder / FILE_NAME}"


class Database:
    """Transactions on one database; safe for threads, and beside other processes.

    Args:
        url: SQLAlchemy's address, ``sqlite:///…`` or ``postgresql+psycopg://…``.
        patience: seconds to wait for another writer.

    Raises:
        StoreError: it cannot be reached.
    """

    def __init__(self, url: str, patience: float = 10.0):
        self._url = url
        make_engine = _sqlite_engine if url.startswith("sqlite") else _postgres_engine
        self.engine = make_engine(url, patience)

    @property
    def dialect(self) -> str:
        """Which database it is: "sqlite" or "postgresql"."""
        return self.engine.dialect.name

    @property
    def name(self) -> str:
        """The address without its password."""
        return make_url(self._url).render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A writing transaction, alone among writers; committed at its end.

        Raises:
            StoreFull, StoreLocked, StoreError: nothing was written.
            IntegrityError: a constraint refused a row; nothing was written.
        """
        with _translated(), self.engine.connect() as connection:
            connection = connection.execution_options(pal_write=True)
            with connection.begin():
                if self.dialect == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A reading transaction: one consistent view of the store."""
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    def forget(self) -> None:
        """Remove what deleted rows leave behind in SQLite's files."""
        if self.dialect == "sqlite":
            with _translated(), self.engine.connect() as connection:
                connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _sqlite_engine(url: str, patience: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": patience})

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing: see below
        _use_wal(connection, patience)
        for pragma in (
            "synchronous = FULL",  # in WAL this is what makes each commit reach the disk
            "foreign_keys = ON",
            "recursive_triggers = ON",  # else INSERT OR REPLACE deletes without the triggers
            "secure_delete = ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("pal_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Turn the log on; while another process does the same, SQLite does not wait by itself."""
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _postgres_engine(url: str, patience: float) -> Engine:
    options = (
        f"-c lock_timeout={int(patience * 1000)} -c statement_timeout=60000 -c synchronous_commit=on "
        "-c timezone=UTC"
    )
    try:
        return create_engine(
            url,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            connect_args={"options": options, "connect_timeout": max(2, int(patience))},
        )
    except (ArgumentError, ImportError) as error:
        raise StoreError(f"DATABASE_URL cannot be used ({error}).") from None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except UnicodeDecodeError as error:  # SQLite's own message quotes a damaged name
        raise StoreError("The ratings are damaged. This was not saved: tell the host.") from error
    except DBAPIError as error:
        raise _store_error(error.orig) from error
    except sqlite3.Error as error:  # while a connection is set up
        raise _store_error(error) from error


def _store_error(original: BaseException) -> StoreError:
    primary = getattr(original, "sqlite_errorcode", 0) & 0xFF
    state = getattr(original, "sqlstate", None)
    if primary == sqlite3.SQLITE_FULL or state in _FULL_CODES:
        return StoreFull("No space is left for the ratings. This was not saved: tell the host, then retry.")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or state in _LOCKED_CODES:
        return StoreLocked("The ratings are busy. This was not saved: send it again.")
    reason = " ".join(str(original).split())[:200]
    return StoreError(f"The ratings cannot be reached ({reason}). This was not saved: send it again.")


def ensure_schema(database: Database, version: int = VERSION) -> None:
    """Make the tables in an empty database, or check those that are there.

    A version 2 will need migrations (use Alembic); there has been one version only.

    Raises:
        SchemaError: a newer PAL wrote the store, or it is something else.
    """
    with database.write() as connection:
        stored = _version(connection, database)
        if stored is None:
            _create(connection, database.dialect, version)
        elif stored != version:
            raise SchemaError(
                f"{database.name} has version {stored}; this PAL knows version {version}. Use a newer PAL."
            )


def _version(connection: Connection, database: Database) -> int | None:
    tables = set(inspect(connection).get_table_names())
    if not tables & set(schema.metadata.tables):
        return None
    value = None
    if "meta" in tables:
        value = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "version"))
    if value is None or not value.isdecimal():
        raise SchemaError(f"{database.name} holds something that is no store of PAL's ratings.")
    return int(value)


def _create(connection: Connection, dialect: str, version: int) -> None:
    schema.metadata.create_all(connection)
    for statement in schema.triggers(dialect):
        connection.exec_driver_sql(statement)
    connection.execute(schema.meta.insert().values(key="version", value=str(version)))
