"""Writing files and folders whole or not at all, and naming the bytes of a file."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pal.errors import DataError


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """An empty file beside ``path``, to be written in the block; it then becomes
    ``path``, in one step, or is removed if the block fails. So a reader, or a
    stopped run, never sees half of it. Makes the folder.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)  # mkstemp makes it private
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """As ``new_file``, for a folder that does not exist yet.

    Raises:
        OSError: the folder around it cannot be written, or ``path`` exists by now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield partial
        for file in partial.iterdir():
            file.chmod(0o644)
        partial.chmod(0o755)  # mkdtemp makes it private
        os.rename(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, as ``new_file`` does.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        with new_file(path) as partial:
            partial.write_bytes(text.encode("utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
