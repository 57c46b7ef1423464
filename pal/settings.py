"""How the app runs, from the environment. Every variable is optional."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from pal.errors import PalError

ENGINES = ("auto", "llamacpp")
PREFIX = "PAL_"
READ_ELSEWHERE = frozenset({"PAL_CACHE", "PAL_REQUIRE_BROWSER"})  # pal.checkpoints, tests/browser
REPOSITORY = Path(__file__).resolve().parents[1]


class SettingsError(PalError):
    """An environment variable is unknown or has an impossible value."""


@dataclass(frozen=True)
class Settings:
    """One field per variable: ``host`` is read from ``PAL_HOST``, and so on.

    Attributes:
        host: address to listen on; ``0.0.0.0`` by default on a Space.
        port: port to listen on.
        engine: one of ``ENGINES``.
        adapters: folder with one PEFT adapter folder per variant.
        selection: JSON file with the selection settings per variant.
        turns_at_once: turns that may be open at the same time; they share the
            engine, can be stopped, and show that they wait for it.
        queue_size: further turns that may wait in line; more are told that
            the queue is full.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    engine: str = "auto"
    adapters: Path = REPOSITORY / "assets" / "adapters"
    selection: Path = REPOSITORY / "assets" / "selection.json"
    turns_at_once: int = 32
    queue_size: int = 64

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from environment variables; blank ones count as unset.

        Raises:
            SettingsError: an unknown ``PAL_*`` name, or a value that cannot be.
        """
        names = {PREFIX + field.name.upper(): field.name for field in fields(cls)}
        unknown = sorted(
            name
            for name in environ
            if name.startswith(PREFIX) and name not in names and name not in READ_ELSEWHERE
        )
        if unknown:
            known = ", ".join(sorted([*names, *READ_ELSEWHERE]))
            raise SettingsError(f"Unknown setting {', '.join(unknown)}. Known settings: {known}.")
        values = {"host": "0.0.0.0"} if environ.get("SPACE_ID") else {}
        for name, field in names.items():
            text = environ.get(name, "").strip()
            if text:
                values[field] = _PARSERS[field](name, text)
        return cls(**values)


def _text(name: str, text: str) -> str:
    return text


def _path(name: str, text: str) -> Path:
    return Path(text).expanduser()


def _engine(name: str, text: str) -> str:
    if text not in ENGINES:
        raise SettingsError(f"{name} is “{text}”; it must be one of: {', '.join(ENGINES)}.")
    return text


def _whole_number(low: int, high: int) -> Callable[[str, str], int]:
    def parse(name: str, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            raise SettingsError(f"{name} is “{text}”; it must be a whole number from {low:,} to {high:,}.")
        return number

    return parse


_PARSERS = {
    "host": _text,
    "port": _whole_number(0, 65535),
    "engine": _engine,
    "adapters": _path,
    "selection": _path,
    "turns_at_once": _whole_number(1, 1000),
    "queue_size": _whole_number(1, 100_000),
}
