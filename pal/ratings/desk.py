"""The one door to rating: what a page calls, over store, queue and backup."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from huggingface_hub import HfApi
from sqlalchemy import Connection

from pal.chat.responder import TurnRequest
from pal.engines.base import Decoding
from pal.errors import InvalidVote, PalError, StoreError
from pal.ratings import annotators, queries, voting
from pal.ratings.annotators import new_code
from pal.ratings.backup import Backup, open_backup
from pal.ratings.blind import BlindTurn, Revealed, assigned_turn, blind, revealed, show_turn
from pal.ratings.damage import replace_damaged
from pal.ratings.items import Item, read_items
from pal.ratings.queue import AdminProgress, Queue, QueueSettings, admin_progress
from pal.ratings.records import Rating, Record, Turn, Vote, now
from pal.ratings.store import RatingStore, all_records, insert, open_store
from pal.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What to rate next. ``turn`` is None when the item has no replies yet."""

    item: Item
    turn: BlindTurn | None


@dataclass(frozen=True)
class Receipt:
    """The vote is committed. The same submission gives the same receipt.
    ``rating``: id; ``replaced``: id of the rating it supersedes, or None."""

    turn_id: str
    rating: str
    submission: str
    submitted_at: datetime
    replaced: str | None


@dataclass(frozen=True)
class Progress:
    """Of one annotator's queue; own chats do not count. Ends at done == total."""

    done: int
    total: int

    @property
    def percent(self) -> int:
        """0 to 100, rounded down; 100 only when everything is done."""
        return 100 if self.total == 0 else 100 * self.done // self.total


