"""How the app runs, from the environment. Every variable is optional.

pydantic checks the values; what pydantic-settings adds would not do here: it passes
over unknown ``PAL_*`` names, and a default must never come from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal, get_args

from platformdirs import user_data_path
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic.dataclasses import dataclass

from pal.errors import PalError

Engine = Literal["auto", "llamacpp"]
ENGINES: tuple[str, ...] = get_args(Engine)
PREFIX = "PAL_"
READ_ELSEWHERE = frozenset(  # by pal.models.hub and by tests
    {"PAL_CACHE", "PAL_REQUIRE_BROWSER", "PAL_REQUIRE_POSTGRESQL"}
)
REPOSITORY = Path(__file__).resolve().parents[1]
ADAPTERS = REPOSITORY / "assets" / "adapters"


class SettingsError(PalError):
    """An environment variable is unknown or has an impossible value."""


def _one_of(*values: str) -> BeforeValidator:
    def check(value: str) -> str:
        if value not in values:
            raise ValueError(f"it must be one of: {', '.join(values)}")
        return value

    return BeforeValidator(check)


def _switch(value: str | bool) -> bool:
    if isinstance(value, bool):
        return value
    if value.lower() not in ("on", "off"):
        raise ValueError("it must be on or off")
    return value.lower() == "on"


def _whole_number(low: int, high: int) -> BeforeValidator:
    def check(value: str | int) -> int:
        if not re.fullmatch(r"[+-]?\d+", str(value)) or not low <= int(value) <= high:
            raise ValueError(f"it must be a whole number from {low:,} to {high:,}")
        return int(value)

    return BeforeValidator(check)


def _data_set(value: str) -> str:
    if value and not re.fullmatch(r"[\w.-]+/[\w.-]+", value):
        raise ValueError("it must name a Hub data set, such as me/pal-ratings")
    return value


def _secret(least: int) -> AfterValidator:
    def check(value: str) -> str:
        if value and len(value) < least:
            raise ValueError(f"has {len(value)} characters; it must have at least {least}")
        return value

    return AfterValidator(check)


def _database(value: str) -> str:
    scheme, _, address = value.partition("://")
    if value and (not address or scheme not in ("postgres", "postgresql", "postgresql+psycopg")):
        raise ValueError("must be a PostgreSQL address: postgresql://user:password@host/database")
    return value and f"postgresql+psycopg://{address}"


File = Annotated[Path, AfterValidator(Path.expanduser)]


@dataclass(frozen=True)
class Settings:
    """One field per variable: ``host`` is read from ``PAL_HOST``, and so on.

    Attributes:
        host: address to listen on; ``0.0.0.0`` by default on a Space.
        port: port to listen on.
        engine: one of ``ENGINES``.
        adapters: folder with one PEFT adapter folder per shipped variant.
        variants: YAML or JSON file of further variants, see ``pal.chat.variants``.
        merge: serve each adapter merged into a file of its own, Q8_0; faster, more memory.
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
    port: Annotated[int, _whole_number(0, 65535)] = 7860
    engine: Annotated[Engine, _one_of(*ENGINES)] = "auto"
    adapters: File = ADAPTERS
    variants: File | None = None
    merge: Annotated[bool, BeforeValidator(_switch)] = False
    selection: File = REPOSITORY / "assets" / "selection.json"
    consistency: Annotated[bool, BeforeValidator(_switch)] = True
    turns_at_once: Annotated[int, _whole_number(1, 1000)] = 32
    queue_size: Annotated[int, _whole_number(1, 100_000)] = 64
    data: File = user_data_path("pal", appauthor=False)
    rating_items: File = REPOSITORY / "assets" / "rating_items.jsonl"
    rating_overlap: Annotated[int, _whole_number(1, 1000)] = 3
    rating_threshold: Annotated[int, _whole_number(0, 1_000_000)] = 30
    backup_repo: Annotated[str, AfterValidator(_data_set)] = ""
    backup_minutes: Annotated[int, _whole_number(1, 1440)] = 5
    salt: Annotated[str, _secret(16)] = Field(default="", repr=False)
    admin_password: Annotated[str, _secret(8)] = Field(default="", repr=False)
    database_url: Annotated[str, AfterValidator(_database)] = Field(default="", repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Settings from environment variables; blank ones count as unset.

        Raises:
            SettingsError: an unknown ``PAL_*`` name, or a value that cannot be.
        """
        names = {_variable(item.name): item.name for item in fields(cls)}
        unknown = sorted(
            name for name in environ if name.startswith(PREFIX) and name not in {*names, *READ_ELSEWHERE}
        )
        if unknown:
            known = ", ".join(sorted([*names, *READ_ELSEWHERE]))
            raise SettingsError(f"Unknown setting {', '.join(unknown)}. Known settings: {known}.")
        values = {"host": "0.0.0.0"} if environ.get("SPACE_ID") else {}
        given = {names[name]: environ[name].strip() for name in names if environ.get(name, "").strip()}
        try:
            settings = cls(**values | given)
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None
        if settings.backup_repo and not settings.salt:
            raise SettingsError(
                "PAL_BACKUP_REPO needs PAL_SALT as well, 16 random characters or more that stay the same: "
                "without it annotators could not go on after a restore."
            )
        return settings


def _variable(attribute: str) -> str:
    return "DATABASE_URL" if attribute == "database_url" else PREFIX + attribute.upper()


def _explain(error: ValidationError) -> str:
    """The first problem as a sentence; secrets are not repeated."""
    problem = error.errors()[0]
    attribute = str(problem["loc"][0])
    secret = not next(item.repr for item in fields(Settings) if item.name == attribute)
    value = "" if secret else f"is “{problem['input']}”; "
    return f"{_variable(attribute)} {value}{problem['msg'].removeprefix('Value error, ')}."
