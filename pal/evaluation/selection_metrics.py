"""Metrics of the selection step, as functions of weighted turns, and selectors to compare with.

A turn is *persona-bearing* when it has labels and a *none turn* when its
labels are empty; turns that are not labelled are left out before. A pick is a
*hit* when it is among the labels. Every function takes one weight per turn
(all ones for the plain value, a dialogue's multiplicity in a bootstrap
sample) and gives nan where its denominator is zero.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pal.dialogue.text_metrics import normalise

LEAST_OVERLAP = 0.2  # a fifth of a sentence's idf: on PersonaChat about one turn in ten is then found


@dataclass(frozen=True)
class SelectionOutcome:
    """What a selector did on one labelled turn.

    ``labels``: 0-based sentences that count as right, () for none.
    ``selected``: its pick, None for none. ``scores``: one number per sentence,
    only their order matters. ``persona_score``: higher when a sentence, rather
    than none, is expected; 1 − p(none) for a distribution.
    """

    labels: tuple[int, ...]
    selected: int | None
    scores: tuple[float, ...]
    persona_score: float


def outcome(labels: Sequence[int], selected: int | None, probabilities: Sequence[float]) -> SelectionOutcome:
    """The outcome of a pick and its distribution, none first."""
    return SelectionOutcome(tuple(labels), selected, tuple(probabilities[1:]), 1 - probabilities[0])


def _top_hit(outcome: SelectionOutcome) -> float:
    """Share of the best-scored sentences that are labels: 0 or 1 without ties."""
    if not outcome.scores:
        return 0.0
    best = max(outcome.scores)
    tied = [index for index, score in enumerate(outcome.scores) if score == best]
    return sum(index in outcome.labels for index in tied) / len(tied)


def _ratio(above: np.ndarray, below: np.ndarray, weights: np.ndarray) -> float:
    bottom = float(weights @ below)
    return float(weights @ above) / bottom if bottom else math.nan


def _f1(precision: float, recall: float) -> float:
    if math.isnan(precision) or math.isnan(recall):
        return math.nan
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float:
    """Probability that a random positive scores above a random negative, ties
    counting one half (the Mann-Whitney statistic); nan without both classes.

    Args:
        scores, positive, weights: shape (turns,); ``positive`` is boolean.
    """
    _, group = np.unique(scores, return_inverse=True)
    up = np.bincount(group, weights * positive)
    down = np.bincount(group, weights * ~positive)
    pairs = up.sum() * down.sum()
    below = np.cumsum(down) - down
    return float(up @ (below + down / 2)) / float(pairs) if pairs else math.nan


class SelectionMetrics:
    """All selection metrics of one selector on a list of labelled turns.

    ``top_hits``: of each turn the share of its best-scored sentences, none left
    aside, that are labels; 0 of a none turn.
    """

    def __init__(self, outcomes: Sequence[SelectionOutcome]):
        self._persona = np.array([bool(o.labels) for o in outcomes], dtype=bool)
        self._picked = np.array([o.selected is not None for o in outcomes], dtype=bool)
        self._hit = np.array(
            [o.selected is not None and o.selected in o.labels for o in outcomes], dtype=bool
        )
        self.top_hits = np.array([_top_hit(o) if o.labels else 0.0 for o in outcomes], dtype=float)
        self._chance = np.array([len(o.labels) / max(1, len(o.scores)) for o in outcomes], dtype=float)
        self._score = np.array([o.persona_score for o in outcomes], dtype=float)

    def accuracy(self, weights: np.ndarray) -> float:
        """Turns whose pick is a label, or is none where labels are empty / all turns."""
        right = self._hit | (~self._persona & ~self._picked)
        return _ratio(right, np.ones_like(right), weights)

    def precision(self, weights: np.ndarray) -> float:
        """Hits / turns, persona-bearing or not, on which a sentence was picked.

        So a sentence picked where the labels say none counts against it.
        """
        return _ratio(self._hit, self._picked, weights)

    def recall(self, weights: np.ndarray) -> float:
        """Hits / persona-bearing turns."""
        return _ratio(self._hit, self._persona, weights)

    def f1(self, weights: np.ndarray) -> float:
        """Harmonic mean of ``precision`` and ``recall``; 0 when nothing was picked."""
        precision = self.precision(weights)
        return _f1(0.0 if math.isnan(precision) else precision, self.recall(weights))

    def precision_on_persona_turns(self, weights: np.ndarray) -> float:
        """Hits / persona-bearing turns on which a sentence was picked."""
        return _ratio(self._hit, self._picked & self._persona, weights)

    def f1_on_persona_turns(self, weights: np.ndarray) -> float:
        """Harmonic mean of ``precision_on_persona_turns`` and ``recall``."""
        precision = self.precision_on_persona_turns(weights)
        return _f1(0.0 if math.isnan(precision) else precision, self.recall(weights))

    def none_precision(self, weights: np.ndarray) -> float:
        """Turns rightly left at none / turns on which none was picked."""
        return _ratio(~self._picked & ~self._persona, ~self._picked, weights)

    def none_recall(self, weights: np.ndarray) -> float:
        """Turns rightly left at none / none turns."""
        return _ratio(~self._picked & ~self._persona, ~self._persona, weights)

    def hit_at_1(self, weights: np.ndarray) -> float:
        """Persona-bearing turns whose best-scored sentence (none left aside)
        is a label / persona-bearing turns; tied sentences share the hit."""
        return _ratio(self.top_hits, self._persona, weights)

    def chance_hit_at_1(self, weights: np.ndarray) -> float:
        """``hit_at_1`` expected of a random order: mean of labels / sentences."""
        return _ratio(self._chance * self._persona, self._persona, weights)

    def auc(self, weights: np.ndarray) -> float:
        """AUC of ``persona_score`` for telling persona-bearing from none turns."""
        return auc(self._score, self._persona, weights)

    def best_f1(self, weights: np.ndarray) -> float:
        """Highest ``f1`` over thresholds on ``persona_score`` when the
        best-scored sentence is picked above it. The threshold is chosen on
        these very turns, so it bounds what a tuned one can reach."""
        order = np.argsort(-self._score, kind="stable")
        hits = np.cumsum((weights * self.top_hits * self._persona)[order])
        picked = np.cumsum(weights[order])
        persona = float(weights @ self._persona)
        last_of_tie = np.append(np.diff(self._score[order]) != 0, True)
        if not persona:
            return math.nan
        return float(np.max((2 * hits / np.maximum(picked + persona, 1e-12))[last_of_tie]))

    def all(self) -> dict[str, Callable[[np.ndarray], float]]:
        """Every metric by name."""
        names = (
            "accuracy precision recall f1 precision_on_persona_turns f1_on_persona_turns none_precision "
            "none_recall hit_at_1 chance_hit_at_1 auc best_f1"
        )
        return {name: getattr(self, name) for name in names.split()}


def always_none(labels: Sequence[int], sentences: int) -> SelectionOutcome:
    """Never picks a sentence and ranks none above another."""
    return SelectionOutcome(tuple(labels), None, (0.0,) * sentences, 0.0)


def inverse_document_frequency(documents: Iterable[str]) -> dict[str, float]:
    """log(N / documents that hold the word), natural, for every normalised word."""
    count, holding = 0, Counter()
    for document in documents:
        count += 1
        holding.update(set(normalise(document).split()))
    return {word: math.log(count / number) for word, number in holding.items()}


def idf_overlap(
    labels: Sequence[int], user: str, sentences: Sequence[str], idf: dict[str, float]
) -> SelectionOutcome:
    """Picks the sentence whose words shared with the last user turn weigh most.

    A sentence's score is the summed idf of the shared words over the summed
    idf of its own; none when no sentence reaches ``LEAST_OVERLAP``.
    """
    spoken = set(normalise(user).split())
    scores = []
    for sentence in sentences:
        own = set(normalise(sentence).split())
        total = sum(idf.get(word, 0.0) for word in own)
        scores.append(sum(idf.get(word, 0.0) for word in own & spoken) / total if total else 0.0)
    best = max(scores, default=0.0)
    return SelectionOutcome(
        tuple(labels), scores.index(best) if best >= LEAST_OVERLAP else None, tuple(scores), best
    )


def cosine(labels: Sequence[int], cosines: Sequence[float], threshold: float) -> SelectionOutcome:
    """Picks the sentence closest to the last user turn; none when its cosine
    is not above ``threshold``."""
    best = max(cosines, default=-1.0)
    selected = list(cosines).index(best) if best > threshold else None
    return SelectionOutcome(tuple(labels), selected, tuple(cosines), best)
