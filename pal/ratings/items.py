"""Rating items: a persona and a history that ends with a message to answer.

One JSON object a line: ``id``, ``kind``, ``persona`` (sentences), ``history``
([{"speaker": "user"|"persona", "text"}], the user last) and, in gold items,
``replies`` ([{"text", "quality"}], higher is better).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pal import __version__
from pal.dialogue.persona import Persona
from pal.dialogue.readers import read_jsonl
from pal.dialogue.turns import Exchange, check_message
from pal.engines.base import Decoding
from pal.errors import DataError, PalError
from pal.ratings.records import Provenance, ReplyRecord, Turn

_FIELDS = {"id", "kind", "persona", "history", "replies"}
FIXED = "fixed replies"


@dataclass(frozen=True)
class FixedReply:
    """A reply of a gold item. ``quality``: higher is better."""

    text: str
    quality: float


@dataclass(frozen=True)
class Item:
    """One entry of the queue. ``replies`` is empty except in a gold item, whose
    replies are fixed and need no model."""

    id: str
    persona: Persona
    history: tuple[Exchange, ...]
    user: str
    kind: str
    replies: tuple[FixedReply, ...] = ()

    @property
    def gold(self) -> bool:
        """True when the right ranking is known. Never shown to annotators."""
        return bool(self.replies)


def read_items(path: Path) -> tuple[Item, ...]:
    """The items of a file, in its order.

    Raises:
        DataError: no item, an id twice, or a malformed line, which is named.
    """
    items: dict[str, tuple[int, Item]] = {}
    for number, row in read_jsonl(path):
        try:
            item = _item(row)
        except (PalError, KeyError, TypeError, ValueError) as error:
            reason = f"“{error.args[0]}” is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}, line {number}: not a rating item: {reason}") from None
        if item.id in items:
            first = items[item.id][0]
            raise DataError(f"{path}, line {number}: id “{item.id}” stands already on line {first}.")
        items[item.id] = (number, item)
    if not items:
        raise DataError(f"{path}: no rating items in it.")
    return tuple(item for _, item in items.values())


def _item(row: dict) -> Item:
    if unknown := set(row) - _FIELDS:
        raise ValueError(f"unknown field “{sorted(unknown)[0]}”; known are {', '.join(sorted(_FIELDS))}.")
    history, user = _exchanges(row["history"])
    return Item(
        id=_text(row["id"], "id"),
        persona=Persona.parse([_text(sentence, "persona sentence") for sentence in row["persona"]]),
        history=history,
        user=user,
        kind=_text(row["kind"], "kind"),
        replies=_replies(row.get("replies", [])),
    )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is {value!r}; it must be text.")
    return value.strip()


def _exchanges(turns: Sequence[dict]) -> tuple[tuple[Exchange, ...], str]:
    exchanges, waiting = [], None
    for position, turn in enumerate(turns):
        speaker, text = turn["speaker"], check_message(_text(turn["text"], "a history text"))
        if speaker not in ("user", "persona"):
            raise ValueError(f"speaker is “{speaker}”; it must be user or persona.")
        if (speaker == "user") == (waiting is not None) and position:
            raise ValueError(f"{speaker} speaks twice in a row in the history.")
        if speaker == "persona":
            exchanges.append(Exchange(waiting, text))
        waiting = text if speaker == "user" else None
    if waiting is None:
        raise ValueError("the history must end with the user.")
    return tuple(exchanges), waiting


def _replies(rows: Sequence[dict]) -> tuple[FixedReply, ...]:
    replies = tuple(FixedReply(_text(row["text"], "a reply"), float(row["quality"])) for row in rows)
    if replies and len({reply.quality for reply in replies}) < 2:
        raise ValueError("replies of a gold item need at least two different qualities.")
    if replies and len({reply.text for reply in replies}) < len(replies):
        raise ValueError("two replies of a gold item are the same.")
    return replies


def gold_turn(item: Item, campaign: str, decoding: Decoding, moment: datetime) -> Turn:
    """The turn of a gold item, with its replies as variants ``gold1``, ``gold2``, …"""
    return Turn(
        persona=item.persona,
        history=item.history,
        user=item.user,
        replies=tuple(
            ReplyRecord(f"gold{number}", reply.text, quality=reply.quality)
            for number, reply in enumerate(item.replies, 1)
        ),
        seed=0,
        decoding=decoding,
        provenance=Provenance({}, FIXED, "none", __version__),
        campaign=campaign,
        item=item.id,
        created_at=moment,
    )
