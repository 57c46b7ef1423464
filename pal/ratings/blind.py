"""What a browser may see before the vote, texts by column and nothing else, and how a turn is shown."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pal.dialogue.turns import Exchange
from pal.engines.base import Decoding
from pal.ratings import queries
from pal.ratings.items import gold_turn
from pal.ratings.queries import Showing
from pal.ratings.queue import Assignment
from pal.ratings.records import ReplyRecord, Turn, new_id
from pal.ratings.store import insert

NO_REPLY = "(no reply)"
_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "\u2013": "-", "\u2014": "-"})


@dataclass(frozen=True)
class BlindTurn:
    """A turn as an annotator sees it. ``replies``: text of each column, in the
    order shown; it holds no variant, seed or hash, so it may be sent anywhere.
    ``own``: a turn of the annotator's own chat."""

    turn_id: str
    persona: tuple[str, ...]
    history: tuple[Exchange, ...]
    user: str
    replies: tuple[str, ...]
    own: bool = False


@dataclass(frozen=True)
class Revealed:
    """What the vote unlocks: ``columns[i]`` is the reply record of column i."""

    turn_id: str
    columns: tuple[ReplyRecord, ...]


def new_order(turn: Turn, annotator: str) -> tuple[str, ...]:
    """The variant of each column, for this turn and annotator.

    Not to be guessed from outside: ``turn.order_seed`` never leaves the server.
    The store keeps the order of the first showing, and later ones repeat it.
    """
    digest = hashlib.sha256(f"{turn.order_seed}:{annotator}".encode()).digest()
    variants = list(turn.variants)
    random.Random(int.from_bytes(digest)).shuffle(variants)
    return tuple(variants)


def shown_text(text: str) -> str:
    """A reply as shown, with the same spaces, quotes and dashes in every column."""
    plain = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return " ".join(plain.split()) or NO_REPLY


def blind(turn: Turn, order: Sequence[str]) -> BlindTurn:
    """The turn without anything that names a variant, its columns in ``order``."""
    history = tuple(Exchange(exchange.user, exchange.reply) for exchange in turn.history)
    replies = tuple(shown_text(turn.reply(variant).text) for variant in order)
    return BlindTurn(turn.id, turn.persona.sentences, history, turn.user, replies, turn.owner is not None)


def revealed(turn: Turn, order: Sequence[str]) -> Revealed:
    """The columns' reply records, in the order shown."""
    return Revealed(turn.id, tuple(turn.reply(variant) for variant in order))


def assigned_turn(
    connection: Connection, assignment: Assignment, campaign: str, decoding: Decoding, moment: datetime
) -> Turn | None:
    """The turn of an assignment, made on the spot where no model is needed;
    None when an item has no replies yet."""
    if assignment.repeat_of is not None:
        return _repeat(connection, assignment.repeat_of, moment)
    turn = queries.find_item_turn(connection, campaign, assignment.item.id)
    if turn is None and assignment.item.gold:
        turn = gold_turn(assignment.item, campaign, decoding, moment)
        insert(connection, turn)
    return turn


def _repeat(connection: Connection, turn_id: str, moment: datetime) -> Turn:
    repeat = queries.find_repeat(connection, turn_id)
    if repeat is None:
        original = queries.find_turn(connection, turn_id)
        repeat = dataclasses.replace(
            original,
            id=new_id(),
            order_seed=secrets.randbits(63),
            repeat_of=turn_id,
            created_at=moment,
        )
        insert(connection, repeat)
    return repeat


def show_turn(
    connection: Connection, annotator: str, turn: Turn, moment: datetime, pause: timedelta
) -> BlindTurn:
    """The turn as shown, and a note of the showing. A turn keeps its order; its
    time starts anew when the last showing is longer ago than ``pause``."""
    showing = queries.find_showing(connection, annotator, turn.id)
    if showing is None or moment - showing.shown_at > pause:
        order = showing.order if showing else new_order(turn, annotator)
        showing = Showing(order, moment)
        queries.put_showing(connection, annotator, turn.id, showing)
    return blind(turn, showing.order)
