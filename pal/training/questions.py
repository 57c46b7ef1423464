"""Exchanges made from persona sentences: a plain question, then a real reply.

Human chats seldom ask plainly, visitors do. A reply that entails a sentence
becomes the answer to a question on that sentence's topic; small talk and
questions that no sentence answers teach "none".
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from pal.dialogue import Exchange
from pal.errors import DataError
from pal.training.data import read_jsonl
from pal.training.examples import Example
from pal.training.text import naturalise

_BANK = Path(__file__).with_name("questions.yaml")
_STATEMENT = re.compile(r"\b(?:I|my|we|me|our|mine)\b[^.!?]*(?:[.!,;]|$)", re.I)
_EXCHANGES = 6  # of one synthetic dialogue
_SMALL_TALK, _UNANSWERABLE = 0.25, 0.15  # share of the exchanges


@dataclass(frozen=True)
class QuestionBank:
    """Topics (pattern, questions), small talk (message, replies) and deflections."""

    topics: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]
    small_talk: tuple[tuple[str, tuple[str, ...]], ...]
    deflections: tuple[str, ...]

    def on_topic(self, topic: int, sentences: Sequence[str]) -> tuple[int, ...]:
        """Indices of the sentences of a topic."""
        return tuple(index for index, text in enumerate(sentences) if self.topics[topic][0].search(text))


@cache
def question_bank() -> QuestionBank:
    """The bank of ``questions.yaml``."""
    content = yaml.safe_load(_BANK.read_text(encoding="utf-8"))
    return QuestionBank(
        tuple((re.compile(topic["match"], re.I), tuple(topic["ask"])) for topic in content["topics"]),
        tuple((message, tuple(replies)) for message, replies in content["small_talk"]),
        tuple(content["deflections"]),
    )


def question_examples(path: str | Path, count: int, seed: int) -> list[Example]:
    """``count`` dialogues made from persona_response_pairs rows.

    Args:
        path: JSONL of ``persona`` (sentences), ``response``, ``entailed`` (indices).

    Raises:
        DataError: a malformed row.
    """
    rows: dict[tuple[str, ...], list[tuple[str, tuple[int, ...]]]] = {}
    for number, row in read_jsonl(path):
        try:
            persona, entailed = tuple(row["persona"]), tuple(row["entailed"])
            if entailed and max(entailed) < len(persona) <= 9:
                rows.setdefault(persona, []).append((row["response"], entailed))
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number}: expected persona, response and entailed ({error}).") from None
    rng = random.Random(f"questions:{seed}")
    personas = [persona for persona in rows if len(rows[persona]) >= 2]
    rng.shuffle(personas)
    made = (_example(number, persona, rows[persona], rng) for number, persona in enumerate(personas))
    examples = [example for example in made if example is not None]
    return examples[:count]


def _example(
    number: int, persona: Sequence[str], responses: Sequence[tuple[str, tuple[int, ...]]], rng: random.Random
) -> Example | None:
    bank = question_bank()
    sentences = tuple(naturalise(text) for text in persona)
    answers = []
    for response, entailed in rng.sample(responses, len(responses)):
        topics = [t for t in range(len(bank.topics)) if set(bank.on_topic(t, sentences)) & set(entailed)]
        if topics and _STATEMENT.search(naturalise(response)):
            topic = rng.choice(topics)
            matching = bank.on_topic(topic, sentences)
            labels = tuple(index for index in entailed if index in matching)
            labels += tuple(index for index in matching if index not in labels)
            answers.append((rng.choice(bank.topics[topic][1]), naturalise(response), labels))
    if len(answers) < 2:
        return None
    open_topics = [t for t in range(len(bank.topics)) if not bank.on_topic(t, sentences)]
    rounds = answers[:_EXCHANGES]
    for at in range(len(rounds)):
        draw = rng.random()
        if draw < _SMALL_TALK:
            message, replies = rng.choice(bank.small_talk)
            rounds.insert(rng.randrange(len(rounds) + 1), (message, rng.choice(replies), ()))
        elif draw < _SMALL_TALK + _UNANSWERABLE and open_topics:
            question = rng.choice(bank.topics[rng.choice(open_topics)][1])
            rounds.insert(at, (question, rng.choice(bank.deflections), ()))
    rounds = rounds[:_EXCHANGES]
    return Example(
        id=f"questions-{number}",
        sentences=sentences,
        exchanges=tuple(
            Exchange(question, reply, labels[0] if labels else None) for question, reply, labels in rounds
        ),
        labels=tuple(labels for _, _, labels in rounds),
    )
