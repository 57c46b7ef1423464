"""What a browser may see before the vote: texts by column and nothing else."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from dataclasses import dataclass

from pal.dialogue import Exchange
from pal.ratings.records import ReplyRecord, Turn

NO_REPLY = "(no reply)"
_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "\u2013": "-", "\u2014": "-"})


@dataclass(frozen=True)
class BlindTurn:
    """A turn as an annotator sees it. ``replies``: text of each column, in the
    order shown; it holds no variant, seed or hash, so it may be sent anywhere."""

    turn_id: str
    persona: tuple[str, ...]
    history: tuple[Exchange, ...]
    user: str
    replies: tuple[str, ...]


@dataclass(frozen=True)
class Revealed:
    """What the vote unlocks: ``columns[i]`` is the reply record of column i."""

    turn_id: str
    columns: tuple[ReplyRecord, ...]


def display_order(turn: Turn, annotator: str) -> tuple[str, ...]:
    """The variant of each column, for this turn and annotator.

    Always the same for the same two, so a restart changes nothing, and not
    to be guessed from outside: ``turn.order_seed`` never leaves the server.
    """
    digest = hashlib.sha256(f"{turn.order_seed}:{annotator}".encode()).digest()
    variants = list(turn.variants)
    random.Random(int.from_bytes(digest)).shuffle(variants)
    return tuple(variants)


def shown_text(text: str) -> str:
    """A reply as shown, with the same spaces, quotes and dashes in every column."""
    plain = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return " ".join(plain.split()) or NO_REPLY


def blind(turn: Turn, annotator: str) -> BlindTurn:
    """The turn without anything that names a variant."""
    history = tuple(Exchange(exchange.user, exchange.reply) for exchange in turn.history)
    replies = tuple(shown_text(turn.reply(variant).text) for variant in display_order(turn, annotator))
    return BlindTurn(turn.id, turn.persona.sentences, history, turn.user, replies)


def revealed(turn: Turn, annotator: str) -> Revealed:
    """The columns' reply records, in the order shown."""
    return Revealed(turn.id, tuple(turn.reply(variant) for variant in display_order(turn, annotator)))
