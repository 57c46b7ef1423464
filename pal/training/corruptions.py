"""Right answers with one detail made wrong on purpose, to be rejected in preference pairs.

Only a detail that answer and sentence share is changed, so the corrupted answer
contradicts the sentence: another number, relative, name or other detail of
``facts.yaml`` (a job, a colour …), or the opposite.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pal.dialogue.text_metrics import content_words, plain
from pal.training.detail_words import (
    NEGATED,
    NUMBER,
    RELATIVE,
    SYNONYMS,
    number_value,
    number_words,
    read_details,
)
from pal.training.facts import fact_bank

_FEMALE = ("mother", "sister", "wife", "daughter", "aunt", "niece", "grandmother", "girlfriend")
_MALE = ("father", "brother", "husband", "son", "uncle", "nephew", "grandfather", "boyfriend")
_PLURALS = (
    "brothers",
    "sisters",
    "sons",
    "daughters",
    "cousins",
    "aunts",
    "uncles",
    "parents",
    "grandparents",
)
_ALIKE = (  # of which one may be the other
    {"wife", "girlfriend"}, {"husband", "boyfriend"}, {"children", "sons", "daughters"},
    {"child", "son", "daughter"},
)  # fmt: skip
_NAMES = ("pet", "name", "city", "country", "language", "day", "month")  # slots of facts.yaml
_WORDS = (
    "job", "place", "animal", "food", "color", "sport", "instrument", "hobby", "thing", "genre", "drink",
    "vehicle", "allergy", "season", "subject", "dislike",
)  # fmt: skip
_STUDIES = re.compile(r"\b(?:stud|degree|major|teach|field|subject)", re.I)
_HE_OR_SHE = re.compile(r"\b(?:he|she|his|her|him|hers)\b", re.I)
_LEAD = re.compile(r"(?:Yes|Yeah|Yep|No|Nope|Sure|I do)[,.!] ")
_TO_OPPOSITE = (  # the first that fits
    (r"\bI (?:love|like|enjoy)\b", "I don't like"),
    (r"\bI(?: am|'m)\b", "I'm not"),
    (
        r"\bI(?: have|'ve) (been|had|seen|lived|visited|played|worked|moved|studied|learned)\b",
        r"I have never \1",
    ),
    (r"\bI(?:'ve got| have)\b", "I don't have"),
    (r"\bI can\b", "I can't"),
    (r"\bI was\b", "I was never"),
    (r"\bI (?:used to be)\b", "I never was"),
    (r"\bI (\w+)", r"I never \1"),
    (r"(?i)\b((?:it|he|she) is|it's|he's|she's)\b", r"\1 not"),
    (r"\b([Mm]y [\w' ]+? (?:is|are|was|were))\b", r"\1 not"),
)
_FROM_OPPOSITE = (
    (r"\bI (?:hate|dislike|do not like|don't like|can't stand|cannot stand)\b", "I love"),
    (r"\b(?:do not|don't) ", ""),
    (r"\b(?:does not|doesn't) (\w+)", r"\1s"),
    (r"\b(?:can't|cannot|can not)\b", "can"),
    (r"\b(is|are|am|was|were|have|has|would|will|'m)(?: not|n't)\b", r"\1"),
    (r"\bnever\b", "always"),
    (r"\b(have|has|own|eat|drink|want|need|got) no\b", r"\1"),
)


@dataclass(frozen=True)
class Corruption:
    """A corrupted answer; ``detail``: number, relative, name, word or negation."""

    detail: str
    text: str


def corruptions(answer: str, sentence: str, rng: random.Random) -> tuple[Corruption, ...]:
    """The answer made wrong in each way that fits, at most one of each detail, in a fixed order.

    Args:
        answer: a right reply to a question about ``sentence``.
        sentence: a persona sentence.
        rng: draws the wrong values.
    """
    changes: dict[str, Callable[[str, str, random.Random], str | None]] = {
        "number": _another_number,
        "relative": _another_relative,
        "name": _another_name,
        "word": _another_word,
        "negation": _opposite,
    }
    made = ((detail, change(answer, sentence, rng)) for detail, change in changes.items())
    return tuple(Corruption(detail, text) for detail, text in made if text and text != answer)


def _another_number(answer: str, sentence: str, rng: random.Random) -> str | None:
    right = read_details(sentence).numbers
    matches = [match for match in NUMBER.finditer(answer) if number_value(match[0]) in right]
    if not matches:
        return None
    match = rng.choice(matches)
    value = number_value(match[0])
    reach = max(4, value // 3)
    highest = value + reach if match[0].isdigit() else min(99, value + reach)
    others = [
        other
        for other in range(max(2, value - reach), highest + 1)
        if other not in right and other not in read_details(answer).numbers
    ]
    if not others:
        return None
    chosen = rng.choice(others)
    return _replaced(answer, match, str(chosen) if match[0].isdigit() else number_words(chosen))


def _another_relative(answer: str, sentence: str, rng: random.Random) -> str | None:
    right = read_details(sentence).relatives
    matches = [match for match in RELATIVE.finditer(answer) if _common_name(match[0]) in right]
    if not matches:
        return None
    match = rng.choice(matches)
    own = _common_name(match[0])
    if own in _PLURALS or own == "children":
        others = _PLURALS
    elif _HE_OR_SHE.search(answer) and own in _FEMALE + _MALE:
        others = _FEMALE if own in _FEMALE else _MALE
    else:
        others = _FEMALE + _MALE
    alike = set().union(*(group for group in _ALIKE if own in group)) | {own} | right
    fitting = [other for other in others if other not in alike]
    return _replaced(answer, match, rng.choice(fitting)) if fitting else None


def _common_name(word: str) -> str:
    return SYNONYMS.get(word.lower(), word.lower())


def _another_name(answer: str, sentence: str, rng: random.Random) -> str | None:
    return _another_value(answer, sentence, _NAMES, rng) or _unknown_name(answer, sentence, rng)


def _another_word(answer: str, sentence: str, rng: random.Random) -> str | None:
    return _another_value(answer, sentence, _WORDS, rng)


def _another_value(answer: str, sentence: str, slots: Sequence[str], rng: random.Random) -> str | None:
    """Another value of a slot for the longest value that answer and sentence both hold."""
    shared = [
        (value, slot)
        for slot in slots
        for value in fact_bank().slots[slot]
        if _found(value, slot, answer) and _found(value, slot, sentence) and _speaks_of(slot, sentence)
    ]
    if not shared:
        return None
    value, slot = max(shared, key=lambda item: len(item[0]))
    others = [other for other in fact_bank().slots[slot] if not _holds(f"{sentence} {answer}", other)]
    return _replaced(answer, _found(value, slot, answer), rng.choice(others)) if others else None


def _found(value: str, slot: str, text: str) -> re.Match[str] | None:
    before = r"(?:(?<=\ban )|(?<=\ba )|(?<=\bthe ))" if slot == "place" else ""  # not "in school"
    return re.search(rf"{before}\b{re.escape(value)}(?=s?\b)", text, re.I)


def _speaks_of(slot: str, sentence: str) -> bool:
    """A subject is one where it is studied: "art" and "music" are other things too."""
    return slot != "subject" or bool(_STUDIES.search(sentence))


def _unknown_name(answer: str, sentence: str, rng: random.Random) -> str | None:
    """Another name for a capitalised word that is in no slot."""
    for match in re.finditer(r"(?<=[a-z,] )[A-Z][a-z]+\b", answer):
        if re.search(rf"\b{match[0]}\b", sentence):
            before = answer[: match.start()].split()[-1].lower()
            slot = "city" if before in ("in", "from", "near", "to", "around", "visit") else "name"
            return _replaced(answer, match, rng.choice(fact_bank().slots[slot]))
    return None


def _holds(text: str, value: str) -> bool:
    return re.search(rf"\b{re.escape(value)}s?\b", text, re.I) is not None


def _opposite(answer: str, sentence: str, rng: random.Random) -> str | None:
    """The answer denied, or no longer denied, in the clause that speaks of the sentence;
    None when no rule fits."""
    denies = _denies(answer)
    if denies != _denies(sentence):
        return None
    match = _LEAD.match(answer)
    lead, rest = (answer[: match.end()], answer[match.end() :]) if match else ("", answer)
    lead = ("Yes, " if denies else "No, ") if lead else ""
    about = set(content_words(sentence))
    clauses = re.split(r"(?<=[.!?;,]) ", rest)
    place = max(range(len(clauses)), key=lambda at: len(about & set(content_words(clauses[at]))))
    for pattern, opposite in _FROM_OPPOSITE if denies else _TO_OPPOSITE:
        changed, count = re.subn(pattern, opposite, clauses[place], count=1)
        if count:
            result = lead + " ".join([*clauses[:place], changed, *clauses[place + 1 :]])
            return result if _denies(result) != denies or lead else None
    return None


def _denies(text: str) -> bool:
    return bool(NEGATED.search(plain(text)))


def _replaced(text: str, match: re.Match[str], value: str) -> str:
    """The text with ``value`` in the place of a match, its capital and the article before it fitted."""
    if match[0][:1].isupper():
        value = value[:1].upper() + value[1:]
    before = re.sub(
        r"\b([Aa])n? $", r"\1n " if value[:1].lower() in "aeiou" else r"\1 ", text[: match.start()]
    )
    return before + value + text[match.end() :]
