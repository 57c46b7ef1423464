"""A persona: one to nine first-person sentences; and the examples that the app offers."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pal.errors import DataError, PalError, PersonaError
from pal.settings import REPOSITORY

MAX_SENTENCES = 9  # one digit token decides, and 0 is "none"
MAX_SENTENCE_CHARS = 200
PATH = REPOSITORY / "assets" / "personas.json"


@dataclass(frozen=True)
class Persona:
    """Sentences in the order the visitor sees them."""

    sentences: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def hash(self) -> str:
        """Hex SHA-256 of the sentences; names a persona in records."""
        return hashlib.sha256("\n".join(self.sentences).encode()).hexdigest()

    @classmethod
    def parse(cls, texts: Iterable[str | None]) -> Persona:
        """Persona from what a person typed: blank rows dropped, whitespace
        collapsed, order kept.

        Raises:
            PersonaError: no sentence, more than ``MAX_SENTENCES``, one longer
                than ``MAX_SENTENCE_CHARS`` characters, or the same one twice.
        """
        sentences = [" ".join(text.split()) for text in texts if text and text.strip()]
        if not sentences:
            raise PersonaError("The persona is empty: write at least one sentence, such as “I am a nurse.”")
        if len(sentences) > MAX_SENTENCES:
            raise PersonaError(
                f"The persona has {len(sentences)} sentences; at most {MAX_SENTENCES} fit. Remove some."
            )
        seen: set[str] = set()
        for number, sentence in enumerate(sentences, 1):
            if len(sentence) > MAX_SENTENCE_CHARS:
                raise PersonaError(
                    f"Persona sentence {number} has {len(sentence)} characters; "
                    f"at most {MAX_SENTENCE_CHARS} fit. Shorten it or split it in two."
                )
            if sentence.casefold() in seen:
                raise PersonaError(
                    f"Persona sentence {number} is there twice: “{sentence[:60].rstrip('.')}”. Remove one."
                )
            seen.add(sentence.casefold())
        return cls(tuple(sentences))


@dataclass(frozen=True)
class Example:
    """A ready-made persona with messages that suit it."""

    name: str
    tagline: str
    persona: Persona
    suggestions: tuple[str, ...]

    @property
    def title(self) -> str:
        """“Nora · night nurse”."""
        return f"{self.name} · {self.tagline}"


def load_examples(path: Path = PATH) -> tuple[Example, ...]:
    """All example personas, in the file's order.

    Raises:
        DataError: the file is missing or an entry is not a persona.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["personas"]
        return tuple(
            Example(
                entry["name"],
                entry["tagline"],
                Persona.parse(entry["sentences"]),
                tuple(entry["suggestions"]),
            )
            for entry in entries
        )
    except (OSError, ValueError, KeyError, TypeError, PalError) as error:
        raise DataError(f"The example personas in {path} cannot be read: {error}") from error


def another(examples: tuple[Example, ...], current: str | None, chance: random.Random) -> Example:
    """A random example other than the one titled ``current``."""
    return chance.choice([example for example in examples if example.title != current] or list(examples))
