"""The campaign's progress, for the host."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from pal.ratings import schema
from pal.ratings.queue import Queue
from pal.ratings.records import Rating
from pal.ratings.store import all_records


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
