"""The details of a persona sentence that an answer to a question about it must keep.

Numbers (numerals and words are one), relatives (mom and mother are one) and
polarity, found as words that ``pal.training.corruptions`` can exchange. They
decide which real replies are fit to be taught as answers; whether an answer is
right says ``pal.evaluation.answers``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pal.dialogue.text_metrics import content_words, plain

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
TENS = {word: 10 * tens for tens, word in enumerate(_TEN_WORDS, 2)}
_VALUES = {word: value for value, word in enumerate(ONES)} | TENS
_TENS, _ONES = "|".join(TENS), "|".join(ONES[1:10])
_SMALL = "|".join(sorted(ONES[2:], key=len, reverse=True))
NUMBER = re.compile(rf"(?<!\d[.,])\b\d+\b(?![.,]\d)|\b(?:(?:{_TENS})(?:[- ](?:{_ONES}))?|{_SMALL})\b", re.I)
"""Whole numbers below a hundred in words, or in numerals. "One" is as a rule none."""

_SINGULAR = (
    "mother father brother sister wife husband son daughter aunt uncle cousin niece nephew grandmother "
    "grandfather girlfriend boyfriend"
).split()
SYNONYMS = {
    "mom": "mother", "mum": "mother", "dad": "father", "grandma": "grandmother", "grandpa": "grandfather",
    "kid": "child", "kids": "children", "moms": "mothers", "dads": "fathers",
}  # fmt: skip
_PLURAL = ["parents", "grandparents", *(word + "s" for word in _SINGULAR if word != "wife"), "wives"]
_WORDS = [*_SINGULAR, *_PLURAL, "child", "children", *SYNONYMS]
_RELATIVES = "|".join(sorted(_WORDS, key=len, reverse=True))
RELATIVE = re.compile(rf"\b(?!(?<=only )child\b)(?:{_RELATIVES})\b", re.I)
NEGATED = re.compile(
    r"\b(?:not|never|no|none|nothing|nobody|neither|cannot|hate|dislike|\w+n't)\b", re.I
)  # not "without" or "un-": they say how, not whether
_KEPT_FROM = 0.6  # of the sentence's content words, in an answer that restates it


@dataclass(frozen=True)
class Details:
    """``numbers`` by value, ``relatives`` by their common name, and whether the text denies."""

    numbers: frozenset[int]
    relatives: frozenset[str]
    negated: bool


def number_value(text: str) -> int:
    """The value of a match of ``NUMBER``: "twenty-five" and "25" are 25."""
    if text.isdigit():
        return int(text)
    return sum(_VALUES[word] for word in re.split(r"[- ]", text.lower()))


def number_words(value: int) -> str:
    """A value below a hundred in words, such as "twenty-five"."""
    if value < len(ONES):
        return ONES[value]
    tens, ones = divmod(value, 10)
    word = next(word for word, value in TENS.items() if value == 10 * tens)
    return f"{word}-{ONES[ones]}" if ones else word


def read_details(text: str) -> Details:
    """The details of a sentence or reply."""
    text = plain(text)
    relatives = (word.lower() for word in RELATIVE.findall(text))
    return Details(
        frozenset(number_value(word) for word in NUMBER.findall(text)),
        frozenset(SYNONYMS.get(word, word) for word in relatives),
        bool(NEGATED.search(text)),
    )


def keeps_details(reply: str, sentence: str) -> bool:
    """The reply has the sentence's numbers, relatives and polarity and most of its content words."""
    return read_details(reply) == read_details(sentence) and _shared(reply, sentence) >= _KEPT_FROM


def _shared(reply: str, sentence: str) -> float:
    wanted = _content(sentence)
    return len(wanted & _content(reply)) / len(wanted) if wanted else 0.0


def _content(text: str) -> set[str]:
    """Content words, with one spelling for each number and relative."""
    text = NUMBER.sub(lambda match: str(number_value(match[0])), text)
    return {SYNONYMS.get(word, word) for word in content_words(text)}
