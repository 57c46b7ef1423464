"""Writing files whole or not at all, and naming their bytes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from pal.errors import DataError


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text under another name and rename it, so that a reader, or a
    stopped run, never sees half of it. Makes the folder.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(name, 0o644)  # mkstemp makes it private
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
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
