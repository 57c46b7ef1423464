"""Errors a person can act on: what was wrong, the value, what to do next.

The command line prints them as one line; the page shows them as a message.
Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations


class PalError(Exception):
    """Base of every error whose message is meant for a person."""


class PersonaError(PalError):
    """The persona breaks a limit; nothing was changed."""


class MessageError(PalError):
    """The message breaks a limit; nothing was sent."""


class DataError(PalError):
    """A data file cannot be read; names the file and the line."""


class RecipeError(PalError):
    """A training recipe has an unknown or impossible setting."""


class CheckpointError(PalError):
    """Base weights or adapters are missing, damaged or unreachable."""


class EngineError(PalError):
    """The engine could not answer."""


class Cancelled(PalError):
    """The visitor pressed stop."""


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
