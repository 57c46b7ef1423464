"""What a reply gets wrong about a persona: by rule, and by the consistency model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pal.dialogue.details import SPEAKER, THING, Clause, read
from pal.dialogue.findings import Finding, findings, subject_of, unique

CONTRADICTED_FROM = 0.5  # probability of a clause; set on the tune half of assets/labels/answers.jsonl
_CURRENT = ("now", "event")


class ConsistencyScorer(Protocol):
    """``pal.models.consistency.ConsistencyModel``, or a stand-in."""

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(persona sentence, reply) → [pairs, 3]: contradiction, neutral, entailment."""
        ...


def reply_findings(
    persona: Sequence[str], reply: str, question: str, scorer: ConsistencyScorer
) -> tuple[Finding, ...]:
    """What the rules find, and of the other sentences those that the model says are contradicted.

    Args:
        persona: sentences.
        reply: the text to check.
        question: the message that it answers.
        scorer: the consistency model.
    """
    by_rule = findings(persona, reply, question)
    told = {finding.sentence for finding in by_rule if finding.contradicts}
    by_model = contradictions(persona, reply, question, scorer)
    return unique([*by_rule, *(finding for finding in by_model if finding.sentence not in told)])


def contradictions(
    persona: Sequence[str],
    reply: str,
    question: str,
    scorer: ConsistencyScorer,
    least: float = CONTRADICTED_FROM,
) -> tuple[Finding, ...]:
    """Sentences that the consistency model says a clause of the reply contradicts.

    Only clauses and sentences about the same person and of the same time are compared (the model takes
    “my husband teaches maths” to be contradicted by “I teach art”), and no clause that a sentence says
    word by word.
    """
    said = [
        clause for clause in read(reply, subject_of(question)) if not clause.evasive and not clause.question
    ]
    own = [(place, clause) for place, sentence in enumerate(persona) for clause in read(sentence)]
    compared = [
        (place, persona[place], clause.text)
        for clause in said
        if not any(_says(known, clause) for _, known in own)
        for place, known in own
        if known.tense in _CURRENT and clause.tense in _CURRENT
        if clause.subject == known.subject or clause.subject == THING and known.subject == SPEAKER
    ]
    compared = list(dict.fromkeys(compared))
    if not compared:
        return ()
    rows = scorer.probabilities([(sentence, text) for _, sentence, text in compared])
    return tuple(
        Finding("contradiction", f"contradicts “{sentence.strip(' .')}”", place, True, float(row[0]))
        for (place, sentence, _), row in zip(compared, rows, strict=True)
        if row[0] >= least
    )


def _says(known: Clause, clause: Clause) -> bool:
    """The persona's clause holds every content word of the reply's."""
    same = known.subject == clause.subject and known.negated == clause.negated
    return same and bool(clause.stems) and clause.stems <= known.verbs
