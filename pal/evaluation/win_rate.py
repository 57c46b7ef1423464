"""Which of two replies to one turn is better: by persona consistency, then by relevance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pal.evaluation.bootstrap import Bootstrap, mean_of


@dataclass(frozen=True)
class Judged:
    """What decides: the reply's C-score over all sentences, and its relevance
    to the user's message (None where nobody had spoken)."""

    c_score: int
    relevance: float | None


def compare(first: Judged, second: Judged, margin: float) -> int:
    """1 when ``first`` wins, −1 when ``second`` does, 0 for a tie.

    The higher C-score wins. Equal C-scores: the higher relevance, if it is
    higher by more than ``margin``; else a tie.
    """
    if first.c_score != second.c_score:
        return 1 if first.c_score > second.c_score else -1
    if first.relevance is None or second.relevance is None:
        return 0
    gain = first.relevance - second.relevance
    return int(math.copysign(1, gain)) if abs(gain) > margin else 0


def win_rates(
    first: Sequence[Judged], second: Sequence[Judged], margin: float, bootstrap: Bootstrap
) -> dict[str, dict[str, float | None]]:
    """Shares of turns that ``first`` wins, ties and loses, and its win rate
    (wins + ties / 2), each with an interval over the bootstrap's dialogues.

    Args:
        first, second: one entry per row of ``bootstrap``, the same turns.
    """
    results = np.array([compare(one, other, margin) for one, other in zip(first, second, strict=True)])
    shares = {"win": results == 1, "tie": results == 0, "loss": results == -1, "win_rate": (results + 1) / 2}
    return {name: bootstrap.estimate(mean_of(values)).to_json() for name, values in shares.items()}
