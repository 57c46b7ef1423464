"""Records as JSON objects and back: the form of the store, the mirror and exports."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import Any

from pal.dialogue import Exchange
from pal.engines.base import Decoding
from pal.errors import DataError
from pal.persona import Persona
from pal.ratings.records import Consent, Deletion, Provenance, Rating, Record, ReplyRecord, Reveal, Turn

KINDS: dict[str, type] = {
    "turn": Turn,
    "rating": Rating,
    "consent": Consent,
    "deletion": Deletion,
    "reveal": Reveal,
}


def kind_of(record: Record) -> str:
    """The record's name in ``KINDS``."""
    return next(kind for kind, cls in KINDS.items() if isinstance(record, cls))


def to_json(record: Record) -> dict[str, Any]:
    """The record as plain JSON values, with its ``kind`` first."""
    content = {item.name: _plain(getattr(record, item.name)) for item in dataclasses.fields(record)}
    return {"kind": kind_of(record), **content}


def dumps(record: Record) -> str:
    """The record as one line of ASCII JSON: nothing typed can break a line or an encoding."""
    return json.dumps(to_json(record), separators=(",", ":"))


def from_json(content: dict[str, Any]) -> Record:
    """The record of a JSON object.

    Raises:
        DataError: an unknown kind or field, or a missing one.
    """
    try:
        values = dict(content)
        cls = KINDS[values.pop("kind")]
        known = {item.name for item in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"unknown field {sorted(unknown)[0]}")
        return cls(**{name: _DECODERS.get(name, _as_is)(value) for name, value in values.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"Not a record of ratings ({error!r}).") from None


def loads(line: str) -> Record:
    """The record of a line; see ``from_json``."""
    try:
        content = json.loads(line)
    except ValueError as error:
        raise DataError(f"Not a record of ratings ({error}).") from None
    return from_json(content if isinstance(content, dict) else {})


def _plain(value: Any) -> Any:
    if isinstance(value, Persona):
        return {"sentences": list(value.sentences), "hash": value.hash}
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return dict(value) if isinstance(value, dict) else value


def _as_is(value: Any) -> Any:
    return tuple(map(_as_is, value)) if isinstance(value, list) else value


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _reply(content: dict[str, Any]) -> ReplyRecord:
    return ReplyRecord(**{name: _as_is(value) for name, value in content.items()})


_DECODERS = {
    "persona": lambda value: Persona(tuple(value["sentences"])),
    "history": lambda value: tuple(Exchange(**exchange) for exchange in value),
    "replies": lambda value: tuple(map(_reply, value)),
    "decoding": lambda value: Decoding(**value),
    "provenance": lambda value: Provenance(**value),
    **dict.fromkeys(
        ("created_at", "shown_at", "submitted_at", "given_at", "deleted_at", "revealed_at"), _moment
    ),
}
