"""Intervals over turns and annotators at once.

Votes of one annotator are alike, and so are votes on one turn. Both are drawn
with replacement, and a vote's weight is the product of the two counts (the
pigeonhole bootstrap; Owen 2007, Annals of Applied Statistics 1, 386-411).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pal.evaluation.bootstrap import Estimate, Statistic, percentile_interval
from pal.ratings.ballots import Ballot

UNDEFINED_AT_MOST = 0.05  # share of resamples without a value; above, there is no interval


class TwoWayBootstrap:
    """Resamples of one list of ballots, the same for every statistic.

    Args:
        ballots: at least one.
        samples: number of resamples.
        seed: of the resampling.
    """

    def __init__(self, ballots: Sequence[Ballot], samples: int = 500, seed: int = 0):
        self._rows = len(ballots)
        random = np.random.default_rng(seed)
        self._turns = _draws([ballot.turn.id for ballot in ballots], samples, random)
        self._annotators = _draws([ballot.rating.annotator for ballot in ballots], samples, random)

    def _resamples(self) -> Iterator[np.ndarray]:
        """Row weights [rows] of each resample; the rare empty ones are left out."""
        for turns, annotators in zip(self._turns, self._annotators, strict=True):
            weights = (turns * annotators).astype(float)
            if weights.any():
                yield weights

    def estimate(self, statistic: Statistic) -> Estimate:
        """The statistic of row weights, with its 95 % percentile interval."""
        return percentile_interval(statistic, self._rows, self._resamples())

    def estimates(self, statistic: Callable[[np.ndarray], np.ndarray]) -> list[Estimate]:
        """The same for a statistic [values]; no interval (nan) where it is
        undefined (nan) in more than ``UNDEFINED_AT_MOST`` of the resamples."""
        values = statistic(np.ones(self._rows))
        drawn = np.array([statistic(weights) for weights in self._resamples()])
        defined = drawn[~np.isnan(drawn).any(axis=1)]
        if np.isnan(values).any() or len(defined) < (1 - UNDEFINED_AT_MOST) * len(drawn):
            return [Estimate(float(value), float("nan"), float("nan")) for value in values]
        low, high = np.percentile(defined, [2.5, 97.5], axis=0)
        return [Estimate(*map(float, triple)) for triple in zip(values, low, high, strict=True)]


def _draws(names: Sequence[str], samples: int, random: np.random.Generator) -> np.ndarray:
    """How often each row's cluster was drawn, [samples, rows]."""
    clusters, rows = np.unique(names, return_inverse=True)
    drawn = random.multinomial(len(clusters), np.full(len(clusters), 1 / len(clusters)), size=samples)
    return drawn[:, rows]
