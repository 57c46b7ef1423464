"""Bradley–Terry strengths of variants from rankings, ties counting half to each side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from evalica import Winner, bradley_terry

from pal.ratings.ballots import Ballot


def comparisons(ballots: Sequence[Ballot], variants: Sequence[str]) -> np.ndarray:
    """Points of every ballot, [ballots, variants, variants]: row variant against
    column variant, 1 won, 0.5 tied, 0 lost or not compared."""
    points = np.zeros((len(ballots), len(variants), len(variants)))
    for number, ballot in enumerate(ballots):
        for i, one in enumerate(variants):
            for j, other in enumerate(variants):
                if i != j and {one, other} <= set(ballot.turn.variants):
                    points[number, i, j] = ballot.points(one, other)
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
