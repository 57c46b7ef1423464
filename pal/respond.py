"""Select then Generate: one turn of all variants over an engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pal.dialogue import Exchange
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
from pal.persona import Persona
from pal.prompt import Renderer
from pal.selection import Selection, SelectionSettings, combine


class Encoder(Protocol):
    """A sentence-embedding model."""

    def cosines(self, text: str, sentences: Sequence[str]) -> list[float]:
        """Cosine of ``text`` with each sentence, in [-1, 1]."""


@dataclass(frozen=True)
class TurnRequest:
    """What one turn needs. ``histories[variant]`` are that variant's finished
    exchanges: shared texts, but each with its own earlier selections."""

    persona: Persona
    user: str
    histories: Mapping[str, Sequence[Exchange]]
    decoding: Decoding
    seed: int
    session: str
    variants: Sequence[str] = VARIANTS


@dataclass(frozen=True)
class Selected:
    """A variant has selected. ``model`` is its own distribution (pure PAL),
    before the prior; ``evaluated`` counts newly computed prompt tokens."""

    variant: str
    selection: Selection
    model: tuple[float, ...]
    evaluated: int


@dataclass(frozen=True)
class Responder:
    """Runs turns. ``settings`` holds the selection settings per variant, the
    ones measured on dev; a variant that is missing there runs pure PAL."""

    engine: Engine
    renderer: Renderer
    settings: Mapping[str, SelectionSettings] = field(default_factory=dict)
    encoder: Encoder | None = None

    def respond(self, request: TurnRequest, cancel: Cancel) -> Iterator[Selected | Delta | Done | Failed]:
        """Selections of the selecting variants, then all replies as they come.

        Yields, for every variant, exactly one Done or Failed; a variant that
        fails never stops the others.
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
                sentences, request.histories[variant], request.user, chosen.get(variant), selects=variant in chosen
            )
            replies.append(ReplyRequest(variant, prompt, request.decoding, request.seed, request.session))
        yield from self.engine.stream(replies, cancel)

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
