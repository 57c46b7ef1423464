"""Records in and out of the database. Append-only; the one deletion is a person's own.

Every function that takes a ``Connection`` is a part of its caller's transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, delete, select

from pal.errors import StoreError
from pal.ratings import schema
from pal.ratings.database import Database, ensure_schema, sqlite_url
from pal.ratings.records import Deletion, Record, dumps, loads
from pal.settings import Settings

_PERSON_COLUMNS = (  # what points at something else is deleted before it
    schema.showings.c.annotator,
    schema.leases.c.annotator,
    schema.reveals.c.annotator,
    schema.ratings.c.annotator,
    schema.turns.c.owner,
    schema.consents.c.annotator,
)


def pseudonym(salt: str, purpose: str, text: str) -> str:
    """Salted hash of an id or address: 32 hex digits (HMAC-SHA-256, cut).
    ``purpose`` keeps hashes of different things apart."""
    return hmac.new(salt.encode(), f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()[:32]


class RatingStore:
    """The stored records, over one database.

    Args:
        url: see ``Database``.
        salt: of the hashes; "" for one that is made once and kept in the store.
        patience: seconds to wait for another writer.

    Raises:
        StoreError: the store cannot be opened, or was made with another salt.
    """

    def __init__(self, url: str, salt: str = "", patience: float = 10.0):
        self._stopping = False
        self.database = Database(url, patience)
        ensure_schema(self.database)
        with self.write() as connection:
            self.salt = _agreed_salt(connection, salt)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """See ``Database.write``.

        Raises:
            StoreError: ``stop_writing`` was called; nothing was written.
        """
        with self.database.write() as connection:
            if self._stopping:
                raise StoreError("PAL is being stopped, so this was not saved. Send it again in a minute.")
            yield connection

    def stop_writing(self) -> None:
        """Refuse further records; returns when those that were being written are committed."""
        self._stopping = True
        with self.database.write():  # writers come one after another, so the last one is done
            pass

    def read(self) -> AbstractContextManager[Connection]:
        """See ``Database.read``."""
        return self.database.read()

    def annotator(self, code: str) -> str:
        """The salted hash of an annotator id."""
        return pseudonym(self.salt, "annotator", code)

    def origin(self, address: str) -> str:
        """The salted hash of a login or address."""
        return pseudonym(self.salt, "origin", address)

    def close(self) -> None:
        """Close the database's connections."""
        self.database.close()


def _agreed_salt(connection: Connection, given: str) -> str:
    """The given salt, or the store's own; always the one its hashes were made with."""
    meta = schema.meta
    kept = dict(connection.execute(select(meta.c.key, meta.c.value)).all())
    salt = given or kept.get("salt") or ("" if "salt_check" in kept else secrets.token_hex(16))
    check = pseudonym(salt, "check", "")
    if kept.get("salt_check", check) != check:
        raise StoreError(
            "The ratings were made with another salt, so annotators could not go on: set PAL_SALT to it "
            "(`python -m pal ratings salt` without PAL_SALT prints a salt that the store keeps itself)."
        )
    for key, value in {"salt_check": check, **({} if given else {"salt": salt})}.items():
        if key not in kept:
            connection.execute(meta.insert().values(key=key, value=value))
    return salt


def open_store(settings: Settings) -> RatingStore:
    """The store that the settings name: PostgreSQL if they do, else SQLite.

    Raises:
        StoreError: it cannot be opened.
    """
    return RatingStore(settings.database_url or sqlite_url(settings.data), settings.salt)


def insert(connection: Connection, record: Record) -> None:
    """Append a record, and note it in the journal for the mirror.

    Raises:
        IntegrityError: a constraint of ``schema`` refuses it.
    """
    kind = record.kind
    table = schema.RECORD_TABLES[kind]
    columns = {name: getattr(record, name) for name in table.columns.keys() if name != "body"}  # noqa: SIM118
    connection.execute(table.insert().values(**columns, body=dumps(record)))
    connection.execute(schema.journal.insert().values(kind=kind, record=record.id))


def all_records(connection: Connection, after: int = 0) -> Iterator[tuple[int, Record]]:
    """(journal number, record) in the order of writing; deleted ones are gone."""
    journal = schema.journal
    rows = connection.execute(
        select(journal.c.seq, journal.c.kind, journal.c.record)
        .where(journal.c.seq > after)
        .order_by(journal.c.seq)
    ).all()
    bodies = {kind: _bodies(connection, kind, after) for kind in {row.kind for row in rows}}
    for seq, kind, record in rows:
        if record in bodies[kind]:
            yield seq, loads(bodies[kind][record])


def _bodies(connection: Connection, kind: str, after: int) -> dict[str, str]:
    table, journal = schema.RECORD_TABLES[kind], schema.journal
    query = (
        select(table.c.id, table.c.body)
        .join(journal, (journal.c.kind == kind) & (journal.c.record == table.c.id))
        .where(journal.c.seq > after)
    )
    return dict(connection.execute(query).all())


def delete_person(connection: Connection, tombstone: Deletion) -> int:
    """Write the tombstone, then delete what its annotator left. The one deletion.

    Returns:
        the number of records deleted.
    """
    insert(connection, tombstone)
    deleted = 0
    for person in _PERSON_COLUMNS:
        gone = connection.execute(delete(person.table).where(person == tombstone.annotator)).rowcount
        deleted += gone if person.table in schema.RECORD_TABLES.values() else 0
    return deleted
