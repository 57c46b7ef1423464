"""Dialogues as data (speakers A and B) and as a chat (exchanges)."""

from __future__ import annotations

from dataclasses import dataclass

from pal.errors import MessageError

MAX_MESSAGE_CHARS = 1000


@dataclass(frozen=True)
class Exchange:
    """One finished round of a chat, as one variant remembers it.

    ``selected`` is the 0-based persona sentence its selection step chose
    before ``reply``, or None for "none". ``user`` is None only when the
    assistant opens the chat.
    """

    user: str | None
    reply: str
    selected: int | None = None


@dataclass(frozen=True)
class Utterance:
    """One turn of a data set.

    ``persona`` holds the 0-based indices of the speaker's own sentences that
    the turn entails, strongest first; () means none; None means not labelled.
    """

    speaker: str
    text: str
    persona: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Dialogue:
    """A dialogue between speakers "A" and "B", each with a persona."""

    id: str
    source: str
    personas: dict[str, tuple[str, ...]]
    turns: tuple[Utterance, ...]


def check_message(text: str | None) -> str:
    """The message, stripped.

    Raises:
        MessageError: empty, or longer than ``MAX_MESSAGE_CHARS`` characters.
    """
    message = (text or "").strip()
    if not message:
        raise MessageError("The message is empty: write something first.")
    if len(message) > MAX_MESSAGE_CHARS:
        raise MessageError(
            f"The message has {len(message):,} characters; at most {MAX_MESSAGE_CHARS:,} fit. "
            "Shorten it; your text is kept."
        )
    return message
