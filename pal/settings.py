"""How the app runs, from the environment. Every variable is optional."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from platformdirs import user_data_path

from pal.errors import PalError

ENGINES = ("auto", "llamacpp")
PREFIX = "PAL_"
READ_ELSEWHERE = frozenset(  # by pal.models.bases and by tests
    {"PAL_CACHE", "PAL_REQUIRE_BROWSER", "PAL_REQUIRE_POSTGRESQL"}
)
REPOSITORY = Path(__file__).resolve().parents[1]
ADAPTERS = REPOSITORY / "assets" / "adapters"


class SettingsError(PalError):
    """An environment variable is unknown or has an impossible value."""


@dataclass(frozen=True)
class Settings:
    """One field per variable: ``host`` is read from ``PAL_HOST``, and so on.

    Attributes:
        host: address to listen on; ``0.0.0.0`` by default on a Space.
        port: port to listen on.
        engine: one of ``ENGINES``.
        adapters: folder with one PEFT adapter folder per shipped variant.
        variants: YAML or JSON file of further variants, see ``pal.chat.variants``.
        selection: JSON file with the selection settings per variant.
        consistency: judge replies against the persona, for the badges.
        turns_at_once: turns that may be open at the same time; they share the
            engine, can be stopped, and show that they wait for it.
        queue_size: further turns that may wait in line; more are told that
            the queue is full.
        data: folder of the ratings; the platform's user data folder.
        rating_items: JSONL of the items to rate.
        rating_overlap: annotators per item.
        rating_threshold: votes below which no statistics are shown.
        backup_repo: private Hub data set that mirrors the ratings, "" for none.
        backup_minutes: time between two pushes to it.
        salt: of the annotators' hashes; "" for one that the store keeps itself.
        admin_password: of the host's page; "" for no such page.
        database_url: PostgreSQL instead of SQLite; read from ``DATABASE_URL``.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    engine: str = "auto"
    adapters: Path = ADAPTERS
    variants: Path | None = None
    selection: Path = REPOSITORY / "assets" / "selection.json"
    consistency: bool = True
    turns_at_once: int = 32
    queue_size: int = 64
    data: Path = user_data_path("pal", appauthor=False)
    rating_items: Path = REPOSITORY / "assets" / "rating_items.jsonl"
    rating_overlap: int = 3
    rating_threshold: int = 30
    backup_repo: str = ""
    backup_minutes: int = 5
    salt: str = field(default="", repr=False)
    admin_password: str = field(default="", repr=False)
    database_url: str = field(default="", repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from environment variables; blank ones count as unset.

        Raises:
            SettingsError: an unknown ``PAL_*`` name, or a value that cannot be.
        """
        names = {_variable(item.name): item.name for item in fields(cls)}
        unknown = sorted(
            name
            for name in environ
            if name.startswith(PREFIX) and name not in names and name not in READ_ELSEWHERE
        )
        if unknown:
            known = ", ".join(sorted([*names, *READ_ELSEWHERE]))
            raise SettingsError(f"Unknown setting {', '.join(unknown)}. Known settings: {known}.")
        values = {"host": "0.0.0.0"} if environ.get("SPACE_ID") else {}
        for name, attribute in names.items():
            text = environ.get(name, "").strip()
            if text:
                values[attribute] = _PARSERS[attribute](name, text)
        if values.get("backup_repo") and not values.get("salt"):
            raise SettingsError(
                "PAL_BACKUP_REPO needs PAL_SALT as well, 16 random characters or more that stay the same: "
                "without it annotators could not go on after a restore."
            )
        return cls(**values)


def _variable(attribute: str) -> str:
    return "DATABASE_URL" if attribute == "database_url" else PREFIX + attribute.upper()


def _text(name: str, text: str) -> str:
    return text


def _path(name: str, text: str) -> Path:
    return Path(text).expanduser()


def _switch(name: str, text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise SettingsError(f"{name} is “{text}”; it must be on or off.")
    return text.lower() == "on"


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


def _repository(name: str, text: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        raise SettingsError(f"{name} is “{text}”; it must name a Hub data set, such as me/pal-ratings.")
    return text


def _secret(least: int) -> Callable[[str, str], str]:
    def parse(name: str, text: str) -> str:
        if len(text) < least:
            raise SettingsError(f"{name} has {len(text)} characters; it must have at least {least}.")
        return text

    return parse


def _database(name: str, text: str) -> str:
    scheme, found, rest = text.partition("://")
    if not found or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise SettingsError(f"{name} must be a PostgreSQL address: postgresql://user:password@host/database.")
    return f"postgresql+psycopg://{rest}"


_PARSERS = {
    "host": _text,
    "port": _whole_number(0, 65535),
    "engine": _engine,
    "adapters": _path,
    "variants": _path,
    "selection": _path,
    "consistency": _switch,
    "turns_at_once": _whole_number(1, 1000),
    "queue_size": _whole_number(1, 100_000),
    "data": _path,
    "rating_items": _path,
    "rating_overlap": _whole_number(1, 1000),
    "rating_threshold": _whole_number(0, 1_000_000),
    "backup_repo": _repository,
    "backup_minutes": _whole_number(1, 1440),
    "salt": _secret(16),
    "admin_password": _secret(8),
    "database_url": _database,
}
