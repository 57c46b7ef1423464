"""The mirror of the store on the Hub."""

from __future__ import annotations

from datetime import datetime

from pal.ratings.store import RatingStore
from pal.settings import Settings


class Backup:
    def status(self, moment: datetime) -> str:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def open_backup(store: RatingStore, settings: Settings) -> Backup | None:
    return None
