"""Exchanges made from persona sentences: a plain question, then a real reply.

Human chats seldom ask plainly, visitors do. A reply that entails a sentence
becomes the answer to a question on that sentence's topic, to a question about
the sentence, or to another's statement of it; small talk, and questions and
statements that no sentence answers, teach "none".
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
from pal.training.ask import question_about
from pal.training.contradictions import content_words
from pal.training.data import read_jsonl
from pal.training.examples import Example
from pal.training.text import naturalise

_BANK = Path(__file__).with_name("questions.yaml")
_STATEMENT = re.compile(r"\b(?:I|my|we|me|our|mine)\b[^.!?]*(?:[.!,;]|$)", re.I)
_EXCHANGES = 6  # of one synthetic dialogue
_SMALL_TALK, _UNANSWERABLE, _UNRELATED = 0.22, 0.12, 0.08  # share of the exchanges
_BY_TOPIC, _BY_SENTENCE = (
    0.45,
    0.75,
)  # of the answers: asked by topic, about the sentence, the rest by an echo


@dataclass(frozen=True)
class QuestionBank:
    """Topics (pattern, questions), small talk (message, replies), and replies to questions
    and statements that no sentence answers."""

    topics: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]
    small_talk: tuple[tuple[str, tuple[str, ...]], ...]
    deflections: tuple[str, ...]
    acknowledgements: tuple[str, ...]

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
        tuple(content["acknowledgements"]),
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
            raise DataError(
                f"{path}, line {number}: expected persona, response and entailed ({error})."
            ) from None
    rng = random.Random(f"questions:{seed}")
    statements = _statements(rows)
    personas = [persona for persona in rows if len(rows[persona]) >= 2]
    rng.shuffle(personas)
    made = (
        _example(number, persona, rows[persona], statements, rng)
        for number, persona in enumerate(personas[:count])
    )
    return [example for example in made if example is not None]


def _statements(rows: dict[tuple[str, ...], list[tuple[str, tuple[int, ...]]]]) -> dict[str, list[str]]:
    """Replies by the persona sentence that they entail most."""
    found: dict[str, list[str]] = {}
    for persona, responses in rows.items():
        for response, entailed in responses:
            if entailed and _STATEMENT.search(naturalise(response)):
                found.setdefault(persona[entailed[0]], []).append(response)
    return found


def _example(
    number: int,
    persona: Sequence[str],
    responses: Sequence[tuple[str, tuple[int, ...]]],
    statements: dict[str, list[str]],
    rng: random.Random,
) -> Example | None:
    bank = question_bank()
    sentences = tuple(naturalise(text) for text in persona)
    answers = [
        (*_prompted(persona, sentences, response, entailed, statements, rng), naturalise(response))
        for response, entailed in rng.sample(responses, len(responses))
        if entailed and _STATEMENT.search(naturalise(response))
    ]
    if len(answers) < 2:
        return None
    rounds = [(message, reply, labels) for message, labels, reply in answers[:_EXCHANGES]]
    open_topics = [t for t in range(len(bank.topics)) if not bank.on_topic(t, sentences)]
    for _ in range(len(rounds)):
        draw = rng.random()
        place = rng.randrange(len(rounds) + 1)
        if draw < _SMALL_TALK:
            message, replies = rng.choice(bank.small_talk)
            rounds.insert(place, (message, rng.choice(replies), ()))
        elif draw < _SMALL_TALK + _UNANSWERABLE and open_topics:
            question = rng.choice(bank.topics[rng.choice(open_topics)][1])
            rounds.insert(place, (question, rng.choice(bank.deflections), ()))
        elif draw < _SMALL_TALK + _UNANSWERABLE + _UNRELATED and (
            message := _unrelated(persona, statements, rng)
        ):
            rounds.insert(place, (message, rng.choice(bank.acknowledgements), ()))
    rounds = rounds[:_EXCHANGES]
    return Example(
        id=f"questions-{number}",
        sentences=sentences,
        exchanges=tuple(
            Exchange(question, reply, labels[0] if labels else None) for question, reply, labels in rounds
        ),
        labels=tuple(labels for _, _, labels in rounds),
    )


def _prompted(
    persona: Sequence[str],
    sentences: Sequence[str],
    response: str,
    entailed: tuple[int, ...],
    statements: dict[str, list[str]],
    rng: random.Random,
) -> tuple[str, tuple[int, ...]]:
    """A user's message that ``response`` answers, and the sentences that it calls for.

    By topic from the bank, about the strongest sentence itself, or an echo: a
    statement of somebody else to whom the same sentence applies.
    """
    bank = question_bank()
    draw = rng.random()
    topics = [t for t in range(len(bank.topics)) if set(bank.on_topic(t, sentences)) & set(entailed)]
    if topics and draw < _BY_TOPIC:
        topic = rng.choice(topics)
        matching = bank.on_topic(topic, sentences)
        labels = tuple(index for index in entailed if index in matching)
        return rng.choice(bank.topics[topic][1]), labels + tuple(i for i in matching if i not in labels)
    strongest = entailed[0]
    echoes = [other for other in statements.get(persona[strongest], ()) if other != response]
    if draw < _BY_SENTENCE or not echoes:
        return question_about(sentences[strongest], rng), (strongest,)
    return naturalise(rng.choice(echoes)), (strongest,)


def _unrelated(persona: Sequence[str], statements: dict[str, list[str]], rng: random.Random) -> str | None:
    """A statement that shares no content word with the persona; None when a few draws find none."""
    own = frozenset().union(*(content_words(sentence) for sentence in persona))
    keys = list(statements)
    for key in rng.choices(keys, k=5):
        message = rng.choice(statements[key])
        if not own & (content_words(message) | content_words(key)):
            return naturalise(message)
    return None
