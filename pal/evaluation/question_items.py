"""The items of the plain-questions files: a persona, one message, the answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pal.errors import DataError, PersonaError
from pal.persona import Persona
from pal.settings import REPOSITORY
from pal.training.data import read_jsonl

BENCHMARK = REPOSITORY / "assets" / "plain_questions.jsonl"
TUNING = REPOSITORY / "assets" / "plain_questions_tune.jsonl"

KINDS = {
    "plain": "a question, one topic a sentence",
    "distractor": "a question, other sentences close in topic",
    "statement": "no question, yet a sentence answers it",
    "small_talk": "greetings, reactions, asides: nothing to pick",
    "unanswerable": "a question that no sentence answers",
}


@dataclass(frozen=True)
class PlainQuestion:
    """``labels``: 0-based sentences that answer the question; () for none.
    ``kind``: one of ``KINDS``."""

    persona: Persona
    question: str
    labels: tuple[int, ...]
    kind: str = "plain"


def read_questions(path: str | Path) -> list[PlainQuestion]:
    """The items of a JSONL file: ``persona``, ``question``, ``labels`` and,
    where it is not "plain", ``kind``.

    Raises:
        DataError: names the file and the line that is malformed.
    """
    questions = []
    for number, row in read_jsonl(path):
        try:
            persona = Persona.parse(row["persona"])
            question, labels = str(row["question"]).strip(), tuple(row["labels"])
        except (KeyError, TypeError, AttributeError, PersonaError) as error:
            raise DataError(
                f"{path}, line {number}: persona, question and labels are expected ({error})."
            ) from None
        if not question or not all(isinstance(label, int) and 0 <= label < len(persona) for label in labels):
            raise DataError(
                f"{path}, line {number}: empty question, or a label that is no sentence ({labels})."
            )
        kind = row.get("kind", "plain")
        if not isinstance(kind, str) or kind not in KINDS:
            raise DataError(f"{path}, line {number}: kind is “{kind}”; known: {', '.join(KINDS)}.")
        questions.append(PlainQuestion(persona, question, labels, kind))
    if not questions:
        raise DataError(f"{path}: no question in it.")
    return questions
