"""Finished pieces of work, one JSON line each: a stopped run goes on, and a later one adds to them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pal.errors import DataError


class Journal:
    """What is finished so far, by key; of a key added twice the later value counts.

    The first line holds the run's settings; a file of other settings is
    refused, and a last line that a kill cut short is dropped.

    Raises:
        DataError: the file belongs to a run with other settings, or is damaged.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self._path = path
        self._done: dict[str, Any] = {}
        settings = json.loads(json.dumps(settings))
        lines = self._complete_lines()
        if lines:
            self._load(lines, settings)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings) + "\n", encoding="utf-8")

    def _complete_lines(self) -> list[str]:
        if not self._path.is_file():
            return []
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self._path, len(whole))
        return whole.decode("utf-8").splitlines()

    def _load(self, lines: list[str], settings: dict[str, Any]) -> None:
        try:
            found, *entries = [json.loads(line) for line in lines]
            self._done = {entry["key"]: entry["value"] for entry in entries}
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{self._path} is damaged; delete it and start again.") from None
        if found != settings:
            changed = sorted(name for name in {*found, *settings} if found.get(name) != settings.get(name))
            raise DataError(
                f"{self._path} belongs to a run with other settings ({', '.join(changed)}); "
                "choose another folder with --out, or delete that file."
            )

    def __contains__(self, key: str) -> bool:
        return key in self._done

    def __getitem__(self, key: str) -> Any:
        return self._done[key]

    def get(self, key: str) -> Any:
        """The value of a finished piece, or None."""
        return self._done.get(key)

    def add(self, key: str, value: Any) -> None:
        """Record a finished piece; it survives a kill from here on."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "value": value}, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._done[key] = value
