"""One measured turn with all that is known of it: what the numbers are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pal.evaluation.perplexity import Likelihood
from pal.evaluation.persona_metrics import verdict
from pal.evaluation.turns import GoldTurn
from pal.evaluation.walk import Answer
from pal.persona import Persona


@dataclass(frozen=True)
class Measured:
    """One reply and what was measured of it.

    ``gold_likelihood``: of the gold reply, after this contender's selections.
    ``consistency``: (contradiction, neutral, entailment) per persona sentence.
    ``relevance``: to the user's message; see ``pal.evaluation.relevance``.
    None where it was not measured.
    """

    answer: Answer
    gold_likelihood: Likelihood | None = None
    consistency: tuple[tuple[float, ...], ...] | None = None
    relevance: float | None = None

    @property
    def verdicts(self) -> tuple[int, ...]:
        """The consistency model's verdict on every persona sentence."""
        return tuple(map(verdict, self.consistency or ()))


@dataclass(frozen=True)
class Row:
    """One measured turn. ``replies`` holds every contender's and, as
    "gold", the data's own; ``cosines`` is the embedding prior."""

    dialogue: str
    persona: Persona
    gold: GoldTurn
    cosines: tuple[float, ...]
    replies: Mapping[str, Measured] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """What the user said; empty where nobody had spoken."""
        return self.gold.exchange.user or ""


def gold_answer(turn: GoldTurn) -> Answer:
    """The data's own reply, with its strongest label as what was selected."""
    return Answer(selected=turn.labels[0] if turn.labels else None, reply=turn.exchange.reply)
