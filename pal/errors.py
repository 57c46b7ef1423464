"""Errors a person can act on: what was wrong, the value, what to do next.

The command line prints them as one line; the page shows them as a message.
Anything else that escapes is a bug and keeps its traceback.
"""


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
