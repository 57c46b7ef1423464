"""Runs the strategies of all variants of one turn over an engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from pal.chat.selection import SelectionSettings
from pal.chat.strategies import Generate, Select, Selected, Situation, Steps
from pal.chat.variants import Variants
from pal.dialogue.findings import Finding
from pal.dialogue.persona import Persona
from pal.dialogue.prompt import Renderer
from pal.dialogue.turns import Exchange
from pal.engines.base import (
    Cancel,
    Decoding,
    Delta,
    Done,
    Engine,
    Failed,
    Options,
    PrefillRequest,
    ReplyRequest,
    SelectRequest,
)
from pal.errors import PalError
from pal.models.contradictions import ConsistencyScorer, reply_findings

UNJUDGED = "The consistency model failed; the reply is not affected."
FAILED = "This model could not answer: an unexpected error. Try again."

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


@dataclass(frozen=True)
class TurnRequest:
    """What one turn needs. ``histories[variant]`` are that variant's finished
    exchanges: shared texts, but each with its own earlier selections; the
    variants that have one take part, in this order. ``session`` names the chat
    whose cache is kept in the engine, "" for a turn on its own. With ``judge``, replies are
    judged once all are written, where the responder can."""

    persona: Persona
    user: str
    histories: Mapping[str, Sequence[Exchange]]
    decoding: Decoding
    seed: int
    session: str
    judge: bool = True

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants that take part."""
        return tuple(self.histories)


@dataclass(frozen=True)
class Judged:
    """What a finished reply says about the persona: for each sentence the
    probabilities in the order of ``pal.models.consistency.LABELS``, and what is
    wrong, in words. None with a ``message`` for the visitor when they could not
    be had."""

    variant: str
    consistency: tuple[tuple[float, float, float], ...] | None
    message: str | None = None
    findings: tuple[Finding, ...] | None = None


Event = Selected | Delta | Done | Failed | Judged


@dataclass(frozen=True)
class Responder:
    """Runs turns.

    Attributes:
        engine: selects and generates.
        renderer: over the engine's tokenizer.
        variants: those there are; a turn may run fewer.
        settings: selection settings per variant, the ones measured on dev; a
            variant that is missing there runs pure PAL.
        encoder: of the embedding prior; None where no setting has a prior.
        consistency: judges replies; None: no reply is judged.
    """

    engine: Engine
    renderer: Renderer
    variants: Variants
    settings: Mapping[str, SelectionSettings] = field(default_factory=dict)
    encoder: Encoder | None = None
    consistency: ConsistencyScorer | None = None

    def respond(self, request: TurnRequest, cancel: Cancel) -> Generator[Event, None, None]:
        """Runs every variant's strategy to its end.

        Yields selections and replies as they come and, for every variant,
        exactly one Done or Failed; a variant that fails never stops the others.
        Replies are judged last, when no text is waited for any more: a Judged
        for each that is not empty. Closing the generator frees the engine.
        """
        written: dict[str, str] = {}
        with closing(_Turn(self, request, request.variants).run(cancel)) as events:
            for event in events:
                if isinstance(event, Done):
                    written[event.variant] = event.text.strip()
                yield event
        if self.consistency is not None and request.judge:
            for variant, text in written.items():
                if text and not cancel.is_set:
                    yield self._judge(self.consistency, variant, request, text)

    def select(self, request: TurnRequest, cancel: Cancel) -> Generator[Selected | Failed, None, None]:
        """Only as far as the selections: one Selected or Failed per selecting variant."""
        selecting = [variant for variant in request.variants if self.variants[variant].selects]
        with closing(_Turn(self, request, selecting, until_selected=True).run(cancel)) as events:
            for event in events:
                if isinstance(event, Selected | Failed):
                    yield event

    def prefill(self, persona: Persona, histories: Mapping[str, Sequence[Exchange]], session: str) -> None:
        """Let the engine compute what the next turn of a chat begins with, while nobody waits."""
        sentences = persona.sentences
        requests = [
            PrefillRequest(
                variant,
                self.renderer.coming_context(sentences, history, selects=self.variants[variant].selects),
                session,
            )
            for variant, history in histories.items()
        ]
        self.engine.prefill(requests)

    @staticmethod
    def _judge(model: ConsistencyScorer, variant: str, request: TurnRequest, text: str) -> Judged:
        sentences = request.persona.sentences
        try:
            rows = model.probabilities([(sentence, text) for sentence in sentences])
            found = reply_findings(sentences, text, request.user, model)
            return Judged(variant, tuple(tuple(row) for row in rows.tolist()), findings=found)
        except PalError as error:
            return Judged(variant, None, str(error))
        except Exception:  # whatever goes wrong here, the replies stand
            log.exception("the consistency model failed")
            return Judged(variant, None, UNJUDGED)


