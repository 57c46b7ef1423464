"""A three-way chat as immutable data: what was said, and what each variant remembers.

One reply of every turn continues the chat; all variants see that reply in
their history, but each keeps its own earlier selections.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pal.chat.responder import Judged
from pal.chat.selection import Selection
from pal.chat.strategies import Selected
from pal.chat.variants import Variants
from pal.dialogue.findings import Finding
from pal.dialogue.persona import Persona
from pal.dialogue.turns import Exchange
from pal.engines.base import Decoding, Delta, Done, Failed
from pal.errors import PalError

DEFAULT_CONTINUED = "aligned"
MAX_TURNS = 100
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Reply:
    """One variant's answer in one turn, finished or still growing.

    ``selection`` is what the page used, ``model`` the model's own
    probabilities before the prior; both None for the baseline, and until read.
    ``consistency``, ``findings`` and ``unjudged`` are those of
    ``pal.chat.responder.Judged``, None while the reply is not judged.
    """

    variant: str
    text: str = ""
    selection: Selection | None = None
    model: tuple[float, ...] | None = None
    error: str | None = None
    done: bool = False
    consistency: tuple[tuple[float, float, float], ...] | None = None
    unjudged: str | None = None
    findings: tuple[Finding, ...] | None = None

    @property
    def usable(self) -> bool:
        """True when the reply can continue a chat."""
        return bool(self.text.strip()) and self.error is None


@dataclass(frozen=True)
class ChatTurn:
    """One message and the replies to it, with everything that produced them.

    ``replies``: one per variant, in their order; empty ones to begin with.
    ``continued``: the variant whose reply should continue the chat.
    """

    user: str
    persona: Persona
    decoding: Decoding
    seed: int
    variants: Variants
    continued: str = DEFAULT_CONTINUED
    replies: tuple[Reply, ...] = ()
    stopped: bool = False

    def __post_init__(self) -> None:
        if not self.replies:
            object.__setattr__(self, "replies", tuple(Reply(variant.name) for variant in self.variants))

    def reply(self, variant: str) -> Reply:
        """The reply of one variant."""
        return next(reply for reply in self.replies if reply.variant == variant)

    @property
    def continuing(self) -> Reply | None:
        """The reply that continues the chat: the chosen one, else the best
        trained variant that answered, else None (the turn is not remembered)."""
        first = [reply for reply in self.replies if reply.variant == self.continued]
        return next((reply for reply in (*first, *reversed(self.replies)) if reply.usable), None)

    @property
    def done(self) -> bool:
        """True when every variant has ended."""
        return all(reply.done for reply in self.replies)

    def after(self, event: Selected | Delta | Done | Failed | Judged) -> ChatTurn:
        """The turn after one event of ``Responder.respond``."""
        old = self.reply(event.variant)
        match event:
            case Selected():
                new = replace(old, selection=event.selection, model=event.model)
            case Delta():
                new = replace(old, text=old.text + event.text)
            case Done():
                new = replace(old, text=event.text, done=True)
            case Failed():
                new = replace(old, error=event.message, done=True)
            case Judged():
                new = replace(
                    old, consistency=event.consistency, unjudged=event.message, findings=event.findings
                )
        return replace(self, replies=tuple(new if reply is old else reply for reply in self.replies))

    def ended(self, error: str | None = None, *, stopped: bool = False) -> ChatTurn:
        """The turn with every open reply closed, as it is or with ``error``."""
        replies = tuple(
            reply if reply.done else replace(reply, done=True, error=error) for reply in self.replies
        )
        return replace(self, replies=replies, stopped=stopped)


@dataclass(frozen=True)
class Chat:
    """A visitor's chat. ``session`` names its cache in the engine, "" until
    ``named``; ``cleared`` holds what the last clear took away."""

    session: str = ""
    turns: tuple[ChatTurn, ...] = ()
    cleared: tuple[ChatTurn, ...] = ()

    def named(self) -> Chat:
        """The chat with a session name nobody can guess."""
        return self if self.session else replace(self, session=secrets.token_hex(16))

    def with_turn(self, turn: ChatTurn) -> Chat:
        """The chat with a new last turn.

        Raises:
            PalError: the chat is as long as a chat may be.
        """
        if len(self.turns) >= MAX_TURNS:
            raise PalError(
                f"This chat has {MAX_TURNS} turns, the most that fit. Clear it to start a new one."
            )
        return replace(self, turns=(*self.turns, turn), cleared=())

    def with_last(self, turn: ChatTurn) -> Chat:
        """The chat with its last turn replaced."""
        return replace(self, turns=(*self.turns[:-1], turn))

    def continue_with(self, variant: str) -> Chat:
        """The chat with another reply of the last turn continuing it.

        Raises:
            PalError: that reply failed or is empty, so it cannot continue.
        """
        if not self.turns:
            return self
        if variant not in self.turns[-1].variants:
            names = ", ".join(self.turns[-1].variants.names)
            raise PalError(f"There is no model “{variant[:40]}”; the models are {names}.")
        if not self.turns[-1].reply(variant).usable:
            raise PalError("That model gave no reply in this turn, so the chat cannot continue with it.")
        return self.with_last(replace(self.turns[-1], continued=variant))

    @property
    def can_undo(self) -> bool:
        """True when there is a turn to take back, or a clear."""
        return bool(self.turns or self.cleared)

    def undo(self) -> tuple[Chat, str]:
        """The chat without its last turn, and that turn's message. After a
        clear, the chat as it was before, and no message.

        Raises:
            PalError: nothing was said, and nothing was cleared.
        """
        if not self.can_undo:
            raise PalError("There is nothing to undo.")
        if not self.turns:
            return replace(self, turns=self.cleared, cleared=()), ""
        return replace(self, turns=self.turns[:-1]), self.turns[-1].user

    def clear(self) -> Chat:
        """An empty chat that ``undo`` can bring back."""
        return replace(self, turns=(), cleared=self.turns) if self.turns else self

    def histories(self, persona: Persona, variants: Variants) -> dict[str, tuple[Exchange, ...]]:
        """What each of ``variants`` remembers, for a next turn with ``persona``.

        Earlier selections are found again by their sentence's text; one whose
        sentence is gone counts as none.
        """
        remembered = [(turn, turn.continuing) for turn in self.turns]
        return {
            variant.name: tuple(
                Exchange(turn.user, reply.text.strip(), remap(turn, variant.name, persona))
                for turn, reply in remembered
                if reply is not None
            )
            for variant in variants
        }


def remap(turn: ChatTurn, variant: str, persona: Persona) -> int | None:
    """Index in ``persona`` of the sentence that ``variant`` selected in ``turn``."""
    selection = turn.reply(variant).selection
    if selection is None or selection.selected is None:
        return None
    sentence = turn.persona.sentences[selection.selected]
    return persona.sentences.index(sentence) if sentence in persona.sentences else None


def parse_seed(value: float | None) -> int:
    """A seed a person typed.

    Raises:
        PalError: not a whole number from 0 to ``MAX_SEED``.
    """
    if value is None or value != value or not 0 <= value <= MAX_SEED or value != int(value):
        shown = "empty" if value is None else f"{value:g}"
        raise PalError(f"The seed is {shown}; it must be a whole number from 0 to {MAX_SEED:,}.")
    return int(value)


@dataclass(frozen=True)
class Limit:
    """One decoding setting's name and range, both ends included."""

    name: str
    low: float
    high: float
    step: float


LIMITS: dict[str, Limit] = {
    "temperature": Limit("Temperature", 0.0, 1.5, 0.05),
    "top_p": Limit("Top-p", 0.05, 1.0, 0.05),
    "repeat_penalty": Limit("Repeat penalty", 1.0, 1.5, 0.05),
    "max_tokens": Limit("Longest reply (tokens)", 8, 120, 1),
}


def parse_decoding(values: Sequence[float | None]) -> Decoding:
    """Decoding settings a person typed, in the order of ``LIMITS``.

    Raises:
        PalError: one is missing or out of range.
    """
    for value, limit in zip(values, LIMITS.values(), strict=True):
        if value is None or not limit.low <= value <= limit.high:
            shown = "empty" if value is None else f"{value:g}"
            raise PalError(f"{limit.name} is {shown}; it must be from {limit.low:g} to {limit.high:g}.")
    temperature, top_p, repeat_penalty, max_tokens = values
    return Decoding(temperature, top_p, repeat_penalty, int(max_tokens))
