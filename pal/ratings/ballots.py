"""Rated turns as ballots, the strengths they give (Bradley–Terry), and how far annotators agree."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import krippendorff
import numpy as np
from evalica import Winner, bradley_terry

from pal.ratings.records import Rating, Record, Turn
from pal.statistics import Bootstrap, Estimate, TwoWayBootstrap


@dataclass(frozen=True)
class Ballot:
    """A rating that counts, with its turn. ``first``: the annotator's first
    rating of the turn, from which times are taken."""

    rating: Rating
    turn: Turn
    first: Rating

    def points(self, first: str, second: str) -> float:
        """1 when ``first`` is ranked before ``second``, 0.5 for a tie, else 0."""
        difference = self.rating.rank_of(second) - self.rating.rank_of(first)
        return 0.5 if difference == 0 else float(difference > 0)


@dataclass(frozen=True)
class Ballots:
    """A campaign's ratings, one per annotator and turn.

    Attributes:
        ranked: rankings of the models' replies; these are the votes.
        gold: rankings of gold items.
        repeated: (repeat, original) rankings of one annotator.
        skipped: number of skipped turns.
        corrected: number of ``ranked`` that were changed after the reveal.
    """

    ranked: tuple[Ballot, ...]
    gold: tuple[Ballot, ...]
    repeated: tuple[tuple[Ballot, Ballot], ...]
    skipped: int
    corrected: int

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that were compared, in stored order."""
        return tuple(dict.fromkeys(v for ballot in self.ranked for v in ballot.turn.variants))


def campaigns(records: Sequence[Record]) -> tuple[str, ...]:
    """The campaigns of the stored turns, the latest last."""
    latest = {record.campaign: number for number, record in enumerate(records) if isinstance(record, Turn)}
    return tuple(sorted(latest, key=latest.__getitem__))


def count(records: Sequence[Record], campaign: str, *, blind_only: bool = False) -> Ballots:
    """The ratings of a campaign that count.

    Args:
        blind_only: leave corrections out that were made after the names were
            revealed; the vote before the reveal counts then.
    """
    turns = {r.id: r for r in records if isinstance(r, Turn) and r.campaign == campaign}
    chains: dict[tuple[str, str], list[Rating]] = {}
    for record in records:
        if isinstance(record, Rating) and record.turn_id in turns:
            chains.setdefault((record.annotator, record.turn_id), []).append(record)
    counted = {}
    for key, chain in chains.items():
        blind = [rating for rating in chain if not rating.correction]
        counted[key] = Ballot((blind if blind_only else chain)[-1], turns[key[1]], chain[0])
    ballots = [ballot for ballot in counted.values() if not ballot.rating.skip]
    ordinary = [ballot for ballot in ballots if not ballot.turn.gold and ballot.turn.repeat_of is None]
    pairs = [
        (ballot, counted[ballot.rating.annotator, ballot.turn.repeat_of])
        for ballot in ballots
        if ballot.turn.repeat_of is not None and (ballot.rating.annotator, ballot.turn.repeat_of) in counted
    ]
    return Ballots(
        ranked=tuple(ordinary),
        gold=tuple(ballot for ballot in ballots if ballot.turn.gold),
        repeated=tuple(pair for pair in pairs if not pair[1].rating.skip),
        skipped=len(counted) - len(ballots),
        corrected=sum(ballot.rating.correction for ballot in ordinary),
    )


def comparisons(ballots: Sequence[Ballot], variants: Sequence[str]) -> np.ndarray:
    """Points of every ballot, [ballots, variants, variants]: row variant against
    column variant, 1 won, 0.5 tied, 0 lost or not compared."""
    points = np.zeros((len(ballots), len(variants), len(variants)))
    for number, ballot in enumerate(ballots):
        for i, first in enumerate(variants):
            for j, second in enumerate(variants):
                if i != j and {first, second} <= set(ballot.turn.variants):
                    points[number, i, j] = ballot.points(first, second)
    return points


def log_strengths(points: np.ndarray) -> np.ndarray:
    """Maximum-likelihood log-strengths [variants], with mean 0.

    Between two variants only, their difference is the logit of the win rate,
    a tie being half a win (Bradley & Terry 1952; solved by evalica).

    Args:
        points: summed points of row against column, [variants, variants].

    Returns:
        nan for all when some variants never lost, or never won, against all
        others: no finite strength fits then (Ford 1957).
    """
    size = len(points)
    if not _connected(points > 0):
        return np.full(size, np.nan)
    rows, columns = np.nonzero(points)
    result = bradley_terry(
        rows.tolist(),
        columns.tolist(),
        [Winner.X] * len(rows),
        weights=points[rows, columns].tolist(),
        tolerance=1e-10,
        limit=10_000,
    )
    scores = np.log(result.scores.reindex(range(size)).to_numpy())
    return scores - scores.mean()


def _connected(wins: np.ndarray) -> bool:
    """True when every variant reaches every other one over wins."""
    reach = wins | np.eye(len(wins), dtype=bool)
    for _ in range(len(wins)):
        reach = reach @ reach
    return bool(reach.all())


def agrees_with_gold(rating: Rating, turn: Turn) -> bool | None:
    """True when the best reply was ranked first alone and the worst last alone;
    None when it was skipped."""
    if rating.skip:
        return None
    quality = {reply.variant: reply.quality for reply in turn.replies}
    by_quality = sorted(quality, key=lambda variant: quality[variant])
    worst, best = by_quality[0], by_quality[-1]
    ranks = {variant: rating.rank_of(variant) for variant in quality}
    return all(
        (ranks[best] < rank if quality[variant] < quality[best] else True)
        and (ranks[worst] > rank if quality[variant] > quality[worst] else True)
        for variant, rank in ranks.items()
    )


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


def two_way(ballots: Sequence[Ballot], samples: int = 500, seed: int = 0) -> TwoWayBootstrap:
    """Resamples of the ballots over their turns and annotators."""
    turns, annotators = zip(*((ballot.turn.id, ballot.rating.annotator) for ballot in ballots), strict=True)
    return TwoWayBootstrap(turns, annotators, samples, seed)


def self_agreement(repeated: Sequence[tuple[Ballot, Ballot]]) -> Estimate:
    """Share of the comparisons of two variants that annotators judged the same
    when the turn came again."""
    if not repeated:
        return Estimate(math.nan, math.nan, math.nan)
    pairs = [list(itertools.combinations(original.turn.variants, 2)) for _, original in repeated]
    same = [
        np.mean([repeat.points(*pair) == original.points(*pair) for pair in own])
        for (repeat, original), own in zip(repeated, pairs, strict=True)
    ]
    return two_way([original for _, original in repeated]).share(same)


def gold_accuracy(gold: Sequence[Ballot]) -> Estimate:
    """Share of gold items ranked right."""
    if not gold:
        return Estimate(math.nan, math.nan, math.nan)
    return two_way(gold).share([bool(agrees_with_gold(ballot.rating, ballot.turn)) for ballot in gold])
