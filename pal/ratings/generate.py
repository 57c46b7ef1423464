"""One complete turn for rating: all replies, or a turn that says what failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pal.engines.base import Cancel
from pal.ratings.records import Provenance, Turn
from pal.respond import Responder, TurnRequest


class ConsistencyScorer(Protocol):
    """``pal.evaluation.consistency.ConsistencyModel``, or a stand-in."""

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(persona sentence, reply) → [pairs, 3]: contradiction, neutral, entailment."""


def generate_turn(
    responder: Responder,
    request: TurnRequest,
    provenance: Provenance,
    campaign: str,
    *,
    item: str | None = None,
    owner: str | None = None,
    consistency: ConsistencyScorer | None = None,
    cancel: Cancel | None = None,
) -> Turn:
    """Run a turn to its end. A variant that fails has its ``error`` set.

    Args:
        owner: the annotator, for a turn of their own chat.
    """
    raise NotImplementedError
