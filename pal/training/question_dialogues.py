"""Dialogues made from persona sentences: a plain question, then a real or a restated answer.

Human chats seldom ask plainly, visitors do. In *question dialogues* a real reply
that entails a sentence answers a question on its topic, a question about the
sentence, or another's statement of it. In *plain answers* every answer keeps the
sentence's numbers, names, negations and relatives, since a visitor checks it
against the persona: personas are mixed from real sentences and drawn facts. In
both, small talk and questions and statements that no sentence answers teach "none".
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pal.dialogue.english import naturalise
from pal.dialogue.persona import MAX_SENTENCES
from pal.dialogue.readers import read_jsonl
from pal.dialogue.turns import Exchange
from pal.errors import DataError
from pal.training.contradictions import content_words
from pal.training.detail_words import keeps_details
from pal.training.examples import Example
from pal.training.facts import Fact, draw_fact, fact_bank, restated
from pal.training.questions import question_about, question_bank

Persona = tuple[str, ...]
Round = tuple[str, str, tuple[int, ...]]
"""(message, reply, sentences that the reply entails)."""

_STATEMENT = re.compile(r"\b(?:I|my|we|me|our|mine)\b[^.!?]*(?:[.!,;]|$)", re.I)
_EXCHANGES = 6  # of one question dialogue
_BY_TOPIC, _BY_SENTENCE = 0.45, 0.75  # of the questions: by topic, about the sentence, the rest by an echo
_PLAIN_BY_TOPIC = 0.3  # of the questions about a real sentence; topics are coarse
_REAL_ANSWERS = 0.45  # of the plain answers to a real sentence, where a real reply keeps its details


@dataclass(frozen=True)
class Interludes:
    """Shares of the rounds without a sentence: small talk, questions and statements that none answers."""

    small_talk: float
    unanswerable: float
    unrelated: float


_AMONG_QUESTIONS = Interludes(0.22, 0.12, 0.08)
_AMONG_PLAIN_ANSWERS = Interludes(0.25, 0.15, 0.10)


@dataclass(frozen=True)
class Source:
    """Personas with their replies (text, entailed sentences, strongest first), and what
    was replied anywhere by the sentence that it entails most."""

    rows: dict[Persona, list[tuple[str, tuple[int, ...]]]]
    statements: dict[str, list[str]]


def read_source(path: str | Path) -> Source:
    """Rows of persona_response_pairs.

    Args:
        path: JSONL of ``persona`` (sentences), ``response``, ``entailed`` (indices).

    Raises:
        DataError: a malformed row.
    """
    rows: dict[Persona, list[tuple[str, tuple[int, ...]]]] = {}
    for number, row in read_jsonl(path):
        try:
            persona, entailed = tuple(row["persona"]), tuple(row["entailed"])
            if entailed and max(entailed) < len(persona) <= MAX_SENTENCES:
                rows.setdefault(persona, []).append((row["response"], entailed))
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{path}, line {number}: expected persona, response and entailed ({error})."
            ) from None
    statements: dict[str, list[str]] = {}
    for persona, responses in rows.items():
        for response, entailed in responses:
            if entailed and _STATEMENT.search(naturalise(response)):
                statements.setdefault(persona[entailed[0]], []).append(response)
    return Source(rows, statements)


def question_examples(path: str | Path, count: int, seed: int) -> list[Example]:
    """At most ``count`` question dialogues from the file of ``read_source``; see there for the errors."""
    source = read_source(path)
    rng = random.Random(f"questions:{seed}")
    personas = [persona for persona in source.rows if len(source.rows[persona]) >= 2]
    rng.shuffle(personas)
    examples = (
        _question_dialogue(number, persona, source, rng) for number, persona in enumerate(personas[:count])
    )
    return [example for example in examples if example is not None]


def plain_answer_examples(path: str | Path, count: int, seed: int) -> list[Example]:
    """``count`` dialogues of plain answers from the file of ``read_source``; see there for the errors.

    Raises:
        DataError: also when no row of the file entails a sentence.
    """
    source = read_source(path)
    personas = list(source.rows)
    if not personas:
        raise DataError(f"{path}: no reply in it entails a persona sentence.")
    rng = random.Random(f"plain answers:{seed}")
    return [_plain_dialogue(number, rng.choice(personas), source, rng) for number in range(count)]


def _question_dialogue(number: int, persona: Persona, source: Source, rng: random.Random) -> Example | None:
    sentences = tuple(map(naturalise, persona))
    responses = source.rows[persona]
    answers = [
        (*_prompted(persona, sentences, response, entailed, source, rng), naturalise(response))
        for response, entailed in rng.sample(responses, len(responses))
        if entailed and _STATEMENT.search(naturalise(response))
    ]
    if len(answers) < 2:
        return None
    rounds = [(message, reply, labels) for message, labels, reply in answers[:_EXCHANGES]]
    for _ in range(len(rounds)):
        _interject(rounds, _AMONG_QUESTIONS, persona, sentences, source, rng)
    return _example(f"questions-{number}", sentences, rounds[:_EXCHANGES])


def _prompted(
    persona: Persona,
    sentences: Sequence[str],
    response: str,
    entailed: tuple[int, ...],
    source: Source,
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
    echoes = [other for other in source.statements.get(persona[strongest], ()) if other != response]
    if draw < _BY_SENTENCE or not echoes:
        return question_about(sentences[strongest], rng), (strongest,)
    return naturalise(rng.choice(echoes)), (strongest,)


def _plain_dialogue(number: int, persona: Persona, source: Source, rng: random.Random) -> Example:
    facts = _draw_facts(rng)
    kept = _beside(persona, facts, rng.choice((4, 5, 5, 6)) - len(facts))
    sentences = (*(naturalise(persona[index]) for index in kept), *(fact.sentence for fact in facts))
    rounds = [
        _real_round(
            sentences, place, [text for text, entailed in source.rows[persona] if entailed[0] == index], rng
        )
        for place, index in enumerate(kept)
    ]
    rounds += [
        (rng.choice(fact.questions), rng.choice(fact.answers), (place,))
        for place, fact in enumerate(facts, len(kept))
    ]
    rng.shuffle(rounds)
    rounds = rounds[: rng.choice((3, 4, 5))]
    for _ in range(2):
        _interject(rounds, _AMONG_PLAIN_ANSWERS, persona, sentences, source, rng)
    return _example(f"answers-{number}", sentences, rounds, asked=True)


def _draw_facts(rng: random.Random) -> list[Fact]:
    """One to five facts, no two of which answer one question or are of one group."""
    facts: list[Fact] = []
    for kind in rng.sample(fact_bank().kinds, rng.choice((1, 2, 2, 3, 3, 4, 5))):
        fact = draw_fact(kind, rng)
        if not any(fact.excludes(other) for other in facts):
            facts.append(fact)
    return facts


def _beside(persona: Persona, facts: Sequence[Fact], count: int) -> list[int]:
    """The first ``count`` sentences of a persona that share no topic with the facts."""
    bank = question_bank()
    topics = [t for t in range(len(bank.topics)) if bank.on_topic(t, [fact.sentence for fact in facts])]
    free = [
        index
        for index, sentence in enumerate(persona)
        if not any(bank.on_topic(topic, [naturalise(sentence)]) for topic in topics)
    ]
    return free[: max(0, count)]


def _real_round(sentences: Sequence[str], place: int, responses: Sequence[str], rng: random.Random) -> Round:
    """A question that a real sentence answers, and as its answer a real reply that keeps
    the sentence's details, or the sentence itself."""
    bank, sentence = question_bank(), sentences[place]
    topics = [t for t in range(len(bank.topics)) if bank.on_topic(t, [sentence])]
    if topics and rng.random() < _PLAIN_BY_TOPIC:
        topic = rng.choice(topics)
        message, about = rng.choice(bank.topics[topic][1]), ""  # says nothing that "yes" would affirm
        labels = (place, *(index for index in bank.on_topic(topic, sentences) if index != place))
    else:
        message = about = question_about(sentence, rng)
        labels = (place,)
    truthful = [text for text in map(naturalise, responses) if keeps_details(text, sentence)]
    if truthful and rng.random() < _REAL_ANSWERS:
        return message, rng.choice(truthful), labels
    return message, restated(sentence, about, rng), labels


