"""A damaged SQLite store: found at the start, kept whole, replaced from the mirror where there is one."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from pal.errors import StoreError
from pal.ratings import schema
from pal.ratings.database import FILE_NAME
from pal.settings import Settings

log = logging.getLogger(__name__)

_UNREACHABLE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
)
_COMPANIONS = ("", "-wal", "-shm")  # the database, its log and the log's index


def find_damage(path: Path) -> str | None:
    """What is wrong with the SQLite store at ``path``, in words; None when nothing is,
    or when there is no store yet. Changes nothing.

    SQLite checks its structure. Whether a text was changed it cannot know, so every
    record has to be JSON of the row's id as well.
    """
    log_file = path.with_name(f"{path.name}-wal")
    if not path.is_file() or not path.stat().st_size:
        # SQLite would take it for a new store, and delete the log with the last votes
        lost = log_file.is_file() and log_file.stat().st_size
        return "it is empty, but its log is not" if lost else None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            [result] = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if result != "ok":
                return " ".join(result.split())[:200]
            return _missing_names(connection) or _unreadable_record(connection)
    except UnicodeDecodeError:  # SQLite's own message quotes a damaged name
        return "its table of contents cannot be read"
    except sqlite3.DatabaseError as error:
        unreachable = getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNREACHABLE  # opening it says so
        return None if unreachable else str(error)


def _missing_names(connection: sqlite3.Connection) -> str | None:
    """Raises sqlite3.OperationalError for a column that is missing."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    missing = sorted(set(schema.metadata.tables) - names)
    if len(missing) == len(schema.metadata.tables):
        return None  # no store of ours: opening it says so
    if missing:
        return f"it has no {missing[0]}"
    for table in schema.metadata.tables.values():
        connection.execute(f"SELECT {', '.join(table.columns.keys())} FROM {table.name} LIMIT 1").close()
    kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT CAST(kind AS BLOB) FROM journal")}
    if kinds - {kind.encode() for kind in schema.RECORD_TABLES}:
        return "its journal names an unknown kind of record"
    return None


def _unreadable_record(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'journal'").fetchone():
        return None
    for table in schema.RECORD_TABLES.values():
        for record, body in connection.execute(f"SELECT id, CAST(body AS BLOB) FROM {table.name}"):
            try:
                whole = json.loads(body)["id"] == record
            except (ValueError, TypeError, KeyError):
                whole = False
            if not whole:
                return f"a record of {table.name} cannot be read"
    return None


def replace_damaged(settings: Settings) -> str:
    """Look at the store before it is opened. A damaged one is set aside, and
    ``open_backup`` then fills a new one from the mirror.

    Returns:
        what happened, for the page; "" when nothing is wrong.

    Raises:
        StoreError: it is damaged and there is no mirror; the file stays as it is.
    """
    path = settings.data / FILE_NAME
    damage = None if settings.database_url else find_damage(path)
    if damage is None:
        return ""
    if not settings.backup_repo:
        raise StoreError(
            f"The ratings in {path} are damaged ({damage}). Nothing was changed. Move the file away to begin "
            "anew, or to restore an export: python -m pal ratings restore --file records.jsonl"
        )
    kept = _set_aside(path)
    log.error(
        "The ratings were damaged (%s). They are kept in %s, and restored from the backup.", damage, kept
    )
    return "the store was damaged and is restored from the backup"


def _set_aside(path: Path) -> Path:
    """Move the store's files into a new folder beside them."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    folder = path.with_name(f"damaged-{stamp}")
    folder.mkdir(mode=0o700)
    for companion in _COMPANIONS:
        file = path.with_name(path.name + companion)
        if file.exists():
            file.rename(folder / file.name)
    return folder
