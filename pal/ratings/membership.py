"""Annotators: consent before anything else is stored, and finding them again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pal.ratings import queries
from pal.ratings.errors import MissingConsent, UnknownAnnotator
from pal.ratings.privacy import normal_code
from pal.ratings.records import Consent
from pal.ratings.store import RatingStore, insert

NOTICE_VERSION = "1"  # of the notice that the page shows; a new one must be agreed to again


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
