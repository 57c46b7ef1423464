"""The persona editor's rows: plain lists of texts, one sentence a row."""

from __future__ import annotations

from collections.abc import Sequence

from pal.dialogue.persona import MAX_SENTENCE_CHARS, MAX_SENTENCES, Persona
from pal.errors import PersonaError


def status(rows: Sequence[str]) -> tuple[str, bool]:
    """One line about the rows, and whether they can be used as they are."""
    try:
        count = len(Persona.parse(rows))
    except PersonaError as error:
        return str(error), False
    return f"{count} of {MAX_SENTENCES} sentences, each up to {MAX_SENTENCE_CHARS} characters", True


def remove(rows: Sequence[str], index: int) -> list[str]:
    """The rows without one; at least one row stays."""
    return [*rows[:index], *rows[index + 1 :]] or [""]


def move_up(rows: Sequence[str], index: int) -> list[str]:
    """The rows with one moved before its neighbour."""
    rows = list(rows)
    if index > 0:
        rows[index - 1 : index + 1] = [rows[index], rows[index - 1]]
    return rows


def add(rows: Sequence[str]) -> list[str]:
    """The rows with a blank one at the end.

    Raises:
        PersonaError: there is no room for one more.
    """
    if len(rows) >= MAX_SENTENCES:
        raise PersonaError(f"A persona has at most {MAX_SENTENCES} sentences. Remove one first.")
    return [*rows, ""]


def from_text(text: str | None) -> list[str]:
    """Rows from text with one sentence a line.

    Raises:
        PersonaError: the sentences break a limit.
    """
    return list(Persona.parse((text or "").splitlines()).sentences)
