"""Exchanges made from persona sentences: a plain question, then a real reply.

Human chats seldom ask plainly, visitors do. A reply that entails a sentence
becomes the answer to a question on that sentence's topic, to a question about
the sentence (by rewriting it for the second person, so that it covers every topic
and shares words with it), or to another's statement of it; small talk, and
questions and statements that no sentence answers, teach "none".
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from pal.dialogue.english import naturalise
from pal.dialogue.readers import read_jsonl
from pal.dialogue.turns import Exchange
from pal.errors import DataError
from pal.training.contradictions import content_words
from pal.training.examples import Example

_SECOND_PERSON = {
    "i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself", "am": "are",
    "i'm": "you're",
    "we": "you", "our": "your", "i've": "you've", "i'd": "you'd", "i'll": "you'll", "was": "were",
}  # fmt: skip
_ADVERBS = (
    r"(?:(?:really|also|still|currently|often|always|usually|sometimes|just|now|recently|absolutely) )?"
)
_VERBS = (
    "play|live|drive|own|collect|eat|go|watch|listen|read|write|teach|study|speak|travel|cook|bake|paint|"
    "draw|sing|dance|run|swim|hike|fish|hunt|ride|wear|drink|smoke|attend|volunteer|make|build|grow|raise|take|spend|"
    "sleep|believe|hope|plan|dream|know|do|use|keep|visit|need|prefer|work|sell|wish|wear|exercise"
)
# (sentence, ways to ask); {0}, {1} are the groups of the match
_RULES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.I), ways)
    for pattern, ways in (
        (
            r"^my (?:favou?rite) (.+?) (?:is|are|was) .+$",
            (
                "What's your favorite {0}?",
                "Do you have a favorite {0}?",
                "Which {0} do you like best?",
                "what is your fav {0}",
                "Tell me your favorite {0}.",
            ),
        ),
        (
            r"^.+ (?:is|are) my favou?rite (.+)$",
            ("What's your favorite {0}?", "Do you have a favorite {0}?", "Which {0} do you like best?"),
        ),
        (
            rf"^i {_ADVERBS}(?:do not|don't|don t) (?:like|enjoy) (.+)$",
            ("Do you like {0}?", "How do you feel about {0}?", "What do you think of {0}?"),
        ),
        (
            rf"^i {_ADVERBS}(?:like|love|hate) to (.+)$",
            ("Do you like to {0}?", "Do you {0}?", "I love to {0}. What about you?", "Do you ever {0}?"),
        ),
        (
            rf"^i {_ADVERBS}(?:hate|dislike|can't stand) (.+)$",
            (
                "Do you like {0}?",
                "How do you feel about {0}?",
                "What do you think of {0}?",
                "I like {0}. Do you?",
            ),
        ),
        (
            rf"^i {_ADVERBS}(?:like|love|enjoy) (.+)$",
            (
                "Do you like {0}?",
                "How do you feel about {0}?",
                "I like {0}. Do you?",
                "What do you think of {0}?",
                "Are you into {0}?",
                "So you're into {0}?",
            ),
        ),
        (
            r"^i (?:want|would like|hope|plan) to (.+)$",
            (
                "Do you want to {0}?",
                "Would you like to {0}?",
                "Have you ever thought about it, to {0}?",
                "Do you plan to {0}?",
            ),
        ),
        (
            rf"^i {_ADVERBS}have (?:a|an|some|many|one|two|three|four|five|six|\d+|lots of|a lot of) (.+)$",
            ("Do you have any {0}?", "Have you got {0}?", "Tell me about {0}, do you have any?"),
        ),
        (rf"^i {_ADVERBS}have (.+)$", ("Do you have {0}?", "Have you got {0}?")),
        (r"^i(?: am|'m| m) (.+)$", ("Are you {0}?", "Is it true that you are {0}?", "So you're {0}?")),
        (r"^i was (.+)$", ("Were you {0}?", "Is it true that you were {0}?")),
        (r"^i can (.+)$", ("Can you {0}?",)),
        (rf"^i {_ADVERBS}({_VERBS})\b(.*)$", ("Do you {0}{1}?", "So you {0}{1}?", "Do you ever {0}{1}?")),
        (
            r"^my ([a-z]+(?: and [a-z]+)?) (?:is|are|was|were|has|have|works?|lives?|loves?|likes?) .+",
            ("Tell me about your {0}.", "What about your {0}?", "Can you tell me more about your {0}?"),
        ),
        (r"^(.+)$", ("Is it true that {0}?", "Someone told me that {0}. Is that right?")),
    )
)


# further clauses are left out: a question asks one thing
_CLAUSE = re.compile(
    r"[,;.!] |,? (?:but|because|so|since|while|when|although|and (?:i|my|we|he|she|it|they))\b", re.I
)
_BANK = Path(__file__).with_name("questions.yaml")
_STATEMENT = re.compile(r"\b(?:I|my|we|me|our|mine)\b[^.!?]*(?:[.!,;]|$)", re.I)
_EXCHANGES = 6  # of one synthetic dialogue
_SMALL_TALK, _UNANSWERABLE, _UNRELATED = 0.22, 0.12, 0.08  # share of the exchanges
_BY_TOPIC, _BY_SENTENCE = (
    0.45,
    0.75,
)  # of the answers: asked by topic, about the sentence, the rest by an echo


def question_about(sentence: str, rng: random.Random) -> str:
    """A question whose answer is ``sentence``, for instance "I love hiking." → "Are you into hiking?"."""
    plain = _CLAUSE.split(sentence.strip())[0].rstrip(".!,").strip()
    for pattern, ways in _RULES:
        if match := pattern.match(plain):
            parts = [_second_person(group) for group in match.groups()]
            return rng.choice(ways).format(*parts)
    raise AssertionError("the last rule matches every sentence")


def _second_person(text: str) -> str:
    words = text.split(" ")
    if words[0][1:] == words[0][1:].lower():
        words[0] = words[0].lower()
    return " ".join(_SECOND_PERSON.get(word.lower(), word) for word in words)


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