class _Turn:
    """One turn under way: each variant's strategy, and the step it waits for."""

    def __init__(
        self,
        responder: Responder,
        request: TurnRequest,
        variants: Sequence[str],
        *,
        until_selected: bool = False,
    ):
        self._engine = responder.engine
        self._request = request
        self._until_selected = until_selected
        self._waiting: dict[str, Select | Generate] = {}
        sentences, encoder = request.persona.sentences, responder.encoder
        cosines: Callable[[str], Sequence[float] | None] = cache(
            lambda text: encoder.cosines(text, sentences) if encoder is not None else None
        )
        self._steps: dict[str, Steps] = {
            variant: responder.variants[variant].strategy.steps(
                Situation(
                    variant,
                    sentences,
                    request.histories[variant],
                    request.user,
                    responder.renderer,
                    responder.settings.get(variant, SelectionSettings()),
                    cosines,
                )
            )
            for variant in variants
        }

    def run(self, cancel: Cancel) -> Generator[Event, None, None]:
        """All steps of all variants. Selections go before generations, since a
        selection that waits holds up its own reply."""
        for variant in self._steps:
            yield from self._advance(variant, None)
        while self._waiting:
            selects = {name: step for name, step in self._waiting.items() if isinstance(step, Select)}
            batch = selects or self._waiting
            batch = {name: batch[name] for name in self._steps if name in batch}
            self._waiting = {name: step for name, step in self._waiting.items() if name not in batch}
            yield from self._select(batch, cancel) if selects else self._generate(batch, cancel)

    def _select(self, batch: Mapping[str, Select], cancel: Cancel) -> Iterator[Event]:
        requests = [
            SelectRequest(variant, step.tokens, step.options, self._request.session)
            for variant, step in batch.items()
        ]
        with closing(self._engine.select(requests, cancel)) as answers:
            for answer in answers:
                if isinstance(answer, Failed):
                    yield answer
                else:
                    yield from self._advance(answer.variant, answer)

    def _generate(self, batch: Mapping[str, Generate], cancel: Cancel) -> Iterator[Event]:
        requests = [
            ReplyRequest(
                variant,
                step.tokens,
                self._request.decoding,
                turn_seed(self._request.seed, self._request.histories[variant]),
                self._request.session,
            )
            for variant, step in batch.items()
        ]
        with closing(self._engine.stream(requests, cancel)) as events:
            for event in events:
                if batch[event.variant].shown or isinstance(event, Failed):
                    yield event
                elif isinstance(event, Done):
                    yield from self._advance(event.variant, event)

    def _advance(self, variant: str, answer: Options | Done | None) -> Iterator[Event]:
        """Send an answer to a strategy; its events up to the step it waits for next."""
        steps = self._steps[variant]
        try:
            result = steps.send(answer)
            while isinstance(result, Selected):
                yield result
                if self._until_selected:
                    return
                result = next(steps)
            self._waiting[variant] = result
        except PalError as error:
            yield Failed(variant, str(error))
        except Exception:  # a strategy's mistake is its own variant's failure
            log.exception("the strategy of %s failed", variant)
            yield Failed(variant, FAILED)
