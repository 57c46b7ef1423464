"""Intervals by resampling whole clusters of rows.

Turns of one dialogue are not independent, so dialogues are drawn with
replacement and every turn takes its dialogue's multiplicity as weight
(the cluster bootstrap; Davison & Hinkley 1997, section 3.8). Votes of one
annotator are alike, and so are votes on one turn: both are drawn with
replacement, and a vote's weight is the product of the two counts (the
pigeonhole bootstrap; Owen 2007, Annals of Applied Statistics 1, 386-411).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Statistic = Callable[[np.ndarray], float]  # row weights (rows,) -> value
_Z = 1.959964  # two-sided 95 %
UNDEFINED_AT_MOST = 0.05  # share of resamples without a value; above, there is no interval


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; nan where it is not defined."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Plain numbers; None for nan, since JSON has none."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {
            name: None if math.isnan(number) else round(float(number), 6) for name, number in numbers.items()
        }


def mean_of(values: Sequence[float]) -> Statistic:
    """The weighted mean of one number per row."""
    return ratio_of(values, np.ones(len(values)))


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Statistic:
    """Weighted sum of ``above`` / weighted sum of ``below``; nan over zero."""
    top, bottom = np.asarray(above, dtype=float), np.asarray(below, dtype=float)

    def statistic(weights: np.ndarray) -> float:
        total = float(weights @ bottom)
        return float(weights @ top) / total if total else math.nan

    return statistic


def jackknife(clusters: Sequence[Hashable], statistic: Statistic) -> Estimate:
    """The statistic ± 1.96 standard errors by leaving out one dialogue at a time.

    For distinct-n, where a bootstrap sample repeats dialogues and so always
    looks less varied than the corpus it came from.
    """
    names = list(dict.fromkeys(clusters))
    position = {name: number for number, name in enumerate(names)}
    rows = np.array([position[cluster] for cluster in clusters])
    value = float(statistic(np.ones(len(rows))))
    left_out = np.array([statistic((rows != number).astype(float)) for number in range(len(names))])
    if len(names) < 2 or np.isnan(left_out).any():
        return Estimate(value, math.nan, math.nan)
    error = math.sqrt((len(names) - 1) / len(names) * float(((left_out - left_out.mean()) ** 2).sum()))
    return Estimate(value, value - 1.96 * error, value + 1.96 * error)


def wilson(right: float, total: float) -> Estimate:
    """A share with its 95 % Wilson score interval; nan of nothing.

    Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212.
    """
    if not total:
        return Estimate(math.nan, math.nan, math.nan)
    share, square = right / total, _Z * _Z
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = _Z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half))


class Bootstrap:
    """Resamples of one table of rows; the same ones for every statistic, so
    differences of two statistics of the same rows are paired.

    Args:
        clusters: the dialogue of each row.
        samples: number of resamples.
        seed: of the resampling.

    Raises:
        ValueError: there is no row.
    """

    def __init__(self, clusters: Sequence[Hashable], samples: int = 1000, seed: int = 0):
        names = list(dict.fromkeys(clusters))
        if not names:
            raise ValueError("nothing to resample: no rows")
        position = {name: number for number, name in enumerate(names)}
        self._cluster = np.array([position[cluster] for cluster in clusters])
        draws = np.random.default_rng(seed).integers(0, len(names), size=(samples, len(names)))
        self._counts = np.stack([np.bincount(draw, minlength=len(names)) for draw in draws])

    def _resamples(self) -> Iterator[np.ndarray]:
        """Row weights [rows] of each resample."""
        return (counts[self._cluster].astype(float) for counts in self._counts)

    def estimate(self, statistic: Statistic) -> Estimate:
        """The statistic on the rows as they are, with its 95 % percentile interval.

        Resamples on which it is not defined (nan) are left out.
        """
        value = float(statistic(np.ones(len(self._cluster))))
        values = np.array([statistic(weights) for weights in self._resamples()])
        values = values[~np.isnan(values)]
        if math.isnan(value) or not len(values):
            return Estimate(value, math.nan, math.nan)
        low, high = np.percentile(values, [2.5, 97.5])
        return Estimate(value, float(low), float(high))

    def share(self, part: Sequence[float], whole: Sequence[float] | None = None) -> Estimate:
        """Sum of ``part`` over sum of ``whole`` (None: all rows), with its interval.

        Where it is 0 or 1 every resample says the same, which is not certainty:
        the interval is Wilson's then, of as many votes as there are clusters in ``whole``.

        Args:
            part: of each row, from 0 to its ``whole``.
            whole: the most that a row can add, 0 for one that does not count.
        """
        part = np.asarray(part, dtype=float)
        whole = np.ones(len(part)) if whole is None else np.asarray(whole, dtype=float)
        if part.any() and (part < whole).any():
            return self.estimate(ratio_of(part, whole))
        clusters = len(np.unique(self._cluster[whole > 0]))
        return wilson(clusters * bool(part.any()), clusters)


class TwoWayBootstrap(Bootstrap):
    """Resamples of one list of votes, the same for every statistic. ``share``
    counts turns as its clusters.

    Args:
        turns: the turn of each vote; at least one.
        annotators: who gave each vote.
        samples: number of resamples.
        seed: of the resampling.
    """

    def __init__(self, turns: Sequence[str], annotators: Sequence[str], samples: int = 500, seed: int = 0):
        random = np.random.default_rng(seed)
        self._cluster, self._turns = _draws(turns, samples, random)
        _, self._annotators = _draws(annotators, samples, random)

    def _resamples(self) -> Iterator[np.ndarray]:
        """Row weights [rows] of each resample; the rare empty ones are left out."""
        for turns, annotators in zip(self._turns, self._annotators, strict=True):
            weights = (turns * annotators).astype(float)
            if weights.any():
                yield weights

    def estimates(self, statistic: Callable[[np.ndarray], np.ndarray]) -> list[Estimate]:
        """As ``estimate`` for a statistic [values]; no interval (nan) where it is
        undefined (nan) in more than ``UNDEFINED_AT_MOST`` of the resamples."""
        values = statistic(np.ones(len(self._cluster)))
        drawn = np.array([statistic(weights) for weights in self._resamples()])
        defined = drawn[~np.isnan(drawn).any(axis=1)]
        if np.isnan(values).any() or len(defined) < (1 - UNDEFINED_AT_MOST) * len(drawn):
            return [Estimate(float(value), float("nan"), float("nan")) for value in values]
        low, high = np.percentile(defined, [2.5, 97.5], axis=0)
        return [Estimate(*map(float, triple)) for triple in zip(values, low, high, strict=True)]


def _draws(names: Sequence[str], samples: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of each row, [rows], and how often it was drawn, [samples, rows]."""
    clusters, rows = np.unique(names, return_inverse=True)
    drawn = random.multinomial(len(clusters), np.full(len(clusters), 1 / len(clusters)), size=samples)
    return rows, drawn[:, rows]
