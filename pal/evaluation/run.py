"""The stages of an evaluation; each adds to a contender's record what is not there yet.

A model is loaded only when a stage has anything to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np

from pal.chat.responder import Encoder, Responder
from pal.chat.selection import TunedSelection
from pal.chat.variants import Variants
from pal.engines.base import Decoding
from pal.errors import CheckpointError
from pal.evaluation.contenders import (
    GOLD_REPLIES,
    Contender,
    describe_engine,
    open_encoder,
    opened,
)
from pal.evaluation.journal import Journal, Record
from pal.evaluation.perplexity import GoldReplyScorer
from pal.evaluation.relevance import EmbeddingRelevance, Relevance
from pal.evaluation.turns import Choice, MeasuredDialogue
from pal.evaluation.walk import GREEDY, OncePerTurn, Walk, WalkSettings
from pal.files import sha256
from pal.models.bases import open_renderer
from pal.models.consistency import ConsistencyModel
from pal.settings import Settings


class Consistency(Protocol):
    """What is needed of ``pal.models.consistency.ConsistencyModel``."""

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(persona sentence, reply) → contradiction, neutral, entailment: [pairs, 3]."""


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
        (contender.variant.name,),
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
        record.use_engine(describe_engine(responder.engine))
        for dialogue in _progress(missing, record, "selections and replies"):
            record.add_answers(dialogue, walker.dialogue(dialogue))


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
            probabilities = model.probabilities(
                [(sentence, reply) for reply in replies for sentence in sentences]
            )
            rows = np.asarray(probabilities, dtype=float).round(5).reshape(len(replies), len(sentences), 3)
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
            scores = iter(scorer.scores(pairs))
            record.add_relevance(dialogue, [round(next(scores), 5) if user else None for user in users])


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
    with tqdm(
        total=sum(len(dialogue.measured) for dialogue in dialogues), unit="turn", desc=f"{name}: {title}"
    ) as bar:
        for dialogue in dialogues:
            yield dialogue
            bar.update(len(dialogue.measured))


def consistency_hash(folder: Path) -> str:
    """SHA-256 of the consistency model's adapter and calibration; asked for before hours of replies.

    Raises:
        CheckpointError: it is not there.
    """
    files = [folder / name for name in ("adapter_model.safetensors", "calibration.json")]
    if not all(path.is_file() for path in files):
        raise CheckpointError(
            f"There is no consistency model in {folder}: train it with “python -m pal train consistency”, "
            "or give --no-consistency."
        )
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()


def open_records(
    task: Run, taking_part: Sequence[Contender], data: str, model: str, folder: Path
) -> dict[str, Record]:
    """A record per contender and, last, one of the data's own replies.

    Raises:
        DataError: the folder holds replies made in another way.
    """
    common = {"data": data, "seed": task.seed}
    records = {}
    for contender in taking_part:
        settings = common | {"decoding": asdict(task.decoding)} | contender.to_json(task.tuned)
        records[contender.name] = Record(
            Journal(folder / f"{contender.name}.jsonl", settings), contender, model
        )
    records[GOLD_REPLIES] = Record(Journal(folder / f"{GOLD_REPLIES}.jsonl", common), None, model)
    return records


def work(task: Run, records: dict[str, Record], settings: Settings, consistency: Path) -> None:
    """Run every stage that is asked for and not done, each model loaded once at most.

    Raises:
        DataError: a folder's earlier replies are of another engine.
    """
    for record in records.values():
        contender = record.contender
        if contender:
            walk(
                task,
                record,
                partial(opened, settings, Variants((contender.variant,)), prior=contender.predicts),
            )
        if contender and task.perplexity:
            score_gold_replies(
                task,
                record,
                lambda adapter=contender.variant.adapter: GoldReplyScorer.from_adapter(
                    adapter, open_renderer()
                ),
            )
    load_consistency, load_encoder = cache(partial(ConsistencyModel.load, consistency)), cache(open_encoder)
    if task.choice.labelled:
        add_cosines(task, records[GOLD_REPLIES], load_encoder)
    for record in records.values():
        if task.consistency:
            score_consistency(task, record, load_consistency)
        if task.relevance:
            score_relevance(task, record, lambda: EmbeddingRelevance(load_encoder()))
