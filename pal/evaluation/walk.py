"""Teacher-forced turns through the engine that serves.

The history is the data's own text; a variant's earlier selections in it are
its own predictions, as in a chat, never the labels. Two ablations are told
what to select instead, in the history as well: nothing, or the gold sentence.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pal.chat.responder import Encoder, Responder, TurnRequest, turn_seed
from pal.chat.selection import SelectionSettings
from pal.chat.strategies import Selected
from pal.dialogue.persona import Persona
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding, Done, Failed, ReplyRequest
from pal.errors import EngineError
from pal.evaluation.turns import GoldTurn, MeasuredDialogue

PREDICTED, NOTHING, GOLD = CHOICES = ("predicted", "none", "gold")
GREEDY = Decoding(temperature=0.0, top_p=1.0, repeat_penalty=1.0, max_tokens=40)
DECODINGS = {"greedy": GREEDY, "page": Decoding()}


@dataclass(frozen=True)
class Answer:
    """What one variant did on one turn.

    ``probabilities``: what the choice was made from, none first; () for the
    baseline. ``model``: the model's own before the prior. ``pure_selected``
    and ``pure_probabilities``: the selection without prior, in a history of
    such selections. ``reply`` is None where none was asked for.
    """

    selected: int | None = None
    probabilities: tuple[float, ...] = ()
    model: tuple[float, ...] = ()
    pure_selected: int | None = None
    pure_probabilities: tuple[float, ...] = ()
    reply: str | None = None


@dataclass(frozen=True)
class WalkedTurn:
    """One turn of a dialogue with every variant's answer. ``cosines``: the
    embedding prior, one per sentence, () without an encoder."""

    turn: int
    measured: bool
    cosines: tuple[float, ...]
    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class WalkSettings:
    """What is asked of the models on every turn.

    ``pure`` holds the settings of pure PAL per variant (a none bias at most),
    whose selections are a second pass unless ``measure_pure`` is off.
    ``choice``: "predicted", or the sentence that selecting variants are told:
    "none", or "gold" (the strongest label, none where nothing is labelled).
    """

    variants: tuple[str, ...]
    selection: Mapping[str, SelectionSettings] = field(default_factory=dict)
    pure: Mapping[str, SelectionSettings] = field(default_factory=dict)
    generate: bool = True
    choice: str = PREDICTED
    seed: int = 0
    decoding: Decoding = GREEDY
    measure_pure: bool = True


class OncePerTurn:
    """An encoder that embeds a turn once, however many ask; no message, no prior."""

    def __init__(self, encoder: Encoder):
        self._encoder = encoder
        self._key: tuple[str, tuple[str, ...]] | None = None
        self._cosines: list[float] = []

    def cosines(self, text: str | None, sentences: Sequence[str]) -> list[float]:
        """Cosine of ``text`` with each sentence; zeros when nobody has spoken yet."""
        if not text:
            return [0.0] * len(sentences)
        if self._key != (text, tuple(sentences)):
            self._cosines = list(self._encoder.cosines(text, sentences))
            self._key = (text, tuple(sentences))
        return self._cosines


def told_selection(turn: GoldTurn, choice: str) -> int | None:
    """The sentence of ``choice`` "none" or "gold" on one turn."""
    return turn.labels[0] if choice == GOLD and turn.labels else None


def dialogue_seed(seed: int, dialogue: str) -> int:
    """A dialogue's own seed, so that sampled replies of different dialogues are independent draws."""
    return seed + zlib.crc32(dialogue.encode())


