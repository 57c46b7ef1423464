"""Facts with interchangeable details, and persona sentences as answers.

A fact of ``facts.yaml`` has wordings, questions and answers with slots for its
details (a number, a name, a place, a job, a relative …). Since the details are
drawn, an answer can only be read off the persona.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from pal.training.detail_words import NEGATED

_PATH = Path(__file__).with_name("facts.yaml")
_YES_NO = re.compile(r"^(?:do|does|did|are|is|am|were|was|have|has|can|could|would|will|so you)\b", re.I)
_FAVOURITE = re.compile(r"^My favou?rite ([\w ]+?) (?:is|are) (.+)\.$")
_COUNTER_QUESTIONS = (" What about you?", " How about you?", " And you?", " You?")
_COUNTER_SHARE = 0.4  # of the answers to end in one
_CONTRACTIONS = (
    ("I am ", "I'm "), ("do not ", "don't "), ("I have a ", "I've got a "), ("cannot ", "can't "),
    ("I would ", "I'd "), ("does not ", "doesn't "), ("is not ", "isn't "), ("did not ", "didn't "),
)  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """A drawn fact: its sentence, the questions about it, and answers that keep its details."""

    sentence: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    group: str

    def excludes(self, other: Fact) -> bool:
        """No persona has both: they answer one question, or are of one group."""
        return (
            bool(set(self.questions) & set(other.questions)) or bool(self.group) and self.group == other.group
        )


@dataclass(frozen=True)
class FactKind:
    """Wordings of a kind of fact, with {slots}.

    Kinds of one ``group`` contradict each other; of the group "" none does.
    """

    say: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    group: str


@dataclass(frozen=True)
class FactBank:
    """Slots (name → what can stand in them) and kinds of facts."""

    slots: dict[str, tuple[str, ...]]
    kinds: tuple[FactKind, ...]


@cache
def fact_bank() -> FactBank:
    """The bank of ``facts.yaml``."""
    content = yaml.safe_load(_PATH.read_text(encoding="utf-8"))
    return FactBank(
        {name: tuple(map(str, words)) for name, words in content["slots"].items()},
        tuple(
            FactKind(tuple(fact["say"]), *map(tuple, fact["ask"]), fact.get("group", ""))
            for fact in content["facts"]
        ),
    )


def draw_fact(kind: FactKind, rng: random.Random) -> Fact:
    """A fact of a kind with drawn details."""
    values = {name: rng.choice(words) for name, words in fact_bank().slots.items()}
    return Fact(
        fill(rng.choice(kind.say), values),
        tuple(fill(text, values) for text in kind.questions),
        tuple(fill(text, values) for text in kind.answers),
        kind.group,
    )


def fill(text: str, values: dict[str, str]) -> str:
    """The text with its slots filled, "a" made "an" where it must be, a leading slot capitalised."""
    filled = re.sub(r"\{(\w+)\}", lambda slot: values[slot[1]], text)
    filled = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", filled)
    return filled[0].upper() + filled[1:] if text.startswith("{") else filled


def restated(sentence: str, question: str, rng: random.Random) -> str:
    """The sentence as an answer: contracted or not, with yes or no where ``question`` asks
    that ("" never does), now and then with a question in return."""
    text = sentence.strip().rstrip(".!") + "."
    for long, short in _CONTRACTIONS:
        if rng.random() < 0.5:
            text = text.replace(long, short)
    if match := _FAVOURITE.match(text):
        kind, value = match.groups()
        text = rng.choice(
            (
                text,
                text,
                f"{value}.",
                f"I like {value} best.",
                f"It's {value}.",
                f"{value} is my favorite {kind}.",
            )
        )
    if _YES_NO.match(question) and rng.random() < 0.6:
        word = "No" if NEGATED.search(sentence) else "Yes"
        text = f"{word}, " + (text if re.match(r"I\b|I'", text) else text[0].lower() + text[1:])
    text = text[0].upper() + text[1:]
    return text + (rng.choice(_COUNTER_QUESTIONS) if rng.random() < _COUNTER_SHARE else "")
