"""What the desk answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pal.ratings.blind import BlindTurn
from pal.ratings.items import Item


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
