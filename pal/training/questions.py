"""Questions: asked about any persona sentence, and the bank of topics in ``questions.yaml``.

A sentence is rewritten for the second person, so that a question covers every
topic and shares words with its sentence; the bank asks as visitors do.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from pal.dialogue.text_metrics import content_words, normalise

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
_ASKS = re.compile(
    r"\?|^(?:and |so |but |well )?(?:what|where|when|who|why|how|which|whose|do|does|did|are|is|was|were|"
    r"have|has|can|could|would|will|tell me|any|got)\b",
    re.I,
)


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


def asks_for(message: str | None, sentence: str) -> bool:
    """The message is a question that the sentence answers: they share a content word or a topic."""
    if not message or not _ASKS.search(message):
        return False
    if set(content_words(message)) & set(content_words(sentence)):
        return True
    asked = normalise(message)
    return any(
        topic.search(sentence) and (topic.search(message) or any(normalise(way) in asked for way in ways))
        for topic, ways in question_bank().topics
    )
