"""Choosing the selection settings that the page uses, from distributions on labelled turns.

Looked at are only the tune part of the data (one dialogue in five, see
``pal.evaluation.turns.part_of``) and ``plain_questions_tune.jsonl``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pal.chat.selection import SelectionSettings, TunedSelection
from pal.evaluation.questions import is_right
from pal.evaluation.selection_metrics import auc, cosine
from pal.evaluation.walk import WalkedTurn

OBJECTIVE = (  # written beside the settings
    "the mean of F1 on the dialogues and accuracy on the questions, among settings whose hit@1 and "
    "AUC on the dialogues are at most one point below pure PAL's. F1, not accuracy: in real chats "
    "none is the likeliest single answer, and accuracy would choose it nearly always; the questions "
    "hold small talk that asks for none. Without the bounds plain questions would be bought with the "
    "ranking in real chats. With a prior all variants share one setting, the best on average: how "
    "often a sentence is selected decides much of a reply's C.score, and between two columns of the "
    "page only the training should differ."
)
WEIGHTS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0)
THRESHOLDS = tuple(round(0.02 * step, 2) for step in range(-16, 36))  # cosines
BIASES = tuple(round(0.25 * step, 2) for step in range(-24, 25))  # log-odds
TOLERANCE = 0.01  # of hit@1 and AUC below pure PAL


@dataclass(frozen=True)
class Distributions:
    """Labelled turns as arrays, sentences padded with −inf.

    ``none``: log p(none), shape (turns,). ``sentences``: log p of each,
    (turns, widest persona). ``cosines``: the prior, same shape, padded with 0.
    ``right``: (turns, widest + 1), True where option 0 (none) or a sentence counts.
    """

    none: np.ndarray
    sentences: np.ndarray
    cosines: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, turns: Sequence[tuple[Sequence[int], Sequence[float], Sequence[float]]]) -> Distributions:
        """From (labels, probabilities with none first, cosines) of each turn."""
        width = max(len(cosines) for _, _, cosines in turns)
        log = np.full((len(turns), width + 1), -np.inf)
        prior, right = np.zeros((len(turns), width)), np.zeros((len(turns), width + 1), dtype=bool)
        for row, (labels, probabilities, cosines) in enumerate(turns):
            log[row, : len(probabilities)] = np.log(np.maximum(probabilities, 1e-12))
            prior[row, : len(cosines)] = cosines
            right[row, [label + 1 for label in labels] or [0]] = True
        return cls(log[:, 0], log[:, 1:], prior, right)

    def scores(self, settings: SelectionSettings) -> np.ndarray:
        """Combined log-scores, none first, as in ``pal.chat.selection.combine``."""
        none = self.none + settings.prior_weight * settings.prior_threshold + settings.none_bias
        return np.column_stack([none, self.sentences + settings.prior_weight * self.cosines])

    def accuracy(self, scores: np.ndarray) -> float:
        """Share of turns whose best option counts as right."""
        return float(self.right[np.arange(len(scores)), scores.argmax(axis=1)].mean())

    def f1(self, scores: np.ndarray) -> float:
        """F1 of the picked sentences, as ``SelectionMetrics.f1``."""
        picks = scores.argmax(axis=1)
        hits = int((self.right[np.arange(len(scores)), picks] & (picks > 0)).sum())
        total = int((picks > 0).sum() + (~self.right[:, 0]).sum())
        return 2 * hits / total if total else 0.0

    def ranking(self, scores: np.ndarray) -> tuple[float, float]:
        """hit@1 on persona-bearing turns and AUC persona/none."""
        persona, rows = ~self.right[:, 0], np.arange(len(scores))
        hits = self.right[rows, scores[:, 1:].argmax(axis=1) + 1]
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        score = 1 - weights[:, 0] / weights.sum(axis=1)
        return float(hits[persona].mean()), auc(score, persona, np.ones(len(scores)))


@dataclass(frozen=True)
class Candidate:
    """Settings and what they reach on the tuning material."""

    settings: SelectionSettings
    dialogue_accuracy: float
    dialogue_f1: float
    question_accuracy: float
    hit_at_1: float
    auc: float

    @property
    def objective(self) -> float:
        """Mean of F1 on the dialogues and accuracy on the questions."""
        return (self.dialogue_f1 + self.question_accuracy) / 2

    def to_json(self) -> dict[str, Any]:
        """Settings, metrics and objective as plain numbers."""
        return asdict(self) | {"objective": self.objective}


def judge(settings: SelectionSettings, dialogues: Distributions, questions: Distributions) -> Candidate:
    """What ``settings`` reach."""
    scores = dialogues.scores(settings)
    return Candidate(
        settings,
        dialogues.accuracy(scores),
        dialogues.f1(scores),
        questions.accuracy(questions.scores(settings)),
        *dialogues.ranking(scores),
    )


def best_pure(dialogues: Distributions, questions: Distributions) -> Candidate:
    """Pure PAL with the none bias of the highest objective; the smallest one on a tie."""
    candidates = [
        judge(SelectionSettings(none_bias=bias), dialogues, questions) for bias in sorted(BIASES, key=abs)
    ]
    return max(candidates, key=lambda candidate: candidate.objective)


def best_combined(
    pure: Sequence[Candidate], groups: Sequence[tuple[Distributions, Distributions]]
) -> list[Candidate]:
    """The prior's settings of the highest mean objective over all variants.

    ``groups``: dialogues and questions of each variant, in the order of
    ``pure``. Each variant stays within the tolerance of its pure PAL; ``pure``
    when nothing beats it. The none bias stays 0: with a prior it would only
    shift the threshold.
    """
    best = list(pure)
    for weight in WEIGHTS:
        for threshold in THRESHOLDS:
            candidates = [judge(SelectionSettings(weight, threshold), *group) for group in groups]
            allowed = all(
                mine.hit_at_1 >= own.hit_at_1 - TOLERANCE and mine.auc >= own.auc - TOLERANCE
                for mine, own in zip(candidates, pure, strict=True)
            )
            if allowed and _mean_objective(candidates) > _mean_objective(best):
                best = candidates
    return best


def _mean_objective(candidates: Sequence[Candidate]) -> float:
    return sum(candidate.objective for candidate in candidates) / len(candidates)


def best_threshold(groups: Sequence[Sequence[tuple[Sequence[int], Sequence[float]]]]) -> float:
    """Threshold of the prior alone: the highest mean accuracy over the groups.

    ``groups``: (labels, cosines) of each turn of the dialogues, of the questions.
    """

    def mean_accuracy(threshold: float) -> float:
        shares = [
            np.mean([is_right(cosine(labels, cosines, threshold)) for labels, cosines in group])
            for group in groups
        ]
        return float(np.mean(shares))

    return max(THRESHOLDS, key=mean_accuracy)


def tune(
    variants: Sequence[str],
    dialogues: Sequence[tuple[tuple[int, ...], WalkedTurn]],
    questions: Sequence[tuple[tuple[int, ...], WalkedTurn]],
) -> tuple[TunedSelection, dict[str, Any]]:
    """Settings of each variant, and what was found, from (labels, turn) pairs."""
    groups = [
        tuple(
            Distributions.of([(labels, turn.answers[variant].model, turn.cosines) for labels, turn in group])
            for group in (dialogues, questions)
        )
        for variant in variants
    ]
    pure = [best_pure(*group) for group in groups]
    combined = best_combined(pure, groups)
    chosen = {
        variant: {"pure PAL": own.to_json(), "combined": shared.to_json()}
        for variant, own, shared in zip(variants, pure, combined, strict=True)
    }
    threshold = best_threshold(
        [[(labels, turn.cosines) for labels, turn in group] for group in (dialogues, questions)]
    )
    settings = (
        {variant: candidate.settings for variant, candidate in zip(variants, candidates, strict=True)}
        for candidates in (combined, pure)
    )
    return TunedSelection(*settings, threshold), chosen
