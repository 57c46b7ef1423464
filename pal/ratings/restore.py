"""From the mirror back into a store; and deleted people's lines out of the mirror."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import RepositoryNotFoundError
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.exc import DBAPIError

from pal.errors import BackupError, DataError
from pal.ratings import schema
from pal.ratings.records import Deletion, Rating, Record, Turn, loads, person_of
from pal.ratings.store import RatingStore, delete_person, insert

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


@dataclass(frozen=True)
class Restored:
    """What a restore did. ``refused``: records that contradict the store's own,
    such as other replies to an item that has some; ``deleted``: people's data
    that a tombstone kept out."""

    restored: int
    present: int
    refused: int
    deleted: int


def restore(store: RatingStore, repo: str, api: HfApi) -> Restored:
    """Add what the mirror holds and the store does not. Doing it again changes nothing.

    Raises:
        BackupError: the mirror cannot be read, or a line of it is no record.
    """
    with tempfile.TemporaryDirectory() as folder:
        records = [record for path in _download(repo, api, Path(folder)) for record in read_mirror(path)]
    with store.write() as connection:
        was_empty = last_entry(connection) == 0
        report = restore_records(connection, records)
        if was_empty:
            set_mirrored_until(connection, repo, last_entry(connection))
    return report


def restore_files(store: RatingStore, paths: Sequence[Path]) -> Restored:
    """The same from files: of the mirror, or ``records.jsonl`` of an export.

    Raises:
        BackupError: a file cannot be read, or a line of it is no record.
    """
    records = [record for path in paths for record in read_mirror(path)]
    with store.write() as connection:
        return restore_records(connection, records)


def restore_records(connection: Connection, records: Iterable[Record]) -> Restored:
    """Insert records in an order in which nothing points ahead."""
    unique = {(record.kind, record.id): record for record in records}
    tombstones = [record for record in unique.values() if isinstance(record, Deletion)]
    gone = {tombstone.annotator for tombstone in tombstones}
    gone |= set(connection.scalars(select(schema.deletions.c.annotator)))
    known = {
        (kind, record_id)
        for kind, table in schema.RECORD_TABLES.items()
        for record_id in connection.scalars(select(table.c.id))
    }
    restored = refused = deleted = present = 0
    for tombstone in tombstones:
        if ("deletion", tombstone.id) not in known:
            delete_person(connection, tombstone)
            restored += 1
    for record in _in_order(unique.values()):
        if (record.kind, record.id) in known:
            present += 1
        elif person_of(record) in gone:
            deleted += 1
        elif _inserted(connection, record):
            restored += 1
        else:
            refused += 1
    return Restored(restored, present, refused, deleted)


def _inserted(connection: Connection, record: Record) -> bool:
    try:
        with connection.begin_nested():
            insert(connection, record)
    except DBAPIError:
        return False
    return True


def _in_order(records: Iterable[Record]) -> list[Record]:
    """Consents, turns, repeats, ratings oldest first, reveals."""
    stages = {"consent": 0, "turn": 1, "rating": 3, "reveal": 4}

    def key(record: Record) -> tuple:
        repeats = isinstance(record, Turn) and record.repeat_of is not None
        return stages[record.kind] + repeats, depth.get(record.id, 0)

    kept = [record for record in records if not isinstance(record, Deletion)]
    depth = _depths([record for record in kept if isinstance(record, Rating)])
    return sorted(kept, key=key)


def _depths(ratings: Sequence[Rating]) -> dict[str, int]:
    """How many ratings each one supersedes, directly and indirectly."""
    earlier = {rating.id: rating.supersedes for rating in ratings}
    depths: dict[str, int] = {}
    for rating in ratings:
        chain = []
        at: str | None = rating.id
        while at in earlier and at not in depths and at not in chain:
            chain.append(at)
            at = earlier[at]
        base = depths.get(at, -1)
        for steps, rating_id in enumerate(reversed(chain), 1):
            depths[rating_id] = base + steps
    return depths


def read_mirror(path: Path) -> list[Record]:
    """The records of one mirrored file.

    Raises:
        BackupError: a line is no record; the file and the line are named.
    """
    records = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(f"{path} cannot be read ({error}).") from None
    for number, line in enumerate(lines, 1):
        try:
            records.append(loads(line))
        except DataError as error:
            raise BackupError(f"{path.name}, line {number}: {error}") from None
    return records


def scrub(repo: str, api: HfApi) -> int:
    """Take deleted people's lines out of the mirror's files and squash its history.

    Deleting someone's data adds a tombstone, which every restore respects; the
    lines written earlier stay in the mirror until this is done. Stop the app
    first: it may be writing one of the files.

    Returns:
        the number of files written anew.

    Raises:
        BackupError: the mirror cannot be read or written.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = _download(repo, api, Path(folder))
        gone = {r.annotator for path in paths for r in read_mirror(path) if isinstance(r, Deletion)}
        operations = []
        for path in paths:
            text = path.read_text(encoding="utf-8")
            if (kept := without(text, gone)) != text:
                name = f"{RECORDS_FOLDER}/{path.name}"
                operations.append(CommitOperationAdd(name, kept.encode()))
        if operations:
            try:
                api.create_commit(repo, operations, commit_message="Remove deleted data", repo_type="dataset")
                api.super_squash_history(repo, repo_type="dataset")
            except Exception as error:
                raise BackupError(f"{repo} could not be written ({error}).") from None
    return len(operations)


def _download(repo: str, api: HfApi, folder: Path) -> list[Path]:
    """The mirror's files."""
    try:
        api.snapshot_download(
            repo, repo_type="dataset", local_dir=folder, allow_patterns=f"{RECORDS_FOLDER}/*.jsonl"
        )
    except RepositoryNotFoundError:
        raise BackupError(f"There is no data set {repo}, or this token may not read it.") from None
    except Exception as error:  # the Hub's client raises many kinds
        raise BackupError(f"{repo} could not be read ({' '.join(str(error).split())[:200]}).") from None
    return sorted((folder / RECORDS_FOLDER).glob("*.jsonl"))
