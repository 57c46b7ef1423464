"""What rating can refuse, each with what the person can do. Nothing was stored."""

from __future__ import annotations

from pal.errors import PalError


class RatingError(PalError):
    """Base of the errors of rating."""


class UnknownTurn(RatingError):
    """The turn id is not one that this annotator was shown: forged or stale."""


class UnknownAnnotator(RatingError):
    """Nobody has started with this annotator id, or its data was deleted."""


class MissingConsent(RatingError):
    """The annotator has not agreed to the notice."""


class InvalidVote(RatingError):
    """The ranking, a flag, the comment or the submission id cannot be."""


class AlreadyRevealed(RatingError):
    """The names were revealed: only a correction, marked as one, is possible."""


class NotYetRated(RatingError):
    """Names, selections and consistency are revealed after the vote only."""


class StoreError(RatingError):
    """The store could not write or read; the vote is not saved, send it again."""


class StoreFull(StoreError):
    """No space left for the store."""


class StoreLocked(StoreError):
    """Another process held the store for too long."""


class SchemaError(StoreError):
    """The store was written by a newer version, or is no store of PAL."""


class BackupError(RatingError):
    """The mirror cannot be written or read."""
