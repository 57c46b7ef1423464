"""Selectors to compare with: always none, word overlap, embedding cosine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from pal.evaluation.metrics import normalise
from pal.evaluation.selection_metrics import SelectionOutcome

DEFAULT_COSINE_THRESHOLD = 0.25  # until one is tuned; see pal.evaluation.tune
LEAST_OVERLAP = 0.2  # a fifth of a sentence's idf: on PersonaChat about one turn in ten is then found


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
