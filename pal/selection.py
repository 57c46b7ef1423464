"""The selection step: one distribution over "none" and every sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SelectionSettings:
    """How the model's distribution becomes a choice. All tuned on dev.

    The combined log-score of sentence i is ``log p_i + prior_weight * cos_i``
    and that of none is ``log p_none + prior_weight * prior_threshold + none_bias``,
    where cos_i is the embedding cosine of the last user turn and sentence i.
    ``prior_weight=0`` is pure PAL.
    """

    prior_weight: float = 0.0
    prior_threshold: float = 0.0
    none_bias: float = 0.0

    @property
    def label(self) -> str:
        """Short name shown in the page and in reports."""
        return (
            "pure PAL" if self.prior_weight == 0 else f"PAL + embedding prior (weight {self.prior_weight:g})"
        )


@dataclass(frozen=True)
class Selection:
    """``probabilities``: none first, then each sentence; they sum to 1.
    ``selected``: 0-based sentence, or None for none."""

    probabilities: tuple[float, ...]
    selected: int | None

    @property
    def confidence(self) -> float:
        """Probability of what was selected."""
        return self.probabilities[0 if self.selected is None else self.selected + 1]


def softmax(scores: Sequence[float]) -> tuple[float, ...]:
    """Probabilities of log-scores; sums to 1."""
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def choose(probabilities: Sequence[float]) -> Selection:
    """The most probable option; the first one on a tie."""
    best = max(range(len(probabilities)), key=lambda option: probabilities[option])
    return Selection(tuple(probabilities), None if best == 0 else best - 1)


def combine(
    probabilities: Sequence[float], cosines: Sequence[float] | None, settings: SelectionSettings
) -> Selection:
    """The selection from the model's distribution and the embedding prior.

    Args:
        probabilities: the model's own, none first; length sentences + 1.
        cosines: one per sentence; may be None when ``prior_weight`` is 0.

    Raises:
        ValueError: a prior is asked for and the cosines do not fit.
    """
    scores = [math.log(max(p, 1e-12)) for p in probabilities]
    scores[0] += settings.none_bias
    if settings.prior_weight:
        if cosines is None or len(cosines) != len(scores) - 1:
            raise ValueError("the embedding prior needs one cosine per persona sentence")
        scores[0] += settings.prior_weight * settings.prior_threshold
        for index, cosine in enumerate(cosines):
            scores[index + 1] += settings.prior_weight * cosine
    return choose(softmax(scores))
