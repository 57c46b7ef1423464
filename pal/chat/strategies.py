"""Select then Generate: one turn of all variants over an engine."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pal.chat.selection import Selection, SelectionSettings, combine
from pal.dialogue.persona import Persona
from pal.dialogue.prompt import Renderer
from pal.dialogue.turns import Exchange
from pal.engines.base import (
    SELECTING_VARIANTS,
    VARIANTS,
    Cancel,
    Decoding,
    Delta,
    Done,
    Engine,
    Failed,
    ReplyRequest,
    SelectRequest,
)
from pal.errors import PalError

UNJUDGED = "The consistency model failed; the reply is not affected."

log = logging.getLogger(__name__)


class Encoder(Protocol):
    """A sentence-embedding model."""

    def cosines(self, text: str, sentences: Sequence[str]) -> list[float]:
        """Cosine of ``text`` with each sentence, in [-1, 1]."""


def turn_seed(seed: int, history: Sequence[Exchange]) -> int:
    """The sampler's seed after ``history``: another on every turn of a chat, one for all variants.

    With the same one on every turn, each reply would begin with the same draw,
    and so often with the same word.
    """
    return seed + len(history)


class ConsistencyScorer(Protocol):
    """``pal.models.consistency.ConsistencyModel``, or a stand-in."""

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(persona sentence, reply) → [pairs, 3] in the order of ``CONSISTENCY_LABELS``."""


@dataclass(frozen=True)
class TurnRequest:
    """What one turn needs. ``histories[variant]`` are that variant's finished
    exchanges: shared texts, but each with its own earlier selections. With
    ``judge``, replies are judged once all are written, where the responder can."""

    persona: Persona
    user: str
    histories: Mapping[str, Sequence[Exchange]]
    decoding: Decoding
    seed: int
    session: str
    variants: Sequence[str] = VARIANTS
    judge: bool = True


@dataclass(frozen=True)
class Selected:
    """A variant has selected. ``model`` is its own distribution (pure PAL),
    before the prior; ``evaluated`` counts newly computed prompt tokens."""

    variant: str
    selection: Selection
    model: tuple[float, ...]
    evaluated: int


@dataclass(frozen=True)
class Judged:
    """What a finished reply says about the persona: for each sentence the
    probabilities in the order of ``CONSISTENCY_LABELS``. None with a
    ``message`` for the visitor when they could not be had."""

    variant: str
    consistency: tuple[tuple[float, float, float], ...] | None
    message: str | None = None


@dataclass(frozen=True)
class Responder:
    """Runs turns. ``settings`` holds the selection settings per variant, the
    ones measured on dev; a variant that is missing there runs pure PAL.
    Without ``consistency`` no reply is judged."""

    engine: Engine
    renderer: Renderer
    settings: Mapping[str, SelectionSettings] = field(default_factory=dict)
    encoder: Encoder | None = None
    consistency: ConsistencyScorer | None = None

    def respond(
        self, request: TurnRequest, cancel: Cancel
    ) -> Iterator[Selected | Delta | Done | Failed | Judged]:
        """Selections of the selecting variants, then all replies as they come.

        Yields, for every variant, exactly one Done or Failed; a variant that
        fails never stops the others. Replies are judged last, when no text is
        waited for any more: a Judged for each that is not empty.
        """
        sentences = request.persona.sentences
        replies: list[ReplyRequest] = []
        chosen: dict[str, int | None] = {}
        failed: set[str] = set()
        for event in self.select(request, cancel):
            yield event
            if isinstance(event, Failed):
                failed.add(event.variant)
            else:
                chosen[event.variant] = event.selection.selected
        for variant in request.variants:
            if variant in failed:
                continue
            prompt = self.renderer.reply_prompt(
                sentences,
                request.histories[variant],
                request.user,
                chosen.get(variant),
                selects=variant in chosen,
            )
            seed = turn_seed(request.seed, request.histories[variant])
            replies.append(ReplyRequest(variant, prompt, request.decoding, seed, request.session))
        written: dict[str, str] = {}
        for event in self.engine.stream(replies, cancel):
            if isinstance(event, Done):
                written[event.variant] = event.text.strip()
            yield event
        if self.consistency is not None and request.judge:
            for variant, text in written.items():
                if text and not cancel.is_set:
                    yield self._judge(self.consistency, variant, sentences, text)

    @staticmethod
    def _judge(model: ConsistencyScorer, variant: str, sentences: Sequence[str], text: str) -> Judged:
        try:
            rows = model.probabilities([(sentence, text) for sentence in sentences])
            return Judged(variant, tuple(tuple(row) for row in rows.tolist()))
        except PalError as error:
            return Judged(variant, None, str(error))
        except Exception:  # whatever goes wrong here, the replies stand
            log.exception("the consistency model failed")
            return Judged(variant, None, UNJUDGED)

    def select(self, request: TurnRequest, cancel: Cancel) -> Iterator[Selected | Failed]:
        """Only the first step: one Selected or Failed per selecting variant."""
        sentences = request.persona.sentences
        variants = [variant for variant in request.variants if variant in SELECTING_VARIANTS]
        options = self.renderer.option_ids(len(sentences))
        asks = [
            SelectRequest(
                variant,
                self.renderer.selection_prompt(sentences, request.histories[variant], request.user),
                options,
                request.session,
            )
            for variant in variants
        ]
        settings = {variant: self.settings.get(variant, SelectionSettings()) for variant in variants}
        cosines = None
        if self.encoder is not None and any(setting.prior_weight for setting in settings.values()):
            cosines = self.encoder.cosines(request.user, sentences)
        for answer in self.engine.select(asks, cancel):
            if isinstance(answer, Failed):
                yield answer
                continue
            selection = combine(answer.probabilities, cosines, settings[answer.variant])
            yield Selected(answer.variant, selection, answer.probabilities, answer.evaluated)
