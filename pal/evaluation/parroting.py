"""Does a reply only recite a persona sentence? Two measures, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from pal.evaluation.metrics import content_words, normalise

PARROTS_FROM = 0.7  # of the sentence's content words, in order


def copied_share(reply: str, sentence: str) -> float:
    """Length of the longest common subsequence of content words / the
    sentence's content words, in [0, 1]; 0 of a sentence that has none.

    In order but with gaps, so a sentence that is recited around an inserted
    word still counts; one whose words are taken up in another order does not.
    """
    wanted = content_words(sentence)
    return _longest_common_subsequence(content_words(reply), wanted) / len(wanted) if wanted else 0.0


def parrots(reply: str, sentence: str) -> bool:
    """The reply copies at least ``PARROTS_FROM`` of the sentence's content words in order."""
    return copied_share(reply, sentence) >= PARROTS_FROM


def recites(reply: str, sentences: Iterable[str]) -> bool:
    """The reply parrots at least one of the sentences."""
    return any(parrots(reply, sentence) for sentence in sentences)


def longest_copied_run(reply: str, sentence: str) -> int:
    """Words of the longest unbroken run that stands in both, function words
    included, after ``pal.evaluation.metrics.normalise``."""
    said, own = normalise(reply).split(), normalise(sentence).split()
    return SequenceMatcher(None, said, own, autojunk=False).find_longest_match().size


def _longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for place, other in enumerate(second, 1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]
