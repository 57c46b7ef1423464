"""The example personas and suggested messages in ``assets/personas.json``."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

from pal.errors import DataError, PalError
from pal.persona import Persona
from pal.settings import REPOSITORY

PATH = REPOSITORY / "assets" / "personas.json"


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
