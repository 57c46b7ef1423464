"""Is a reply the right answer to a question about a persona sentence?

No label is needed at use. A reply is right when nothing is found wrong with it:

- rules read its details (``pal.dialogue.findings``): numbers, how often, names, colours, negation, liking,
  what is past or only wished for, occupations, whose fact it is, the speaker's partner;
- “evades”: it holds no statement; “repetition”: it says the same words again and again;
- “polarity”: yes where the sentence answers no, or the other way round. What the sentence answers is what
  the consistency model says of the question made a statement (“Do you smoke?” → “I do smoke”);
- “unsupported”: the consistency model does not find the sentence that was asked for in the reply, alone or
  as what a bare yes or no stands for;
- “contradiction”: the model says that a clause of the reply contradicts a sentence about the same person.

The thresholds are set on the tune half of the labelled replies; assets/labels/answers.md says how those
were read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pal.dialogue.details import read
from pal.dialogue.findings import Finding, asked_findings, unique
from pal.models.contradictions import ConsistencyScorer, reply_findings

SUPPORTED_FROM = 0.82  # that the reply entails the sentence: mean of the whole reply and its best clause
POLARITY_FROM = 0.7  # probability that the sentence affirms or denies the question
_REPEATS = 4  # of the same one to three words in a row

_AUXILIARY = re.compile(
    r"^(?:(?:so|and|but|well|hey|tell me),? )*"
    r"(do|does|did|are|is|was|were|have|has|had|can)\b(n't)? (.+?)\?*$",
    re.I,
)
_WANTS = re.compile(
    r"\b(?:want|like a|like some|prefer|mind|fancy|need|all right|okay|or)\b", re.I
)  # no fact is asked
_GONE = re.compile(
    r"\b(?:left|died|dead|lost|gave up|quit|without|deaf|blind|only|but|used to|same|hate|stand)\b", re.I
)
_SUBJECT = re.compile(r"^(you|your (?:[\w'-]+ ){0,2}?[\w'-]+?|there|it)(?= |$)(.*)$", re.I)
_YES = re.compile(
    r"^(?:(?:oh|well|haha|hi|hey)\b[ ,!.]*)*(?:yes|yeah|yep|yup|sure|of course|certainly)\b", re.I
)
_NO = re.compile(
    r"^(?:(?:oh|well|haha|hi|hey)\b[ ,!.]*)*"
    r"(?:no|nope|nah|not really|never)\b(?! (?:problem|doubt|matter|worries))",
    re.I,
)
_BARE = re.compile(
    r"^(?:(?:oh|well|yes|no|yeah|nope)\b[ ,!.]*)*(?:i|he|she|they|we|it|there) "
    r"(do|does|did|am|is|are|was|were|have|has|had|can|could|will|would)( not|n't)?(?:[.,!]|$)",
    re.I,
)


@dataclass(frozen=True)
class AnswerVerdict:
    """``right`` exactly when nothing was found wrong."""

    right: bool
    findings: tuple[Finding, ...]


def check_answer(
    question: str,
    reply: str,
    persona: Sequence[str],
    sentences: int | Sequence[int],
    scorer: ConsistencyScorer,
) -> AnswerVerdict:
    """Whether a reply is a right answer.

    Args:
        question: what was asked, or the statement that was responded to.
        reply: the text to check.
        persona: sentences.
        sentences: 0-based place of the sentence that answers; of several, one is enough.
        scorer: the consistency model.

    Raises:
        ValueError: no sentence, or one that the persona does not have.
    """
    asked = (sentences,) if isinstance(sentences, int) else tuple(sentences)
    if not asked or not all(0 <= place < len(persona) for place in asked):
        raise ValueError(f"sentences is {sentences}; the persona has {len(persona)}, from 0 on.")
    found = list(reply_findings(persona, reply, question, scorer))
    if repeats(reply):
        found.append(Finding("repetition", "says the same words again and again", None, False))
    answers = [_asked(question, reply, persona[place], place, scorer) for place in asked]
    found += min(answers, key=len)
    return AnswerVerdict(not found, unique(found))


def repeats(text: str) -> bool:
    """One to three words said ``_REPEATS`` times in a row."""
    words = re.findall(r"\w+", text.lower())
    for size in (1, 2, 3):
        for start in range(len(words) - size * _REPEATS + 1):
            first = words[start : start + size]
            if all(words[start + size * n : start + size * (n + 1)] == first for n in range(_REPEATS)):
                return True
    return False


def statement(question: str) -> str:
    """What yes to a question states: “Do you smoke?” → “I do smoke.”; "" for other questions."""
    text = re.split(r"(?<=[.!?]) ", question.strip())[-1]
    text = re.split(r", (?:or|and how|how|who|what|is it)\b", text)[0]
    if not (match := _AUXILIARY.match(text)) or not (rest := _SUBJECT.match(match.group(3))):
        return ""
    subject, after = rest.groups()
    verb = match.group(1).lower()
    if subject.lower() == "you":
        subject, verb = "I", {"are": "am", "were": "was"}.get(verb, verb)
    after = re.sub(r"\byourself\b", "myself", re.sub(r"\byour\b", "my", after, flags=re.I), flags=re.I)
    after = re.sub(r"\byou\b", "I" if " when you" in after.lower() else "me", after, flags=re.I)
    after = re.sub(r"\bwhen me\b", "when I", after)
    subject = re.sub(r"^your\b", "My", subject, flags=re.I)
    sentence = f"{subject} {verb}{after}".strip(" ?.")
    return sentence[0].upper() + sentence[1:] + "."


def polarity(question: str, reply: str) -> int:
    """1 when the reply says yes to a yes/no question, −1 for no, 0 when it says neither."""
    if bare := _BARE.match(reply.strip()):
        return -1 if bare.group(2) else 1
    if _YES.match(reply.strip()):
        return 1
    if _NO.match(reply.strip()):
        return -1
    stated = statement(question)
    if not stated:
        return 0
    asked = read(stated)[0]
    for clause in read(reply):
        denies = clause.subject == asked.subject and clause.negated and not clause.evasive
        if denies and clause.stems and clause.stems <= asked.verbs:
            return -1
    return 0


def _asked(question: str, reply: str, sentence: str, place: int, scorer: ConsistencyScorer) -> list[Finding]:
    """What is wrong with the reply as an answer about one sentence."""
    said = polarity(question, reply)
    stated = statement(question)
    clauses = [clause.text for clause in read(reply) if not clause.evasive and not clause.question]
    rows = scorer.probabilities([(sentence, text) for text in (reply, *clauses)])
    found = list(asked_findings(question, reply, sentence, place))
    entails = float(rows[0, 2] + rows[:, 2].max()) / 2
    if stated and said:
        expected = _expected(sentence, stated, scorer)
        if expected and expected != said:
            found.append(
                Finding(
                    "polarity", f"says {'yes' if said > 0 else 'no'}, the persona says otherwise", place, True
                )
            )
        elif expected and expected == said and _BARE.match(reply.strip()):
            entails = max(entails, 1.0)
    if entails < SUPPORTED_FROM and not any(finding.kind == "evades" for finding in found):
        found.append(Finding("unsupported", f"does not say “{sentence.strip(' .')}”", place, False))
    return found


def _expected(sentence: str, stated: str, scorer: ConsistencyScorer) -> int:
    """1 when the sentence affirms a statement, −1 when it denies it, 0 when that is not clear.

    The model hears the topic rather than a negation, so a sentence with one leaves it open.
    """
    if _WANTS.search(stated) or _GONE.search(sentence) or any(clause.negated for clause in read(sentence)):
        return 0
    no, _, yes = map(float, scorer.probabilities([(sentence, stated)])[0])
    return 1 if yes >= POLARITY_FROM else -1 if no >= POLARITY_FROM else 0