def _interject(
    rounds: list[Round],
    shares: Interludes,
    persona: Persona,
    sentences: Sequence[str],
    source: Source,
    rng: random.Random,
) -> None:
    """Now and then put a round without a sentence among the others."""
    bank = question_bank()
    draw, place = rng.random(), rng.randrange(len(rounds) + 1)
    unanswerable = shares.small_talk + shares.unanswerable
    open_topics = [topic for topic in range(len(bank.topics)) if not bank.on_topic(topic, sentences)]
    if draw < shares.small_talk:
        message, replies = rng.choice(bank.small_talk)
        rounds.insert(place, (message, rng.choice(replies), ()))
    elif draw < unanswerable and open_topics:
        question = rng.choice(bank.topics[rng.choice(open_topics)][1])
        rounds.insert(place, (question, rng.choice(bank.deflections), ()))
    elif draw < unanswerable + shares.unrelated and (message := _unrelated(persona, source.statements, rng)):
        rounds.insert(place, (message, rng.choice(bank.acknowledgements), ()))


def _unrelated(persona: Persona, statements: dict[str, list[str]], rng: random.Random) -> str | None:
    """A statement that shares no content word with the persona; None when a few draws find none."""
    own = frozenset().union(*(content_words(sentence) for sentence in persona))
    keys = list(statements)
    for key in rng.choices(keys, k=5):
        message = rng.choice(statements[key])
        if not own & (content_words(message) | content_words(key)):
            return naturalise(message)
    return None


def _example(name: str, sentences: Sequence[str], rounds: Sequence[Round], *, asked: bool = False) -> Example:
    return Example(
        id=name,
        sentences=tuple(sentences),
        exchanges=tuple(
            Exchange(message, reply, labels[0] if labels else None) for message, reply, labels in rounds
        ),
        labels=tuple(labels for _, _, labels in rounds),
        asked=frozenset(at for at, (_, _, labels) in enumerate(rounds) if labels) if asked else frozenset(),
    )
