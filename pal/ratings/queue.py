"""Who rates what next, and how far everybody is.

Least-annotated items come first, each by ``overlap`` annotators. Gold items, which
everybody gets, and one repeated turn come silently in between. Everything is
derived from what is stored, so an annotator goes on where they were.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from pal.ratings import schema
from pal.ratings.items import Item
from pal.ratings.queries import is_active
from pal.ratings.records import Rating
from pal.ratings.store import all_records

REPEAT_LEAST = 3


@dataclass(frozen=True)
class QueueSettings:
    """How items are given out.

    Attributes:
        overlap: annotators per item, besides skips.
        lease: how long an item stays kept for the annotator who has it.
        gold_every: one gold item for this many ordinary ones.
        repeat_after: ranked items before an early one is repeated; with fewer
            items the repeat comes last, once three were ranked.
    """

    overlap: int = 3
    lease: timedelta = timedelta(minutes=30)
    gold_every: int = 8
    repeat_after: int = 12


@dataclass(frozen=True)
class Assignment:
    """The item to rate; ``repeat_of`` is the turn to repeat, or None."""

    item: Item
    repeat_of: str | None = None


@dataclass(frozen=True)
class _Mine:
    """One active rating of the annotator, in the order of first voting."""

    item: str
    turn_id: str
    repeats: bool
    skip: bool


@dataclass(frozen=True)
class _Plan:
    """What is open for an annotator now; ``done`` counts everything rated or skipped."""

    done: int
    regular: tuple[Item, ...]
    gold: tuple[Item, ...]
    repeat: Assignment | None
    gold_due: bool
    repeat_due: bool

    @property
    def remaining(self) -> int:
        return len(self.regular) + len(self.gold) + (self.repeat is not None)


class Queue:
    """The items of one campaign; holds no state of its own.

    Args:
        items: in the file's order.
        campaign: names the models under test.
    """

    def __init__(self, items: Sequence[Item], campaign: str, settings: QueueSettings | None = None):
        self.items = {item.id: item for item in items}
        self.campaign = campaign
        self.settings = settings or QueueSettings()

    def take(self, connection: Connection, annotator: str, moment: datetime) -> Assignment | None:
        """The next assignment, leased to the annotator; None when nothing is open."""
        plan = self._plan(connection, annotator, moment)
        if plan.repeat is not None and (plan.repeat_due or not (plan.regular or plan.gold)):
            return plan.repeat
        if plan.gold and (plan.gold_due or not plan.regular):
            return Assignment(plan.gold[0])
        if not plan.regular:
            return None
        item = plan.regular[0]
        self._lease(connection, annotator, item.id, moment + self.settings.lease)
        return Assignment(item)

    def upcoming(self, connection: Connection, annotator: str, count: int, moment: datetime) -> list[Item]:
        """Ordinary items that will probably come next and have no replies yet, at
        most ``count``; nothing is kept for the annotator."""
        turns = schema.turns
        answered = set(connection.scalars(select(turns.c.item).where(turns.c.campaign == self.campaign)))
        plan = self._plan(connection, annotator, moment)
        return [item for item in plan.regular[1:] if item.id not in answered][:count]

    def progress(self, connection: Connection, annotator: str, moment: datetime) -> tuple[int, int]:
        """(done, total) of the annotator; equal exactly when ``take`` gives None."""
        plan = self._plan(connection, annotator, moment)
        return plan.done, plan.done + plan.remaining

    def release(self, connection: Connection, annotator: str, item: str) -> None:
        """Give the lease up: the item was rated."""
        leases = schema.leases
        connection.execute(
            delete(leases).where(
                leases.c.annotator == annotator, leases.c.campaign == self.campaign, leases.c.item == item
            )
        )

    def put_back(self, connection: Connection, annotator: str, item: str, moment: datetime) -> None:
        """Offer the item to others, and not to this annotator for the length of a lease."""
        self._lease(connection, annotator, item, moment + self.settings.lease, put_back=True)

    def votes(self, connection: Connection) -> Counter[str]:
        """Active rankings per item; skips and repeats do not count."""
        turns, ratings = schema.turns, schema.ratings
        query = (
            select(turns.c.item, func.count())
            .join(ratings, ratings.c.turn_id == turns.c.id)
            .where(turns.c.campaign == self.campaign, turns.c.item.is_not(None), turns.c.repeat_of.is_(None))
            .where(ratings.c.skip.is_(False), is_active())
            .group_by(turns.c.item)
        )
        return Counter(dict(connection.execute(query).all()))

    def _plan(self, connection: Connection, annotator: str, moment: datetime) -> _Plan:
        mine = self._mine(connection, annotator)
        rated = {entry.item for entry in mine if not entry.repeats}
        regular = self._open_items(connection, annotator, rated, moment)
        gold = [item for item in self.items.values() if item.gold]
        done_regular = sum(not self.items[name].gold for name in rated)
        done_gold = len(rated) - done_regular
        quota = min(len(gold), max(1, (done_regular + len(regular)) // self.settings.gold_every))
        open_gold = [item for item in self._shuffled(gold, annotator) if item.id not in rated]
        every = self.settings.gold_every
        repeat = self._repeat(mine, len(regular))
        ranked = sum(not entry.skip and not self.items[entry.item].gold for entry in mine)
        return _Plan(
            done=len(mine),
            regular=tuple(regular),
            gold=tuple(open_gold[: max(0, quota - done_gold)]),
            repeat=repeat,
            gold_due=done_regular >= every * done_gold + every // 2,
            repeat_due=ranked >= self.settings.repeat_after,
        )

    def _mine(self, connection: Connection, annotator: str) -> list[_Mine]:
        turns, ratings, journal = schema.turns, schema.ratings, schema.journal
        first = (
            select(ratings.c.turn_id, func.min(journal.c.seq).label("seq"))
            .join(journal, (journal.c.kind == "rating") & (journal.c.record == ratings.c.id))
            .where(ratings.c.annotator == annotator)
            .group_by(ratings.c.turn_id)
            .subquery()
        )
        query = (
            select(turns.c.item, turns.c.id, turns.c.repeat_of, ratings.c.skip)
            .join(ratings, ratings.c.turn_id == turns.c.id)
            .join(first, first.c.turn_id == turns.c.id)
            .where(ratings.c.annotator == annotator, turns.c.campaign == self.campaign, is_active())
            .order_by(first.c.seq)
        )
        return [
            _Mine(item, turn_id, repeat_of is not None, skip)
            for item, turn_id, repeat_of, skip in connection.execute(query)
            if item in self.items
        ]

    def _open_items(
        self, connection: Connection, annotator: str, rated: set[str], moment: datetime
    ) -> list[Item]:
        """Ordinary items with a free place, the one already kept for the annotator
        first, then the least annotated; equal ones in an order of the annotator's own."""
        taken = self.votes(connection)
        kept, away = set(), set()
        leases = schema.leases
        rows = connection.execute(
            select(leases.c.annotator, leases.c.item, leases.c.expires_at, leases.c.put_back).where(
                leases.c.campaign == self.campaign
            )
        )
        for holder, item, expires_at, put_back in rows:
            running = datetime.fromisoformat(expires_at) > moment
            if holder == annotator and not put_back:
                kept.add(item)
            elif holder == annotator and running:
                away.add(item)
            elif running and not put_back:
                taken[item] += 1
        open_items = [
            item
            for item in self.items.values()
            if not item.gold and item.id not in rated | away and taken[item.id] < self.settings.overlap
        ]
        shuffled = self._shuffled(open_items, annotator)
        return sorted(shuffled, key=lambda item: (item.id not in kept, taken[item.id]))

    def _repeat(self, mine: Sequence[_Mine], open_regular: int) -> Assignment | None:
        ranked = [e for e in mine if not e.skip and not e.repeats and not self.items[e.item].gold]
        if any(entry.repeats for entry in mine) or len(ranked) + open_regular < REPEAT_LEAST or not ranked:
            return None
        return Assignment(self.items[ranked[0].item], repeat_of=ranked[0].turn_id)

    def _shuffled(self, items: Sequence[Item], annotator: str) -> list[Item]:
        return sorted(items, key=lambda item: hashlib.sha256(f"{annotator}:{item.id}".encode()).digest())

    def _lease(
        self, connection: Connection, annotator: str, item: str, until: datetime, *, put_back: bool = False
    ) -> None:
        self.release(connection, annotator, item)
        connection.execute(
            schema.leases.insert().values(
                annotator=annotator,
                campaign=self.campaign,
                item=item,
                expires_at=until.isoformat(),
                put_back=put_back,
            )
        )


