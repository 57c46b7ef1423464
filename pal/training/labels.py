"""Entailed-sentence labels for turns that have none, by the consistency model.

Given labels are kept. A turn's label names the speaker's own persona sentences
that it entails (the model's verdict), strongest first; () is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from accelerate import Accelerator
from tqdm import tqdm

from pal.dialogue.readers import read_dialogues
from pal.dialogue.turns import Dialogue, Utterance
from pal.files import write_text
from pal.models.consistency import FOLDER
from pal.models.encoder import fetch_encoder
from pal.training.consistency import TrainedScorer

ENTAILMENT = 2  # column of the model's probabilities


class PairScorer(Protocol):
    """What labels; see ``pal.models.consistency.ConsistencyModel``."""

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """[pairs, 3]: contradiction, neutral, entailment."""


@dataclass(frozen=True)
class LabelCounts:
    """Turns by where their label comes from."""

    given_persona: int = 0
    given_none: int = 0
    new_persona: int = 0
    new_none: int = 0

    def __add__(self, other: LabelCounts) -> LabelCounts:
        values = (getattr(self, name) + getattr(other, name) for name in asdict(self))
        return LabelCounts(*values)


def entailed(scorer: PairScorer, sentences: Sequence[str], texts: Sequence[str]) -> list[tuple[int, ...]]:
    """For each text the sentences that it entails by the model's verdict, strongest first."""
    if not sentences or not texts:
        return [()] * len(texts)
    pairs = [(sentence, text) for text in texts for sentence in sentences]
    scores = np.asarray(scorer.probabilities(pairs)).reshape(len(texts), len(sentences), 3)
    labels = []
    for turn in scores:
        found = np.flatnonzero(turn.argmax(axis=-1) == ENTAILMENT)
        labels.append(
            tuple(int(index) for index in sorted(found, key=lambda index: -turn[index, ENTAILMENT]))
        )
    return labels


def label_dialogue(dialogue: Dialogue, scorer: PairScorer) -> tuple[Dialogue, LabelCounts]:
    """The dialogue with every turn of a speaker with a persona labelled."""
    turns = list(dialogue.turns)
    counts = LabelCounts()
    for speaker, sentences in dialogue.personas.items():
        places = [at for at, turn in enumerate(turns) if turn.speaker == speaker]
        given = [turns[at].persona for at in places if turns[at].persona is not None]
        missing = [at for at in places if turns[at].persona is None] if sentences else []
        labels = entailed(scorer, sentences, [turns[at].text for at in missing])
        for at, label in zip(missing, labels, strict=True):
            turns[at] = replace(turns[at], persona=label)
        persona, new = sum(map(bool, given)), sum(map(bool, labels))
        counts += LabelCounts(persona, len(given) - persona, new, len(labels) - new)
    return replace(dialogue, turns=tuple(turns)), counts


