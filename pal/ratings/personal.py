"""An annotator's own data: to download, and to delete."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from pal.ratings import queries, schema
from pal.ratings.blind import blind
from pal.ratings.codec import loads, to_json
from pal.ratings.records import Deletion, Rating
from pal.ratings.store import RatingStore, delete_person


def data_of(connection: Connection, annotator: str) -> dict[str, Any]:
    """What is stored about an annotator, as plain JSON values.

    Replies stand in the order shown, without names: whoever downloads their
    data learns nothing that would un-blind a vote.
    """
    consents, reveals = schema.consents, schema.reveals
    bodies = [
        *connection.scalars(select(consents.c.body).where(consents.c.annotator == annotator)),
        *connection.scalars(select(reveals.c.body).where(reveals.c.annotator == annotator)),
    ]
    own = []
    for turn in queries.own_turns(connection, annotator):
        showing = queries.find_showing(connection, annotator, turn.id)
        if showing is not None:
            shown = dataclasses.asdict(blind(turn, showing.order))
            own.append({**shown, "created_at": turn.created_at.isoformat()})
    return {
        "annotator": annotator,
        "records": [to_json(loads(body)) for body in bodies],
        "own_turns": own,
        "ratings": [_without_names(rating) for rating in queries.ratings_of(connection, annotator)],
    }


def delete_all(store: RatingStore, annotator: str, moment: datetime) -> int:
    """Delete what ``data_of`` shows; a tombstone stays.

    Returns:
        the number of records deleted.
    """
    with store.write() as connection:
        deleted = delete_person(connection, Deletion(annotator, deleted_at=moment))
    store.database.forget()
    return deleted


def _without_names(rating: Rating) -> dict[str, Any]:
    return {name: value for name, value in to_json(rating).items() if name != "order"}