class RatingDesk:
    """Everything an annotator does. Safe to call from many threads at once.

    Args:
        store: where it is kept.
        queue: the items, and the campaign they are rated in.
        backup: the mirror, or None.
        clock: the time in UTC.
        remark: what happened to the store at the start, for ``status``; "" for nothing.
    """

    def __init__(
        self,
        store: RatingStore,
        queue: Queue,
        backup: Backup | None = None,
        clock: Callable[[], datetime] = now,
        remark: str = "",
    ):
        self.decoding = Decoding()
        self._remark = remark
        self.store, self.queue, self._backup, self.clock = store, queue, backup, clock

    @property
    def campaign(self) -> str:
        """Names the models under test."""
        return self.queue.campaign

    def new_annotator(self) -> str:
        """A new annotator id, not to be guessed; stored only as a hash, by ``enrol``."""
        return new_code()

    def enrol(self, code: str, notice: str, address: str | None = None) -> str:
        """Store the consent to version ``notice``; gives the annotator (the hash
        that all other calls take). Enrolling again is harmless.

        Raises:
            UnknownAnnotator: the id was deleted, or is not one of ``new_annotator``.
            MissingConsent: ``notice`` is not the current version.
        """
        return annotators.enrol(self.store, code, notice, address, self.clock())

    def resume(self, code: str) -> str:
        """The annotator of an id that has consented.

        Raises:
            UnknownAnnotator: nobody started with it, or its data was deleted.
            MissingConsent: the notice has changed since; ``enrol`` again.
        """
        return annotators.resume(self.store, code)

    def next_task(self, annotator: str) -> Task | None:
        """The item to rate next, kept for this annotator for a while; the same
        one again until it is rated. None when nothing is left.

        Raises:
            MissingConsent: the annotator is not enrolled.
        """
        moment = self.clock()
        with self.store.write() as connection:
            annotators.require_consent(connection, annotator)
            assignment = self.queue.take(connection, annotator, moment)
            if assignment is None:
                return None
            turn = assigned_turn(connection, assignment, self.campaign, self.decoding, moment)
            shown = self._show(connection, annotator, turn, moment) if turn else None
            return Task(assignment.item, shown)

    def request(self, item: Item, seed: int, variants: Sequence[str]) -> TurnRequest:
        """What to ask the models named ``variants`` for an item without replies."""
        histories = dict.fromkeys(variants, item.history)
        return TurnRequest(item.persona, item.user, histories, self.decoding, seed, session="")

    def upcoming(self, annotator: str, count: int) -> list[Item]:
        """Items after the present one whose replies may be made ahead of time."""
        with self.store.read() as connection:
            return self.queue.upcoming(connection, annotator, count, self.clock())

    def put_back(self, annotator: str, item: str) -> None:
        """The models could not answer this item: offer it to others, and another
        one to this annotator."""
        with self.store.write() as connection:
            annotators.require_consent(connection, annotator)
            if item in self.queue.items:
                self.queue.put_back(connection, annotator, item, self.clock())

    def add_turn(self, annotator: str, turn: Turn) -> BlindTurn:
        """Store the turn and the showing. When another annotator's replies to the
        same item were stored first, those are shown and this turn is dropped.

        Raises:
            MissingConsent: the annotator is not enrolled.
            InvalidVote: a variant failed, so the turn cannot be ranked.
        """
        if turn.failed:
            failed = next(reply.error for reply in turn.replies if reply.error is not None)
            raise InvalidVote(f"Not every model replied ({failed}), so there is nothing to rank. Try again.")
        if turn.owner != (annotator if turn.item is None else None):
            raise ValueError("an own chat's turn belongs to its annotator, an item's to nobody")
        with self.store.write() as connection:
            annotators.require_consent(connection, annotator)
            stored = turn.item and queries.find_item_turn(connection, turn.campaign, turn.item)
            if not stored:
                insert(connection, turn)
            return self._show(connection, annotator, stored or turn, self.clock())

    def show(self, annotator: str, turn_id: str) -> BlindTurn:
        """A turn that this annotator was shown before, in the same order.

        Raises:
            UnknownTurn: it was not.
        """
        with self.store.read() as connection:
            showing, turn = voting.shown(connection, annotator, turn_id)
        return blind(turn, showing.order)

    def submit(self, annotator: str, vote: Vote) -> Receipt:
        """Store the vote; a second one for the turn supersedes the first.

        Raises:
            UnknownTurn: the turn was never shown to this annotator.
            MissingConsent: the annotator is not enrolled.
            InvalidVote: see ``Vote``.
            AlreadyRevealed: names were revealed and ``vote.correction`` is False.
            StoreError: not saved; send the same vote again.
        """
        with self.store.write() as connection:
            rating = voting.submit(connection, annotator, vote, self.clock())
            turn = queries.find_turn(connection, rating.turn_id)
            if turn.item is not None:
                self.queue.release(connection, annotator, turn.item)
        return Receipt(rating.turn_id, rating.id, rating.submission, rating.submitted_at, rating.supersedes)

    def reveal(self, annotator: str, turn_id: str) -> Revealed:
        """Names, selections and consistency of the columns; recorded.

        Raises:
            UnknownTurn, NotYetRated.
        """
        with self.store.write() as connection:
            turn, showing = voting.reveal(connection, annotator, turn_id, self.clock())
        return revealed(turn, showing.order)

    def votes(self, annotator: str) -> list[Rating]:
        """The annotator's active ratings, newest first."""
        with self.store.read() as connection:
            ratings = queries.ratings_of(connection, annotator)
        superseded = {rating.supersedes for rating in ratings}
        return [rating for rating in reversed(ratings) if rating.id not in superseded]

    def trail(self, annotator: str, turn_id: str) -> list[Rating]:
        """Every rating of a turn by the annotator, oldest first."""
        with self.store.read() as connection:
            return queries.ratings_of(connection, annotator, turn_id)

    def progress(self, annotator: str) -> Progress:
        """How far the annotator is in the queue."""
        with self.store.read() as connection:
            return Progress(*self.queue.progress(connection, annotator, self.clock()))

    def status(self) -> str:
        """Such as “saved · backed up 3 min ago”."""
        backup = self._backup.status(self.clock()) if self._backup else "no backup"
        return " · ".join(filter(None, ("saved", backup, self._remark)))

    def my_data(self, code: str) -> dict[str, Any]:
        """Everything stored about an annotator id, ready for ``json.dumps``; it
        does not reveal which model wrote what.

        Raises:
            UnknownAnnotator.
        """
        annotator = annotators.known(self.store, code)
        with self.store.read() as connection:
            return annotators.data_of(connection, annotator)

    def delete_my_data(self, code: str) -> int:
        """Delete it all; gives the number of records deleted. The id is dead then.

        Raises:
            UnknownAnnotator.
        """
        return annotators.delete_all(self.store, annotators.known(self.store, code), self.clock())

    def admin_progress(self) -> AdminProgress:
        """Progress of the whole campaign, for the host."""
        with self.store.read() as connection:
            return admin_progress(connection, self.queue)

    def records(self) -> list[Record]:
        """Everything stored, in the order of writing, for statistics and exports."""
        with self.store.read() as connection:
            return [record for _, record in all_records(connection)]

    def close(self) -> None:
        """Take no more votes, push those that were acknowledged and close the store."""
        try:
            self.store.stop_writing()
        except StoreError as error:
            log.warning("%s", error)
        if self._backup is not None:
            self._backup.close()
        self.store.close()

    def _show(self, connection: Connection, annotator: str, turn: Turn, moment: datetime) -> BlindTurn:
        return show_turn(connection, annotator, turn, moment, self.queue.settings.lease)


def open_desk(settings: Settings, campaign: str, api: HfApi | None = None) -> RatingDesk:
    """The desk that the settings name. ``api``: the Hub's client for the mirror, or a new one.

    Raises:
        DataError: the items file cannot be used.
        StoreError: the store cannot be opened, or is damaged and has no mirror.
        BackupError: the store is empty and its mirror cannot be read.
    """
    items = read_items(settings.rating_items)
    remark = replace_damaged(settings)
    store = open_store(settings)
    try:
        backup = open_backup(store, settings, api)
    except PalError:
        store.close()
        raise
    queue = Queue(items, campaign, QueueSettings(overlap=settings.rating_overlap))
    return RatingDesk(store, queue, backup, remark=remark)
