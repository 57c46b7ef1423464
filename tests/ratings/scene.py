"""A small rating campaign for tests: items, turns and annotators."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from pal.dialogue.persona import Persona
from pal.dialogue.turns import Exchange
from pal.engines.base import Decoding
from pal.ratings.annotators import NOTICE_VERSION
from pal.ratings.backup import Backup
from pal.ratings.desk import RatingDesk
from pal.ratings.items import FixedReply, Item
from pal.ratings.queue import Queue, QueueSettings
from pal.ratings.records import Provenance, ReplyRecord, Turn, Vote
from pal.ratings.store import RatingStore

CAMPAIGN = "c0ffee"
PERSONA = Persona(("I am a nurse.", "I have two cats.", "I sail."))
MADE_BY = Provenance({"baseline": "b" * 64, "stage1": "5" * 64, "aligned": "a" * 64}, "fake", "none", "0")
_numbers = itertools.count()


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **units: float) -> None:
        self.time += timedelta(**units)


def item(number: int, *, gold: bool = False) -> Item:
    """An item; a gold one has a good, a fair and a bad reply, in this order."""
    fixed = (("Good.", 3), ("Fair.", 2), ("Bad.", 1)) if gold else ()
    return Item(
        f"{'gold' if gold else 'item'}-{number}",
        PERSONA,
        (Exchange("Hi!", "Hello, nice to meet you."),),
        f"What is question {number}?",
        "question",
        tuple(FixedReply(*reply) for reply in fixed),
    )


def turn(of: Item | None = None, owner: str | None = None, **changes) -> Turn:
    """A finished turn of all three variants, as ``generate_turn`` makes it."""
    replies = tuple(
        ReplyRecord(
            variant,
            f"A {word} answer to {of.user if of else 'you'}",
            selected=None if variant == "baseline" else 0,
            probabilities=None if variant == "baseline" else (0.1, 0.7, 0.1, 0.1),
            earlier=(None,),
            consistency=((0.1, 0.2, 0.7), (0.0, 1.0, 0.0), (0.8, 0.1, 0.1)),
            tokens=7,
            seconds=0.5,
        )
        for variant, word in (("baseline", "plain"), ("stage1", "careful"), ("aligned", "fitting"))
    )
    values = {
        "persona": PERSONA,
        "history": (Exchange("Hi!", "Hello, nice to meet you."),),
        "user": of.user if of else "Do you sail?",
        "replies": replies,
        "seed": 7,
        "decoding": Decoding(),
        "provenance": MADE_BY,
        "campaign": CAMPAIGN,
        "item": of.id if of else None,
        "owner": owner,
    }
    return Turn(**{**values, **changes})


def desk(
    url: str,
    items: list[Item],
    clock: Clock | None = None,
    backup: tuple | None = None,
    salt: str = "",
    **settings,
) -> RatingDesk:
    """A desk over the store at ``url``; ``backup``: arguments of its ``Backup``, after the store."""
    queue = Queue(items, CAMPAIGN, QueueSettings(**settings))
    store = RatingStore(url, salt)
    return RatingDesk(store, queue, Backup(store, *backup) if backup else None, clock or Clock())


def annotator(on: RatingDesk) -> str:
    """A new annotator who has consented."""
    return on.enrol(on.new_annotator(), NOTICE_VERSION)


def shown(on: RatingDesk, who: str):
    """The next task's turn, its replies made when there are none; None at the end."""
    task = on.next_task(who)
    if task is None:
        return None
    return task.turn or on.add_turn(who, turn(task.item))


def submission() -> str:
    """A new submission id."""
    return f"submission-{next(_numbers)}"


def vote(turn_id: str, ranks=(1, 2, 3), **values) -> Vote:
    """A vote with a new submission id."""
    return Vote(turn_id, values.pop("submission", None) or submission(), tuple(ranks), **values)
