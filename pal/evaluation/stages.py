"""The stages of an evaluation; each adds to a contender's record what is not there yet.

A model is loaded only when a stage has anything to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pal.engines.base import Decoding
from pal.evaluation.contenders import GOLD_REPLIES
from pal.evaluation.perplexity import GoldReplyScorer
from pal.evaluation.records import Record
from pal.evaluation.selection_file import TunedSelection
from pal.evaluation.turns import Choice, MeasuredDialogue
from pal.evaluation.walk import GREEDY, OncePerTurn, Walk, WalkSettings
from pal.respond import Encoder, Responder


class Consistency(Protocol):
    """What is needed of ``pal.evaluation.consistency.ConsistencyModel``."""

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(persona sentence, reply) → contradiction, neutral, entailment: [pairs, 3]."""


class Relevance(Protocol):
    """What is needed of a scorer of ``pal.evaluation.relevance``."""

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """(user's message, reply) → relevance, one each."""


@dataclass(frozen=True)
class Run:
    """One evaluation as asked for; the flags name what is measured."""

    choice: Choice
    tuned: TunedSelection
    seed: int = 0
    generate: bool = True
    pure: bool = True
    perplexity: bool = True
    consistency: bool = True
    relevance: bool = True
    decoding: Decoding = GREEDY


def walk(task: Run, record: Record, opened: Callable[[], AbstractContextManager[Responder]]) -> None:
    """Selections and replies."""
    missing = [
        dialogue
        for dialogue in task.choice.dialogues
        if not record.has_answers(dialogue, generate=task.generate, pure=task.pure)
    ]
    if not missing:
        return
    contender = record.contender
    settings = WalkSettings(
        (contender.variant,),
        task.tuned.used,
        task.tuned.pure,
        task.generate,
        contender.choice,
        task.seed,
        task.decoding,
        task.pure,
    )
    with opened() as responder:
        walker = Walk(responder, settings)
        engine = {"name": responder.engine.name, "quantisation": responder.engine.quantisation}
        for dialogue in _progress(missing, record, "selections and replies"):
            record.add_answers(dialogue, walker.dialogue(dialogue), engine)


def score_gold_replies(task: Run, record: Record, load: Callable[[], GoldReplyScorer]) -> None:
    """Likelihood of the gold replies after this contender's selections."""
    missing = [dialogue for dialogue in task.choice.dialogues if record.likelihoods(dialogue) is None]
    if missing:
        scorer = load()
        for dialogue in _progress(missing, record, "perplexity of gold replies"):
            record.add_likelihoods(dialogue, scorer.score(dialogue, record.selections(dialogue)))


def score_consistency(task: Run, record: Record, load: Callable[[], Consistency]) -> None:
    """Every measured reply against every persona sentence."""
    missing = [dialogue for dialogue in task.choice.dialogues if record.consistency(dialogue) is None]
    if missing:
        model = load()
        for dialogue in _progress(missing, record, "consistency"):
            replies, sentences = record.replies(dialogue), dialogue.persona.sentences
            found = model.probabilities([(sentence, reply) for reply in replies for sentence in sentences])
            rows = np.asarray(found, dtype=float).round(5).reshape(len(replies), len(sentences), 3)
            record.add_consistency(dialogue, rows.tolist())


def score_relevance(task: Run, record: Record, load: Callable[[], Relevance]) -> None:
    """Every measured reply to what the user said."""
    missing = [dialogue for dialogue in task.choice.dialogues if record.relevance(dialogue) is None]
    if missing:
        scorer = load()
        for dialogue in _progress(missing, record, "relevance"):
            users = [dialogue.turns[place].exchange.user for place in dialogue.measured]
            replies = record.replies(dialogue)
            pairs = [(user, reply) for user, reply in zip(users, replies, strict=True) if user]
            found = iter(scorer.scores(pairs))
            record.add_relevance(dialogue, [round(next(found), 5) if user else None for user in users])


def add_cosines(task: Run, record: Record, load: Callable[[], Encoder]) -> None:
    """The embedding prior of every measured turn; zeros where nobody had spoken."""
    missing = [dialogue for dialogue in task.choice.dialogues if record.cosines(dialogue) is None]
    if missing:
        encoder = OncePerTurn(load())
        for dialogue in _progress(missing, record, "embedding prior"):
            users = [dialogue.turns[place].exchange.user for place in dialogue.measured]
            sentences = dialogue.persona.sentences
            record.add_cosines(dialogue, [list(encoder.cosines(user, sentences)) for user in users])


def _progress(
    dialogues: Sequence[MeasuredDialogue], record: Record, title: str
) -> Iterator[MeasuredDialogue]:
    from tqdm import tqdm

    name = record.contender.name if record.contender else GOLD_REPLIES
    with tqdm(total=sum(len(one.measured) for one in dialogues), unit="turn", desc=f"{name}: {title}") as bar:
        for dialogue in dialogues:
            yield dialogue
            bar.update(len(dialogue.measured))
