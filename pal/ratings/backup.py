"""The mirror of the store in a private Hub data set: append-only JSONL.

Each start of the app writes one new file with a name of its own, never used
again. The database is the truth: what is not mirrored yet is read from its
journal, so a crash between two pushes costs nothing but a later push.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
import uuid
from datetime import datetime, timedelta
from pathlib import Path

from huggingface_hub import CommitScheduler, HfApi, get_token

from pal.errors import BackupError
from pal.ratings.records import Deletion, dumps, now
from pal.ratings.restore import (
    RECORDS_FOLDER,
    last_entry,
    mirrored_until,
    restore,
    set_mirrored_until,
    without,
)
from pal.ratings.store import RatingStore, all_records
from pal.settings import Settings

log = logging.getLogger(__name__)

SECONDS_TO_FINISH = 7.0  # of the ten that a host gives the whole app


def open_backup(store: RatingStore, settings: Settings, api: HfApi | None = None) -> Backup | None:
    """The backup that the settings name, or None. An empty store is filled from
    the mirror first, which is what a new start on a Space needs.

    Raises:
        BackupError: the store is empty and the mirror cannot be read: starting
            without the earlier ratings would make annotators begin anew.
    """
    if not settings.backup_repo:
        return None
    if api is None and get_token() is None:
        raise BackupError("PAL_BACKUP_REPO needs a token of the Hub: set HF_TOKEN, or unset PAL_BACKUP_REPO.")
    api = api or HfApi()
    with store.read() as connection:
        empty = last_entry(connection) == 0
    if empty:
        try:  # made first: then a data set that is not found is one that may not be read
            api.create_repo(settings.backup_repo, repo_type="dataset", private=True, exist_ok=True)
            restore(store, settings.backup_repo, api)
        except Exception as error:  # the Hub's client raises many kinds
            raise BackupError(
                f"The ratings are empty, and {settings.backup_repo} could not be read ({_reason(error)}): "
                "without it annotators would begin anew. Try again, or unset PAL_BACKUP_REPO."
            ) from None
    return Backup(store, settings.backup_repo, settings.backup_minutes, api)


class Backup:
    """Pushes what is new every ``minutes``; an unreachable Hub is tried again."""

    def __init__(self, store: RatingStore, repo: str, minutes: float, api: HfApi):
        self._folder = Path(tempfile.mkdtemp(prefix="pal-mirror-"))
        self.file = MirrorFile(store, repo, self._folder / f"{uuid.uuid4().hex}.jsonl")
        self._repo, self._minutes, self._api = repo, minutes, api
        self._scheduler: _Scheduler | None = None
        self._tried, self._closed = threading.Event(), threading.Event()
        threading.Thread(target=self._start, name="pal-backup", daemon=True).start()

    def _start(self) -> None:
        """The scheduler makes the data set when it starts, which may have to wait for the Hub."""
        while not self._closed.is_set():
            try:
                self._scheduler = _Scheduler(
                    self.file,
                    repo_id=self._repo,
                    repo_type="dataset",
                    private=True,
                    folder_path=self._folder,
                    path_in_repo=RECORDS_FOLDER,
                    every=self._minutes,
                    hf_api=self._api,
                )
                return
            except Exception as error:  # the Hub's client raises many kinds
                self.file.failed(error)
            finally:
                self._tried.set()
            self._closed.wait(self._minutes * 60)

    def push(self, seconds: float = SECONDS_TO_FINISH) -> None:
        """Push now, and wait for it.

        Raises:
            BackupError: the Hub did not take it within ``seconds``.
        """
        until = time.monotonic() + seconds
        self._tried.wait(seconds)
        if self._scheduler is None:
            raise BackupError(f"The backup could not be started: {self.file.error}.")
        try:
            self._scheduler.trigger().result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise BackupError(f"The backup failed: the Hub did not answer within {seconds:g} s.") from None
        except Exception as error:
            raise BackupError(f"The backup failed: {_reason(error)}.") from None

    def status(self, moment: datetime) -> str:
        """Such as “backed up 3 min ago”."""
        at, error = self.file.backed_up_at, self.file.error
        done = f"backed up {_ago(moment - at)}" if at else "not backed up yet"
        return f"{done} (the last try failed)" if error else done

    def close(self, seconds: float = SECONDS_TO_FINISH) -> None:
        """Push what is left and stop, within ``seconds``; what the Hub does not take
        stays in the store."""
        self._closed.set()
        try:
            self.push(seconds)
        except BackupError as error:
            log.warning("%s The ratings are in the store and will be pushed at the next start.", error)
        if self._scheduler is not None:
            self._scheduler.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


class MirrorFile:
    """One start's file, and how far the mirror has got."""

    def __init__(self, store: RatingStore, repo: str, path: Path):
        self.backed_up_at: datetime | None = None
        self.error: str | None = None
        self._store, self._repo, self._path = store, repo, path
        with store.read() as connection:
            self._seq = mirrored_until(connection, repo)

    def append(self) -> int:
        """Write the journal's new records; gives the journal number reached.

        After a deletion the file is written anew without that person's lines.
        """
        with self._store.read() as connection:
            new = list(all_records(connection, self._seq))
        lines = [dumps(record) + "\n" for _, record in new]
        gone = {record.annotator for _, record in new if isinstance(record, Deletion)}
        if gone and self._path.exists():
            kept = without(self._path.read_text(encoding="ascii"), gone)
            self._path.write_text(kept, encoding="ascii")
        if lines:
            with self._path.open("a", encoding="ascii") as file:
                file.writelines(lines)
            self._seq = new[-1][0]
        return self._seq

    def pushed(self, seq: int) -> None:
        """Everything up to journal number ``seq`` is on the Hub."""
        with self._store.database.write() as connection:  # also while no more records are taken
            set_mirrored_until(connection, self._repo, seq)
        self.backed_up_at, self.error = now(), None

    def failed(self, error: Exception) -> None:
        """Remember why the last try failed."""
        self.error = _reason(error)
        log.warning("backup to %s failed: %s", self._repo, self.error)


class _Scheduler(CommitScheduler):
    """Reads the journal before each push, and notes how each push went."""

    def __init__(self, file: MirrorFile, **options):
        self._file = file  # the parent starts its thread at once
        super().__init__(**options)

    def push_to_hub(self):
        try:
            with self.lock:
                seq = self._file.append()
            commit = super().push_to_hub()
            self._file.pushed(seq)
            return commit
        except Exception as error:
            self._file.failed(error)
            raise


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def _ago(span: timedelta) -> str:
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min ago" if minutes else "just now"
    return f"{minutes // 60} h ago"
