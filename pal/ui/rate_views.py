"""The Rate page as HTML: what its templates need. Before the vote it sees a BlindTurn, nothing else."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Sequence
from dataclasses import dataclass

from pal.chat.variants import Variants
from pal.dialogue.persona import Example
from pal.ratings.blind import BlindTurn, Revealed
from pal.ratings.desk import Progress
from pal.ratings.records import FLAGS, MAX_COMMENT_CHARS, Rating, ReplyRecord
from pal.ui.templates import number_word, render

PLACES = ("best", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
FILE = "pal-my-ratings.json"


@dataclass(frozen=True)
class FlagButton:
    """A mark's button: its name in the records, its key, what it says, and what it says at length."""

    name: str
    key: str
    label: str
    title: str


FLAG_LABELS = dict(
    zip(FLAGS, ("uses persona", "contradicts it", "parrots it", "ignores user", "broken"), strict=True)
)
FLAG_BUTTONS = tuple(
    FlagButton(name, key, FLAG_LABELS[name], title)
    for (name, title), key in zip(FLAGS.items(), "uxpik", strict=True)
)


@dataclass(frozen=True)
class Head:
    """What stands above every view. ``status``: “saved · backed up 3 min ago”.
    ``new``: the annotator has just got the id and should note it down."""

    progress: Progress
    status: str
    code: str
    new: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a reply says about a persona sentence: that it is so, or that it is not."""

    agrees: bool
    sentence: str
    probability: float


@dataclass(frozen=True)
class NamedColumn:
    """A column after the vote. ``known``: a model of this page wrote it, and no person.
    ``marks``: the vote on it in words."""

    letter: str
    title: str
    style: str
    known: bool
    text: str
    reply: ReplyRecord
    marks: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


def introduction(columns: int) -> str:
    """What the page is for."""
    return (
        f"Compare {number_word(columns)} replies without knowing which model wrote them. "
        "Your votes can retrain the model."
    )


def letters(columns: int) -> str:
    """The columns' names before the vote: “ABC”."""
    return string.ascii_uppercase[:columns]


def welcome(columns: int) -> str:
    """Notice and consent, and the way back in for those who have an id."""
    return _render("welcome", letters(columns))


def closed(reason: str) -> str:
    """Rating is not possible now."""
    return _render("closed", reason)


def writing(head: Head, section: str, user: str, replies: int) -> str:
    """``replies`` replies to ``user`` are being made."""
    return _render("writing", head, section, user, replies)


def interrupted() -> str:
    """The replies could not be made; the script keeps what was asked."""
    return _render("interrupted")


def board(head: Head, turn: BlindTurn, earlier: Rating | None = None) -> str:
    """Unnamed replies to rank; ``earlier`` is the vote to correct, if there is one."""
    columns = len(turn.replies)
    marks = json.dumps(_marks(earlier)) if earlier else ""
    return _render(
        "board",
        *(head, section_of(turn), turn, letters(columns)),
        *(PLACES[:columns], FLAG_BUTTONS, MAX_COMMENT_CHARS, marks),
    )


def revealed(head: Head, turn: BlindTurn, names: Revealed, rating: Rating, variants: Variants) -> str:
    """The same columns with names, selections, consistency and the vote just given."""
    columns = [_named(number, turn, reply, rating, variants) for number, reply in enumerate(names.columns)]
    best = min(range(len(columns)), key=lambda column: rating.ranks[column] if rating.ranks else 0)
    return _render("revealed", head, section_of(turn), turn, letters(len(columns)), columns, best)


def skipped(head: Head, turn_id: str) -> str:
    """A skip is saved; the script asks for the next item."""
    return _render("skipped", head, turn_id)


def own_start(head: Head, examples: Sequence[Example]) -> str:
    """Choose or write a persona, and say the first message."""
    return _render("own_start", head, examples)


def done(head: Head) -> str:
    """The queue is empty."""
    return _render("done", head)


def answers(head: Head, shown: Sequence[tuple[Rating, BlindTurn]], page: int, pages: int) -> str:
    """Earlier votes, newest first, each with a way to correct it."""
    rows = [(turn.user, _summary(rating), turn.turn_id) for rating, turn in shown]
    return _render("answers", head, rows, page, pages)


def account(head: Head, data: str = "") -> str:
    """The annotator's id, and their data to take or delete. ``data``: JSON text, once asked for."""
    encoded = base64.b64encode(data.encode()).decode()
    return _render("account", head, FILE, encoded, len(data) // 1024 + 1)


def erased(records: int) -> str:
    """After deletion."""
    return _render("erased", records)


def section_of(turn: BlindTurn) -> str:
    """Where a turn belongs: the queue or an own chat."""
    return "own" if turn.own else "next"


def verdict(rating: Rating, column: int) -> str:
    """What a vote says of one column."""
    if rating.skip:
        return "skipped"
    if rating.all_bad:
        return "all bad"
    rank = rating.ranks[column]
    tie = " (tie)" if rating.ranks.count(rank) > 1 else ""
    return PLACES[rank - 1] + tie


def _render(macro: str, *values: object) -> str:
    return render("rate.html", macro, *values)


def _marks(rating: Rating) -> dict[str, object]:
    """A vote as the script holds it."""
    ranks = [] if rating.all_bad else list(rating.ranks)
    flags = [list(flags) for flags in rating.flags]
    return {"ranks": ranks, "flags": flags, "bad": rating.all_bad, "comment": rating.comment}


def _named(
    number: int, turn: BlindTurn, reply: ReplyRecord, rating: Rating, variants: Variants
) -> NamedColumn:
    flags = rating.flags[number] if rating.flags else ()
    known = reply.variant in variants
    return NamedColumn(
        letter=letters(len(turn.replies))[number],
        title=variants.title(reply.variant) if known else "Written by hand",
        style=reply.variant if known else "baseline",
        known=known,
        text=turn.replies[number],
        reply=reply,
        marks=(verdict(rating, number), *(FLAG_LABELS[flag] for flag in flags)),
        verdicts=_verdicts(reply, turn.persona),
    )


def _verdicts(reply: ReplyRecord, persona: Sequence[str]) -> tuple[Verdict, ...]:
    """What the reply says of each sentence on which it is not neutral."""
    if reply.consistency is None:
        return ()
    return tuple(
        Verdict(label == "entailment", sentence, max(row))
        for sentence, row, label in zip(persona, reply.consistency, reply.verdicts, strict=True)
        if label != "neutral"
    )


def _summary(rating: Rating) -> str:
    if rating.skip or rating.all_bad:
        words = [verdict(rating, 0)]
    else:
        words = [
            f"{letter} {verdict(rating, column)}" for column, letter in enumerate(letters(len(rating.ranks)))
        ]
    return " · ".join([*words, "corrected"] if rating.correction else words)
