"""What a visitor notices in a reply, for better or worse, as pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pal.evaluation.metrics import normalise
from pal.evaluation.parroting import longest_copied_run

ECHOED_RUN = 5  # words of the user's own message, in a row
SHORTEST_STATEMENT = 3  # words; “Yes, I do” may come again
_EVASIONS = re.compile(r"\b(?:not sure|(?:don't|do not) know|no idea)\b", re.IGNORECASE)
_STATEMENT_ENDS = re.compile(r"(?<=[.!?])\s+")


def statements(text: str) -> list[str]:
    """The sentences of a text, normalised; those shorter than ``SHORTEST_STATEMENT`` words are left out."""
    parts = (normalise(part) for part in _STATEMENT_ENDS.split(text))
    return [part for part in parts if len(part.split()) >= SHORTEST_STATEMENT]


def repeats_itself(reply: str, earlier: Sequence[str]) -> bool:
    """A statement stands twice in the reply, or has stood in an earlier reply of the chat."""
    own = statements(reply)
    said = {statement for text in earlier for statement in statements(text)}
    return len(set(own)) < len(own) or any(statement in said for statement in own)


def echoes(reply: str, user: str) -> bool:
    """At least ``ECHOED_RUN`` words in a row are the user's own."""
    return longest_copied_run(reply, user) >= ECHOED_RUN


def evades(reply: str) -> bool:
    """“I am not sure”, “I don't know”, “no idea”."""
    return bool(_EVASIONS.search(reply))


def asks(reply: str) -> bool:
    """The reply has a question in it."""
    return "?" in reply
