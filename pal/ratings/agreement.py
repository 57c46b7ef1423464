"""How far annotators agree, with each other, with themselves and with gold items."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import krippendorff
import numpy as np

from pal.evaluation.bootstrap import Bootstrap, Estimate, wilson
from pal.ratings.ballots import Ballot
from pal.ratings.gold import agrees_with_gold


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha, 1 is perfect and 0 is chance.

    Attributes:
        nominal: of the outcomes (won, tied, lost) of every two variants.
        ordinal: of the ranks of every variant.
        turns: turns that at least two annotators ranked.
    """

    nominal: Estimate
    ordinal: Estimate
    turns: int


def agreement(ballots: Sequence[Ballot], samples: int = 200) -> Agreement:
    """Agreement between annotators, with intervals by bootstrap over turns."""
    outcomes: dict[tuple[str, str, str], list[int]] = {}
    ranks: dict[tuple[str, str], list[int]] = {}
    for ballot in ballots:
        for variant in ballot.turn.variants:
            ranks.setdefault((ballot.turn.id, variant), []).append(ballot.rating.rank_of(variant) - 1)
        for pair in itertools.combinations(ballot.turn.variants, 2):
            outcomes.setdefault((ballot.turn.id, *pair), []).append(int(2 * ballot.points(*pair)))
    shared = {key[0] for key, values in ranks.items() if len(values) > 1}
    levels = 1 + max((max(values) for values in ranks.values()), default=0)
    return Agreement(
        nominal=_estimate(outcomes, 3, "nominal", samples),
        ordinal=_estimate(ranks, levels, "ordinal", samples),
        turns=len(shared),
    )


def _estimate(units: dict[tuple, list[int]], values: int, level: str, samples: int) -> Estimate:
    """Alpha of units named (turn, …), each with the values it was given."""
    kept = {key: given for key, given in units.items() if len(given) > 1}
    if not kept:
        return Estimate(math.nan, math.nan, math.nan)
    counts = np.array([np.bincount(given, minlength=values) for given in kept.values()])
    bootstrap = Bootstrap([key[0] for key in kept], samples)
    return bootstrap.estimate(lambda weights: alpha(counts.repeat(weights.astype(int), axis=0), level))


def alpha(counts: np.ndarray, level: str) -> float:
    """Krippendorff's alpha (Krippendorff 2011, “Computing Krippendorff's alpha-reliability”).

    Args:
        counts: annotators who gave each unit each value, [units, values].
        level: "nominal" or "ordinal".

    Returns:
        nan when all values are the same, or no unit has two.
    """
    if (counts.sum(axis=1) < 2).all() or (counts[counts.sum(axis=1) > 1].sum(axis=0) > 0).sum() < 2:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(krippendorff.alpha(value_counts=counts, level_of_measurement=level))


def self_agreement(repeated: Sequence[tuple[Ballot, Ballot]]) -> Estimate:
    """Share of the comparisons of two variants that annotators judged the same
    when the turn came again; Wilson interval."""
    same = [
        repeat.points(*pair) == original.points(*pair)
        for repeat, original in repeated
        for pair in itertools.combinations(original.turn.variants, 2)
    ]
    return wilson(sum(same), len(same))


def gold_accuracy(gold: Sequence[Ballot]) -> Estimate:
    """Share of gold items ranked right; Wilson interval."""
    return wilson(sum(bool(agrees_with_gold(ballot.rating, ballot.turn)) for ballot in gold), len(gold))
