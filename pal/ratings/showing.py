"""Putting a turn before an annotator: which one, and in which order."""

from __future__ import annotations

import dataclasses
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pal.engines.base import Decoding
from pal.ratings import queries
from pal.ratings.blind import BlindTurn, blind, new_order
from pal.ratings.gold import gold_turn
from pal.ratings.queries import Showing
from pal.ratings.queue import Assignment
from pal.ratings.records import Turn, new_id
from pal.ratings.store import insert


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
