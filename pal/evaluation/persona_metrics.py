"""Metrics of a reply against its persona, as pure functions.

A *verdict* is what the consistency model says of one persona sentence and the
reply: ``ENTAILS``, ``NEUTRAL`` or ``CONTRADICTS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pal.evaluation.metrics import content_words, normalise

CONTRADICTS, NEUTRAL, ENTAILS = -1, 0, 1
_VERDICTS = (CONTRADICTS, NEUTRAL, ENTAILS)  # in the order of pal.evaluation.consistency.LABELS


def verdict(probabilities: Sequence[float]) -> int:
    """The verdict of calibrated probabilities (contradiction, neutral, entailment): the largest."""
    return _VERDICTS[max(range(len(_VERDICTS)), key=lambda label: probabilities[label])]


def c_score(verdicts: Sequence[int]) -> int:
    """Sum of the verdicts over all persona sentences; 0 of an empty persona.

    A corpus's C.score is the mean over its replies. Source: Madotto et al.
    2019, "Personalizing Dialogue Agents via Meta-Learning" (arXiv 1905.10033):
    C(u) = Σ_j NLI(u, p_j). A sum, not a maximum, so a contradiction costs
    whatever else the reply entails.
    """
    return sum(verdicts)


def entails(verdicts: Sequence[int]) -> bool:
    """The reply entails at least one sentence."""
    return ENTAILS in verdicts


def contradicts(verdicts: Sequence[int]) -> bool:
    """The reply contradicts at least one sentence."""
    return CONTRADICTS in verdicts


def persona_coverage(reply: str, sentences: Sequence[str], idf: Mapping[str, float]) -> float:
    """max over sentences p of Σ idf(w) over the different words w in both reply and p.

    A corpus's P.Cover is the mean over its replies. After Song et al. 2019,
    "Exploiting Persona Information for Diverse Generation of Conversational
    Responses" (arXiv 1905.12188): the idf-weighted overlap of the reply with
    the persona sentence it overlaps most. Public implementations agree on
    the maximum and the idf and differ in what they divide by (nothing, the
    reply's words, the shared words) and in where the idf comes from; nothing
    is divided here, so values compare within one report only, beside the
    replies' lengths.

    Args:
        idf: natural-log inverse document frequency of normalised words;
            unknown words count 0.
    """
    said = set(normalise(reply).split())
    shared = (said & set(normalise(sentence).split()) for sentence in sentences)
    return max((sum(idf.get(word, 0.0) for word in words) for words in shared), default=0.0)


def persona_f1(reply: str, sentences: Sequence[str]) -> float:
    """F1 of the reply's content words and those of the whole persona, as sets; 0 when none is shared.

    precision = shared / reply's, recall = shared / persona's. As the
    knowledge F1 of Lian et al. 2019 (arXiv 1902.04911): function words are
    left out, or "I have a" would count as persona.
    """
    said, own = (
        set(content_words(reply)),
        {word for sentence in sentences for word in content_words(sentence)},
    )
    shared = len(said & own)
    return 2 * shared / (len(said) + len(own)) if shared else 0.0