class Walk:
    """Walks dialogues with one responder. ``encoder`` may be None: no cosines."""

    def __init__(self, responder: Responder, settings: WalkSettings):
        encoder = OncePerTurn(responder.encoder) if responder.encoder else None
        self._responder = replace(responder, encoder=encoder, settings=settings.selection)
        self._pure = replace(responder, encoder=None, settings=settings.pure)
        self._settings = settings
        self._selecting = tuple(name for name in settings.variants if responder.variants[name].selects)
        self._same = all(
            settings.selection.get(name, SelectionSettings()) == settings.pure.get(name, SelectionSettings())
            for name in self._selecting
        )

    def dialogue(self, dialogue: MeasuredDialogue) -> list[WalkedTurn]:
        """Every turn up to the last measured one.

        Raises:
            EngineError: a variant failed; names the dialogue and the turn.
        """
        histories: dict[str, list[Exchange]] = {name: [] for name in self._settings.variants}
        pure_histories: dict[str, list[Exchange]] = {name: [] for name in self._selecting}
        walked = []
        for place, turn in enumerate(dialogue.turns):
            measured = place in dialogue.measured
            answer = self._predict if self._settings.choice == PREDICTED else self._told
            answers = answer(dialogue, turn, histories, measured and self._settings.generate)
            if self._settings.measure_pure and self._settings.choice == PREDICTED:
                answers = self._add_pure(dialogue, turn, answers, pure_histories)
            walked.append(WalkedTurn(turn.turn, measured, self._cosines(turn, dialogue.persona), answers))
            for name, answer in answers.items():
                histories[name].append(replace(turn.exchange, selected=answer.selected))
            for name in self._selecting:
                pure_histories[name].append(replace(turn.exchange, selected=answers[name].pure_selected))
        return walked

    def _predict(self, dialogue, turn: GoldTurn, histories, generate: bool) -> dict[str, Answer]:
        """Select then Generate, as the page does."""
        request = self._request(dialogue, turn, histories, dialogue.id)
        run = self._responder.respond if generate else self._responder.select
        answers = {name: Answer() for name in self._settings.variants}
        for event in _results(run(request, Cancel()), dialogue, turn):
            answers[event.variant] = _with(answers[event.variant], event)
        return answers

    def _told(self, dialogue, turn: GoldTurn, histories, generate: bool) -> dict[str, Answer]:
        """Generate from the sentence that the settings tell."""
        selected = told_selection(turn, self._settings.choice)
        answers = {name: Answer(selected=selected) for name in self._selecting}
        if not generate:
            return answers
        requests = [
            ReplyRequest(
                name,
                self._responder.renderer.reply_prompt(
                    dialogue.persona.sentences, histories[name], turn.exchange.user, selected
                ),
                self._settings.decoding,
                turn_seed(dialogue_seed(self._settings.seed, dialogue.id), histories[name]),
                dialogue.id,
            )
            for name in self._selecting
        ]
        for event in _results(self._responder.engine.stream(requests, Cancel()), dialogue, turn):
            answers[event.variant] = _with(answers[event.variant], event)
        return answers

    def _request(self, dialogue, turn: GoldTurn, histories, session: str) -> TurnRequest:
        return TurnRequest(
            dialogue.persona,
            turn.exchange.user,
            histories,
            self._settings.decoding,
            dialogue_seed(self._settings.seed, dialogue.id),
            session,
        )

    def _cosines(self, turn: GoldTurn, persona: Persona) -> tuple[float, ...]:
        encoder = self._responder.encoder
        return tuple(encoder.cosines(turn.exchange.user, persona.sentences)) if encoder else ()

    def _add_pure(self, dialogue, turn, answers: dict[str, Answer], histories) -> dict[str, Answer]:
        if self._same:
            return {
                name: replace(answer, pure_selected=answer.selected, pure_probabilities=answer.probabilities)
                for name, answer in answers.items()
            }
        answers = dict(answers)
        request = self._request(dialogue, turn, histories, dialogue.id + " pure")
        for event in _results(self._pure.select(request, Cancel()), dialogue, turn):
            answers[event.variant] = replace(
                answers[event.variant],
                pure_selected=event.selection.selected,
                pure_probabilities=event.selection.probabilities,
            )
        return answers


def _results(events: Iterable, dialogue: MeasuredDialogue, turn: GoldTurn) -> Iterator[Selected | Done]:
    for event in events:
        if isinstance(event, Failed):
            raise EngineError(
                f"{event.variant} failed on dialogue {dialogue.id}, turn {turn.turn}: {event.message}"
            )
        if isinstance(event, Selected | Done):
            yield event


def _with(answer: Answer, event: Selected | Done) -> Answer:
    if isinstance(event, Done):
        return replace(answer, reply=event.text)
    selection = event.selection
    return replace(
        answer, selected=selection.selected, probabilities=selection.probabilities, model=event.model
    )
