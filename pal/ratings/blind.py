"""What a browser may see before the vote: texts by column and nothing else."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pal.dialogue import Exchange
from pal.ratings.records import ReplyRecord, Turn

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
