"""The one door to rating: what a page calls, over store, queue and backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pal.ratings.blind import BlindTurn, Revealed
from pal.ratings.items import Item
from pal.ratings.records import Rating, Record, Turn, Vote
from pal.respond import TurnRequest
from pal.settings import Settings

NOTICE_VERSION = "1"


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
    """For the host: ``full`` items have all their votes, of ``items`` in the queue."""

    campaign: str
    items: int
    full: int
    turns: int
    ratings: int
    annotators: tuple[AnnotatorProgress, ...]


class RatingDesk:
    """Everything an annotator does. Safe to call from many threads at once."""

    def new_annotator(self) -> str:
        """A new annotator id, not to be guessed; stored only as a hash, by ``enrol``."""
        raise NotImplementedError

    def enrol(self, code: str, notice: str, address: str | None = None) -> str:
        """Store the consent to version ``notice``; gives the annotator (the hash
        that all other calls take). Enrolling again is harmless.

        Raises:
            UnknownAnnotator: the id was deleted, or is not one of ``new_annotator``.
            MissingConsent: ``notice`` is not the current version.
        """
        raise NotImplementedError

    def resume(self, code: str) -> str:
        """The annotator of an id that has consented.

        Raises:
            UnknownAnnotator: nobody started with it, or its data was deleted.
        """
        raise NotImplementedError

    def next_task(self, annotator: str) -> Task | None:
        """The item to rate next, kept for this annotator for a while; the same
        one again until it is rated. None when nothing is left."""
        raise NotImplementedError

    def request(self, item: Item, seed: int) -> TurnRequest:
        """What to ask the models for an item without replies."""
        raise NotImplementedError

    def add_turn(self, annotator: str, turn: Turn) -> BlindTurn:
        """Store the turn and the showing. When another annotator's replies to the
        same item were stored first, those are shown and this turn is dropped.

        Raises:
            InvalidVote: a variant failed, so the turn cannot be ranked.
        """
        raise NotImplementedError

    def show(self, annotator: str, turn_id: str) -> BlindTurn:
        """A turn that this annotator was shown before, in the same order.

        Raises:
            UnknownTurn: it was not.
        """
        raise NotImplementedError

    def submit(self, annotator: str, vote: Vote) -> Receipt:
        """Store the vote; a second one for the turn supersedes the first.

        Raises:
            UnknownTurn: the turn was never shown to this annotator.
            InvalidVote: see ``Vote``.
            AlreadyRevealed: names were revealed and ``vote.correction`` is False.
            StoreError: not saved; send the same vote again.
        """
        raise NotImplementedError

    def reveal(self, annotator: str, turn_id: str) -> Revealed:
        """Names, selections and consistency of the columns; recorded.

        Raises:
            UnknownTurn, NotYetRated.
        """
        raise NotImplementedError

    def votes(self, annotator: str) -> list[Rating]:
        """The annotator's active ratings, newest first."""
        raise NotImplementedError

    def trail(self, annotator: str, turn_id: str) -> list[Rating]:
        """Every rating of a turn by the annotator, oldest first."""
        raise NotImplementedError

    def progress(self, annotator: str) -> Progress:
        """How far the annotator is in the queue."""
        raise NotImplementedError

    def status(self) -> str:
        """Such as “saved · backed up 3 min ago”."""
        raise NotImplementedError

    def my_data(self, code: str) -> dict:
        """Everything stored about an annotator id, ready for ``json.dumps``.

        Raises:
            UnknownAnnotator.
        """
        raise NotImplementedError

    def delete_my_data(self, code: str) -> int:
        """Delete it all; gives the number of records deleted. The id is dead then.

        Raises:
            UnknownAnnotator.
        """
        raise NotImplementedError

    def admin_progress(self) -> AdminProgress:
        """Progress of the whole campaign."""
        raise NotImplementedError

    def records(self) -> Sequence[Record]:
        """Everything stored, for statistics and exports."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish the backup and close the store."""
        raise NotImplementedError


def open_desk(settings: Settings, campaign: str) -> RatingDesk:
    """The desk that the settings name.

    Raises:
        DataError: the items file cannot be used.
        StoreError: the store cannot be opened.
    """
    raise NotImplementedError
