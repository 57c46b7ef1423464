"""Annotators: their ids, their consent, their own data. The store never holds an address or an id."""

from __future__ import annotations

import dataclasses
import re
import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from pal.errors import MissingConsent, UnknownAnnotator
from pal.ratings import queries, schema
from pal.ratings.blind import blind
from pal.ratings.records import Consent, Deletion, Rating, loads, to_json
from pal.ratings.store import RatingStore, delete_person, insert

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that looks like something else
GROUPS, GROUP = 4, 4  # 31 ** 16 codes: 79 bits
NOTICE_VERSION = "1"  # of the notice that the page shows; a new one must be agreed to again


def new_code() -> str:
    """A new annotator id, such as ``k7qd-m2xv-9rtb-wf4h``."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))


def normal_code(text: str | None) -> str:
    """The id as ``new_code`` writes it, however it was typed.

    Raises:
        UnknownAnnotator: it cannot be one.
    """
    letters = re.sub(r"[\s-]", "", (text or "")[:100].lower())
    if len(letters) != GROUPS * GROUP or set(letters) - set(ALPHABET):
        raise UnknownAnnotator(
            "That is no annotator id: it has four groups of four letters and digits, such as "
            "k7qd-m2xv-9rtb-wf4h. Check it, or start anew."
        )
    return "-".join(letters[start : start + GROUP] for start in range(0, len(letters), GROUP))


def enrol(store: RatingStore, code: str, notice: str, address: str | None, moment: datetime) -> str:
    """See ``RatingDesk.enrol``."""
    _require_current(notice)
    annotator = store.annotator(normal_code(code))
    with store.write() as connection:
        if queries.is_deleted(connection, annotator):
            raise UnknownAnnotator("The data of this annotator id was deleted. Start with a new id.")
        if queries.find_consent(connection, annotator, notice) is None:
            origin = store.origin(address) if address else None
            insert(connection, Consent(annotator, notice, origin, given_at=moment))
    return annotator


def resume(store: RatingStore, code: str) -> str:
    """See ``RatingDesk.resume``."""
    annotator = known(store, code)
    with store.read() as connection:
        _require_current(queries.find_consent(connection, annotator).notice)
    return annotator


def known(store: RatingStore, code: str) -> str:
    """The annotator of an id that once consented, to whatever notice.

    Raises:
        UnknownAnnotator: nobody started with it, or its data was deleted.
    """
    annotator = store.annotator(normal_code(code))
    with store.read() as connection:
        if queries.find_consent(connection, annotator) is None:
            raise UnknownAnnotator(
                "Nobody has started with this annotator id, or its data was deleted. Check it, or start anew."
            )
    return annotator


def require_consent(connection: Connection, annotator: str) -> None:
    """Raises:
    MissingConsent: the annotator has not agreed to any notice.
    """
    if queries.find_consent(connection, annotator) is None:
        raise MissingConsent("Agree to the notice first; nothing was stored.")


def _require_current(notice: str) -> None:
    if notice != NOTICE_VERSION:
        raise MissingConsent("The notice has changed: read it and agree again.")


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
