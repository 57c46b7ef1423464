"""How a variant turns a persona, a history and a message into a reply.

A strategy is a generator of steps. Each step is one request to the engine; the
engine's answer is sent back into the generator, which decides the next step
with it. ``pal.chat.responder`` runs the strategies of a turn together.

To add one, write a class with ``name``, ``selects`` and ``steps`` and add it to
``STRATEGIES``; a variant names it in ``pal.chat.variants`` or in ``PAL_VARIANTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pal.chat.selection import Selection, SelectionSettings, combine
from pal.dialogue.prompt import Renderer
from pal.dialogue.turns import Exchange
from pal.engines.base import Done, Options


@dataclass(frozen=True)
class Situation:
    """What a strategy is given: one variant's view of one turn.

    Attributes:
        sentences: of the persona.
        history: the variant's finished exchanges, with its own selections.
        user: the message to reply to.
        renderer: turns these into token ids.
        settings: how the variant's distribution becomes a selection.
        cosines: embedding cosine of a text, such as the message or a draft, with
            each sentence; None without an encoder. Computed once for all variants.
    """

    variant: str
    sentences: Sequence[str]
    history: Sequence[Exchange]
    user: str
    renderer: Renderer
    settings: SelectionSettings
    cosines: Callable[[str], Sequence[float] | None]


@dataclass(frozen=True)
class Select:
    """Step: the next-token distribution after ``tokens``, restricted to
    ``options``. The answer is ``pal.engines.base.Options``."""

    tokens: Sequence[int]
    options: Sequence[int]


@dataclass(frozen=True)
class Generate:
    """Step: continue ``tokens`` to the end of the turn. The answer is
    ``pal.engines.base.Done``. The generation that is ``shown`` to the visitor
    is the variant's reply, and the last step."""

    tokens: Sequence[int]
    shown: bool = True


@dataclass(frozen=True)
class Selected:
    """Event: a variant has selected. ``model`` is its own distribution (pure
    PAL), before the prior; ``evaluated`` counts newly computed prompt tokens."""

    variant: str
    selection: Selection
    model: tuple[float, ...]
    evaluated: int


Steps = Generator[Select | Generate | Selected, Options | Done | None, None]


class Strategy(Protocol):
    """The steps from a message to a reply.

    Attributes:
        name: in ``PAL_VARIANTS`` and in identities.
        selects: True when it selects a persona sentence, so that its histories
            have persona turns and the page shows its distribution.
    """

    name: str
    selects: bool

    def steps(self, situation: Situation) -> Steps:
        """Yields each step and is sent its answer; events in between go to the
        page as they are. Whatever is raised becomes the variant's own failure."""


@dataclass(frozen=True)
class PlainGeneration:
    """The whole persona, the history and the message; no selection."""

    name = "plain"
    selects = False

    def steps(self, situation: Situation) -> Steps:
        """One generation."""
        yield Generate(
            situation.renderer.reply_prompt(
                situation.sentences, situation.history, situation.user, selects=False
            )
        )


@dataclass(frozen=True)
class SelectThenGenerate:
    """Select the sentence that matters or none, then reply with it highlighted (Li et al. 2025)."""

    name = "select"
    selects = True

    def steps(self, situation: Situation) -> Steps:
        """A selection, then a generation with the chosen sentence."""
        renderer, sentences = situation.renderer, situation.sentences
        prompt = renderer.selection_prompt(sentences, situation.history, situation.user)
        options = yield Select(prompt, renderer.option_ids(len(sentences)))
        cosines = situation.cosines(situation.user) if situation.settings.prior_weight else None
        selection = combine(options.probabilities, cosines, situation.settings)
        yield Selected(situation.variant, selection, options.probabilities, options.evaluated)
        yield Generate(
            renderer.reply_prompt(sentences, situation.history, situation.user, selection.selected)
        )


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy for strategy in (PlainGeneration(), SelectThenGenerate())
}
