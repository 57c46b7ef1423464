"""Metrics of a reply against its persona, and what a visitor notices in it, as pure functions.

A *verdict* is what the consistency model says of one persona sentence and the
reply: ``ENTAILS``, ``NEUTRAL`` or ``CONTRADICTS``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pal.dialogue.text_metrics import content_words, longest_copied_run, normalise

CONTRADICTS, NEUTRAL, ENTAILS = -1, 0, 1
_VERDICTS = (CONTRADICTS, NEUTRAL, ENTAILS)  # in the order of pal.models.consistency.LABELS
ECHOED_RUN = 5  # words of the user's own message, in a row
SHORTEST_STATEMENT = 3  # words; “Yes, I do” may come again
_EVASIONS = re.compile(r"\b(?:not sure|(?:don't|do not) know|no idea)\b", re.IGNORECASE)
_STATEMENT_ENDS = re.compile(r"(?<=[.!?])\s+")


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


def statements(text: str) -> list[str]:
    """The sentences of a text, normalised; those shorter than ``SHORTEST_STATEMENT`` words are left out."""
    parts = (normalise(part) for part in _STATEMENT_ENDS.split(text))
    return [part for part in parts if len(part.split()) >= SHORTEST_STATEMENT]


def repeats_itself(reply: str, earlier: Sequence[str]) -> bool:
    """A statement stands twice in the reply, or has stood in an earlier reply of the chat."""
    own = statements(reply)
    said = {statement for text in earlier for statement in statements(text)}
    return len(set(own)) < len(own) or any(statement in said for statement in own)


def echoes(reply: str, user: str) -> bool:
    """At least ``ECHOED_RUN`` words in a row are the user's own."""
    return longest_copied_run(reply, user) >= ECHOED_RUN


def evades(reply: str) -> bool:
    """“I am not sure”, “I don't know”, “no idea”."""
    return bool(_EVASIONS.search(reply))


def asks(reply: str) -> bool:
    """The reply has a question in it."""
    return "?" in reply
