"""What the mirror holds: how far it has got, its lines, and whose they are."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, func, select

from pal.ratings import schema
from pal.ratings.codec import loads
from pal.ratings.records import Deletion, person_of

RECORDS_FOLDER = "records"


def last_entry(connection: Connection) -> int:
    """The number of the journal's last entry; 0 when nothing was ever stored."""
    return connection.scalar(select(func.max(schema.journal.c.seq))) or 0


def mirrored_until(connection: Connection, repo: str) -> int:
    """The journal number up to which the mirror is known to be complete."""
    mirrors = schema.mirrors
    return connection.scalar(select(mirrors.c.seq).where(mirrors.c.repo == repo)) or 0


def set_mirrored_until(connection: Connection, repo: str, seq: int) -> None:
    """Note it, unless another process has got further."""
    mirrors = schema.mirrors
    if seq > mirrored_until(connection, repo):
        connection.execute(delete(mirrors).where(mirrors.c.repo == repo))
        connection.execute(mirrors.insert().values(repo=repo, seq=seq))


def without(lines: str, annotators: Collection[str]) -> str:
    """The JSONL without the annotators' records; their tombstones stay."""
    kept = []
    for line in lines.splitlines(keepends=True):
        record = loads(line)
        if isinstance(record, Deletion) or person_of(record) not in annotators:
            kept.append(line)
    return "".join(kept)
