"""Rating items: a persona and a history that ends with a message to answer."""

from __future__ import annotations

from dataclasses import dataclass

from pal.dialogue import Exchange
from pal.persona import Persona


@dataclass(frozen=True)
class FixedReply:
    """A reply of a gold item. ``quality``: higher is better."""

    text: str
    quality: float


@dataclass(frozen=True)
class Item:
    """One entry of the queue. ``replies`` is empty except in a gold item, whose
    replies are fixed and need no model."""

    id: str
    persona: Persona
    history: tuple[Exchange, ...]
    user: str
    kind: str
    replies: tuple[FixedReply, ...] = ()

    @property
    def gold(self) -> bool:
        """True when the right ranking is known. Never shown to annotators."""
        return bool(self.replies)