def label_file(
    dialogues: Sequence[Dialogue], scorer: PairScorer, out: Path, progress: Callable[[int], None]
) -> LabelCounts:
    """Write labelled dialogues as PAL's JSONL; a stopped run goes on where it stopped.

    ``progress`` is called with 1 for every dialogue.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".part")
    rows = partial.read_text(encoding="utf-8").splitlines(keepends=True) if partial.exists() else []
    rows = [row for row in rows if row.endswith("\n")]
    partial.write_text("".join(rows), encoding="utf-8")
    counts = sum((LabelCounts(**json.loads(row)["counts"]) for row in rows), LabelCounts())
    progress(len(rows))
    with partial.open("a", encoding="utf-8") as file:
        for dialogue in dialogues[len(rows) :]:
            labelled, found = label_dialogue(dialogue, scorer)
            counts += found
            file.write(json.dumps({**_row(labelled), "counts": asdict(found)}, ensure_ascii=False) + "\n")
            progress(1)
    partial.replace(out)
    return counts


def _row(dialogue: Dialogue) -> dict:
    return {
        "id": dialogue.id,
        "source": dialogue.source,
        "personas": {speaker: list(sentences) for speaker, sentences in dialogue.personas.items()},
        "turns": [_turn(turn) for turn in dialogue.turns],
    }


def _turn(turn: Utterance) -> dict:
    return {
        "speaker": turn.speaker,
        "text": turn.text,
        "persona": None if turn.persona is None else list(turn.persona),
    }


@dataclass(frozen=True)
class Agreement:
    """Own labels against given ones, over turns.

    ``persona_or_none``: both bear a sentence or neither does; ``same_set``:
    the same sentences; ``strongest_in_given``: of turns that both label with a
    sentence, ours' strongest is among the given; ``kappa``: Cohen's kappa of
    persona or none; ``precision`` and ``recall`` of single (turn, sentence) labels.
    """

    turns: int
    persona_or_none: float
    same_set: float
    strongest_in_given: float
    kappa: float
    precision: float
    recall: float
    given_none: float
    own_none: float


def agreement(
    dialogues: Sequence[Dialogue], scorer: PairScorer, progress: Callable[[int], None]
) -> Agreement:
    """Label the labelled turns anew and compare. ``progress``: 1 for every dialogue."""
    given: list[frozenset[int]] = []
    own: list[tuple[int, ...]] = []
    for dialogue in dialogues:
        for speaker, sentences in dialogue.personas.items():
            turns = [turn for turn in dialogue.turns if turn.speaker == speaker and turn.persona is not None]
            given += [frozenset(turn.persona) for turn in turns]
            own += entailed(scorer, sentences, [turn.text for turn in turns])
        progress(1)
    return compare(given, own)


def compare(given: Sequence[frozenset[int]], own: Sequence[tuple[int, ...]]) -> Agreement:
    """The agreement of two labellings of the same turns (own: strongest first)."""
    total = len(given)
    pairs = list(zip(given, own, strict=True))
    same = sum(bool(a) == bool(b) for a, b in pairs) / total
    persona_given, persona_own = sum(map(bool, given)) / total, sum(map(bool, own)) / total
    chance = persona_given * persona_own + (1 - persona_given) * (1 - persona_own)
    both = [(a, b) for a, b in pairs if a and b]
    hits = sum(len(a & set(b)) for a, b in pairs)
    return Agreement(
        turns=total,
        persona_or_none=same,
        same_set=sum(a == frozenset(b) for a, b in pairs) / total,
        strongest_in_given=sum(b[0] in a for a, b in both) / len(both) if both else float("nan"),
        kappa=(same - chance) / (1 - chance) if chance < 1 else float("nan"),
        precision=hits / max(1, sum(map(len, own))),
        recall=hits / max(1, sum(map(len, given))),
        given_none=1 - persona_given,
        own_none=1 - persona_own,
    )


def label_files(
    paths: Sequence[Path], out: Path, *, agreement_file: Path | None = None, model: Path | None = None
) -> dict[str, object]:
    """Write labelled copies of dialogues files and ``labels.json`` into ``out``; gives the latter's content.

    Args:
        agreement_file: dialogues whose labels are compared with the model's.
        model: the consistency model; the repository's by default.

    Raises:
        DataError: a file cannot be read.
    """
    files = {path: read_dialogues(path) for path in paths}
    compared = read_dialogues(agreement_file) if agreement_file else []
    scorer = TrainedScorer(model or FOLDER, fetch_encoder(), Accelerator().device)
    counts: dict[str, object] = {}
    report: dict[str, object] = {"files": counts}
    with tqdm(total=sum(map(len, files.values())) + len(compared), unit="dialogue") as bar:
        for path, dialogues in files.items():
            found = label_file(dialogues, scorer, out / path.name, bar.update)
            counts[path.name] = {"dialogues": len(dialogues), **asdict(found)}
        if agreement_file:
            result = agreement(compared, scorer, bar.update)
            report["agreement"] = {"file": agreement_file.name, **asdict(result)}
    write_text(out / "labels.json", json.dumps(report, indent=1) + "\n")
    return report
