"""An annotator's own chat: the next turn's request, from what the store holds."""

from __future__ import annotations

import secrets

from pal.dialogue import Exchange
from pal.engines.base import VARIANTS, Decoding
from pal.errors import PalError
from pal.persona import Persona
from pal.ratings.blind import BlindTurn, Revealed
from pal.respond import TurnRequest
from pal.ui.chat_state import MAX_SEED, MAX_TURNS


def first_request(persona: Persona, message: str, session: str) -> TurnRequest:
    """The first turn of a chat. ``session`` names its cache in the engine."""
    return _request(persona, message, {variant: () for variant in VARIANTS}, session)


def next_request(turn: BlindTurn, names: Revealed, column: int, message: str, session: str) -> TurnRequest:
    """The turn after ``turn``, which the reply of ``column`` continues. Texts are
    shared; every variant keeps its own earlier selections.

    Raises:
        PalError: there is no such column, or the chat is as long as a chat may be.
    """
    if column >= len(names.columns):
        raise PalError("There is no such reply. Reload the page.")
    if len(turn.history) + 1 >= MAX_TURNS:
        raise PalError(f"This chat has {MAX_TURNS} turns, the most that fit. Start a new one.")
    said = names.columns[column].text.strip()
    histories = {}
    for reply in names.columns:
        earlier = (*reply.earlier, *[None] * len(turn.history))
        past = [
            Exchange(exchange.user, exchange.reply, selected)
            for exchange, selected in zip(turn.history, earlier, strict=False)
        ]
        histories[reply.variant] = (*past, Exchange(turn.user, said, reply.selected))
    return _request(Persona(turn.persona), message, histories, session)


def _request(
    persona: Persona, message: str, histories: dict[str, tuple[Exchange, ...]], session: str
) -> TurnRequest:
    return TurnRequest(persona, message, histories, Decoding(), secrets.randbelow(MAX_SEED), session)