@dataclass(frozen=True)
class AnnotatorProgress:
    """One row of the host's table; ``annotator`` is the salted hash."""

    annotator: str
    rated: int
    skipped: int
    corrected: int
    last: datetime | None


@dataclass(frozen=True)
class AdminProgress:
    """For the host: ``full`` items have all their ``overlap`` votes, of ``items`` in
    the queue; ``votes``: rankings of each item, gold ones last."""

    campaign: str
    items: int
    full: int
    turns: int
    ratings: int
    overlap: int
    votes: tuple[tuple[str, int], ...]
    annotators: tuple[AnnotatorProgress, ...]


def admin_progress(connection: Connection, queue: Queue) -> AdminProgress:
    """Progress of the queue's campaign; corrected votes count once."""
    turns = schema.turns
    in_campaign = set(connection.scalars(select(turns.c.id).where(turns.c.campaign == queue.campaign)))
    ratings = [
        record
        for _, record in all_records(connection)
        if isinstance(record, Rating) and record.turn_id in in_campaign
    ]
    superseded = {rating.supersedes for rating in ratings}
    active = [rating for rating in ratings if rating.id not in superseded]
    corrected = Counter(rating.annotator for rating in ratings if rating.correction)
    annotators = sorted({rating.annotator for rating in ratings})
    votes = queue.votes(connection)
    regular = [item for item in queue.items.values() if not item.gold]
    gold = [item for item in queue.items.values() if item.gold]
    return AdminProgress(
        campaign=queue.campaign,
        items=len(regular),
        full=sum(votes[item.id] >= queue.settings.overlap for item in regular),
        turns=connection.scalar(
            select(func.count()).select_from(turns).where(turns.c.campaign == queue.campaign)
        ),
        ratings=sum(not rating.skip for rating in active),
        overlap=queue.settings.overlap,
        votes=tuple((item.id, votes[item.id]) for item in (*regular, *gold)),
        annotators=tuple(
            AnnotatorProgress(
                annotator,
                rated=sum(not rating.skip for rating in active if rating.annotator == annotator),
                skipped=sum(rating.skip for rating in active if rating.annotator == annotator),
                corrected=corrected[annotator],
                last=max(rating.submitted_at for rating in ratings if rating.annotator == annotator),
            )
            for annotator in annotators
        ),
    )
