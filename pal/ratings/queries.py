"""Looking records up, each as a part of its caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, delete, select

from pal.ratings import schema
from pal.ratings.records import Consent, Rating, Record, Reveal, Turn, loads


@dataclass(frozen=True)
class Showing:
    """A turn is on an annotator's screen. ``order``: the variant of each column."""

    order: tuple[str, ...]
    shown_at: datetime


def find_turn(connection: Connection, turn_id: str) -> Turn | None:
    """The turn of an id."""
    return _one(connection, select(schema.turns.c.body).where(schema.turns.c.id == turn_id))


def find_item_turn(connection: Connection, campaign: str, item: str) -> Turn | None:
    """The turn that a campaign's annotators share for an item."""
    turns = schema.turns
    return _one(
        connection,
        select(turns.c.body).where(
            turns.c.campaign == campaign, turns.c.item == item, turns.c.repeat_of.is_(None)
        ),
    )


def find_repeat(connection: Connection, turn_id: str) -> Turn | None:
    """The turn that repeats another one."""
    return _one(connection, select(schema.turns.c.body).where(schema.turns.c.repeat_of == turn_id))


def find_consent(connection: Connection, annotator: str, notice: str | None = None) -> Consent | None:
    """The annotator's consent to a version of the notice, or to any."""
    consents = schema.consents
    query = select(consents.c.body).where(consents.c.annotator == annotator)
    if notice is not None:
        query = query.where(consents.c.notice == notice)
    return _one(connection, query.order_by(consents.c.notice.desc()).limit(1))


def find_reveal(connection: Connection, annotator: str, turn_id: str) -> Reveal | None:
    """The reveal of a turn to an annotator."""
    reveals = schema.reveals
    return _one(
        connection,
        select(reveals.c.body).where(reveals.c.annotator == annotator, reveals.c.turn_id == turn_id),
    )


def find_submission(connection: Connection, annotator: str, submission: str) -> Rating | None:
    """The rating that a submission made."""
    ratings = schema.ratings
    return _one(
        connection,
        select(ratings.c.body).where(ratings.c.annotator == annotator, ratings.c.submission == submission),
    )


def is_active() -> ColumnElement[bool]:
    """Condition on ``ratings``: nothing supersedes the row."""
    later = schema.ratings.alias("later")
    return ~select(later.c.id).where(later.c.supersedes == schema.ratings.c.id).exists()


def find_active(connection: Connection, annotator: str, turn_id: str) -> Rating | None:
    """The annotator's rating of a turn that counts."""
    ratings = schema.ratings
    return _one(
        connection,
        select(ratings.c.body).where(
            ratings.c.annotator == annotator, ratings.c.turn_id == turn_id, is_active()
        ),
    )


def ratings_of(connection: Connection, annotator: str, turn_id: str | None = None) -> list[Rating]:
    """All ratings of an annotator, oldest first."""
    ratings, journal = schema.ratings, schema.journal
    query = (
        select(ratings.c.body)
        .join(journal, (journal.c.kind == "rating") & (journal.c.record == ratings.c.id))
        .where(ratings.c.annotator == annotator)
        .order_by(journal.c.seq)
    )
    if turn_id is not None:
        query = query.where(ratings.c.turn_id == turn_id)
    return [loads(body) for body in connection.scalars(query)]


def put_showing(connection: Connection, annotator: str, turn_id: str, showing: Showing) -> None:
    """Remember what is on the annotator's screen, in place of an earlier showing."""
    showings = schema.showings
    connection.execute(
        delete(showings).where(showings.c.annotator == annotator, showings.c.turn_id == turn_id)
    )
    connection.execute(
        showings.insert().values(
            annotator=annotator,
            turn_id=turn_id,
            order_shown=json.dumps(showing.order),
            shown_at=showing.shown_at.isoformat(),
        )
    )


def find_showing(connection: Connection, annotator: str, turn_id: str) -> Showing | None:
    """When and in which order the annotator was shown the turn; after a restore,
    as their last rating of it says."""
    showings = schema.showings
    row = connection.execute(
        select(showings.c.order_shown, showings.c.shown_at).where(
            showings.c.annotator == annotator, showings.c.turn_id == turn_id
        )
    ).one_or_none()
    if row is not None:
        return Showing(tuple(json.loads(row[0])), datetime.fromisoformat(row[1]))
    rating = find_active(connection, annotator, turn_id)
    return rating and Showing(rating.order, rating.shown_at)


def is_deleted(connection: Connection, annotator: str) -> bool:
    """True when the annotator's data was deleted."""
    deletions = schema.deletions
    return connection.scalar(select(deletions.c.id).where(deletions.c.annotator == annotator)) is not None


def own_turns(connection: Connection, annotator: str) -> Sequence[Turn]:
    """Turns of the annotator's own chats."""
    query = select(schema.turns.c.body).where(schema.turns.c.owner == annotator)
    return [loads(body) for body in connection.scalars(query)]


def _one(connection: Connection, query: Select) -> Record | None:
    body = connection.scalar(query)
    return None if body is None else loads(body)
