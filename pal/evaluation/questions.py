"""The plain-questions benchmark: what visitors type first.

Each item is a persona, one opening message and the sentences that answer it
(none for small talk and for what no sentence answers), with its kind. The
items are our own writing; ``plain_questions_tune.jsonl`` serves tuning and
shares nothing with the benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pal.chat.responder import Responder
from pal.chat.selection import SelectionSettings, TunedSelection, combine
from pal.dialogue.persona import Persona
from pal.dialogue.readers import read_jsonl
from pal.dialogue.turns import Exchange
from pal.errors import DataError, PersonaError
from pal.evaluation.selection_metrics import SelectionMetrics, SelectionOutcome, cosine, outcome
from pal.evaluation.turns import GoldTurn, MeasuredDialogue
from pal.evaluation.walk import Walk, WalkedTurn, WalkSettings
from pal.settings import REPOSITORY
from pal.statistics import Bootstrap

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


def ask(
    questions: Sequence[PlainQuestion], variants: Sequence[str], responder: Responder
) -> list[WalkedTurn]:
    """Each question as the first message of a chat: the variants' own
    distributions and the prior's cosines; nothing is generated.

    Raises:
        EngineError: a variant failed.
    """
    from tqdm import tqdm

    walk = Walk(responder, WalkSettings(tuple(variants), generate=False))
    answers = []
    for number, item in enumerate(tqdm(questions, unit="question", desc="Plain questions")):
        turn = GoldTurn(0, Exchange(item.question, ""), "", item.labels)
        answers += walk.dialogue(MeasuredDialogue(f"question {number}", item.persona, (turn,), (0,)))
    return answers


def measure(questions: Sequence[PlainQuestion], outcomes: Sequence[SelectionOutcome]) -> dict[str, Any]:
    """Accuracy over all items, hit@1 over the answerable ones, accuracy on each
    kind that occurs, and the AUC answerable/none. Items of one persona are
    alike: intervals by bootstrap over personas."""
    bootstrap = Bootstrap([item.persona for item in questions])
    right = np.array([is_right(outcome) for outcome in outcomes])
    answerable = np.array([bool(outcome.labels) for outcome in outcomes])
    kinds = np.array([item.kind for item in questions])
    metrics = SelectionMetrics(outcomes)
    area = metrics.auc(np.ones(len(outcomes)))

    def share(counted: np.ndarray) -> dict[str, float | None]:
        return bootstrap.share(right & counted, counted).to_json()

    return {
        "accuracy": bootstrap.share(right).to_json(),
        "accuracy_answerable": share(answerable),
        "accuracy_none": share(~answerable),
        "hit_at_1": bootstrap.share(metrics.top_hits, answerable).to_json(),
        "auc": None if math.isnan(area) else round(area, 6),
        "accuracy_by_kind": {kind: share(kinds == kind) for kind in KINDS if (kinds == kind).any()},
    }


def is_right(outcome: SelectionOutcome) -> bool:
    """The pick is a label, or none where nothing answers."""
    return outcome.selected in outcome.labels if outcome.labels else outcome.selected is None


def selectors(
    item: PlainQuestion, turn: WalkedTurn, variants: Sequence[str], tuned: TunedSelection
) -> dict[str, SelectionOutcome]:
    """The outcome of every selector on one item: the prior alone, and of each
    variant pure PAL and the combination that the page uses."""
    outcomes = {"prior alone": cosine(item.labels, turn.cosines, tuned.cosine_threshold)}
    for variant in variants:
        for name, settings in (("pure PAL", tuned.pure), ("combined", tuned.used)):
            chosen = combine(
                turn.answers[variant].model, turn.cosines, settings.get(variant, SelectionSettings())
            )
            outcomes[f"{variant} {name}"] = outcome(item.labels, chosen.selected, chosen.probabilities)
    return outcomes


def report(
    questions: Sequence[PlainQuestion],
    turns: Sequence[WalkedTurn],
    variants: Sequence[str],
    tuned: TunedSelection,
) -> dict[str, Any]:
    """Numbers per selector, and every item with every pick."""
    outcomes = [selectors(item, turn, variants, tuned) for item, turn in zip(questions, turns, strict=True)]
    items = [
        {
            "persona": list(item.persona.sentences),
            "question": item.question,
            "labels": list(item.labels),
            "kind": item.kind,
            "cosines": list(turn.cosines),
            "model_probabilities": {name: list(turn.answers[name].model) for name in variants},
            "selected": {name: outcome.selected for name, outcome in by_selector.items()},
            "right": {name: is_right(outcome) for name, outcome in by_selector.items()},
        }
        for item, turn, by_selector in zip(questions, turns, outcomes, strict=True)
    ]
    numbers = {
        name: measure(questions, [by_selector[name] for by_selector in outcomes]) for name in outcomes[0]
    }
    counts = {
        "questions": len(questions),
        "answerable": sum(bool(item.labels) for item in questions),
        "kinds": {kind: sum(item.kind == kind for item in questions) for kind in KINDS},
    }
    return {"counts": counts, "selectors": numbers, "items": items}


def summary(results: Mapping[str, Any]) -> str:
    """Accuracy, hit@1 and AUC of every selector as a plain table, then its
    accuracy on each kind of item."""
    counts = results["counts"]
    kinds = [kind for kind, count in counts["kinds"].items() if count]
    lines = [
        f"{counts['questions']} plain questions, {counts['answerable']} of them answerable",
        f"{'':<22}{'accuracy (95 %)':>22}{'hit@1':>8}{'AUC':>8}",
    ]
    for name, numbers in results["selectors"].items():
        share = numbers["accuracy"]
        interval = f"{share['value']:.3f} ({share['low']:.3f}–{share['high']:.3f})"
        hit, area = (
            ("–" if value is None else f"{value:.3f}")
            for value in (numbers["hit_at_1"]["value"], numbers["auc"])
        )
        lines.append(f"{name:<22}{interval:>22}{hit:>8}{area:>8}")
    lines.append(f"{'accuracy by kind':<22}" + "".join(f"{kind:>14}" for kind in kinds))
    for name, numbers in results["selectors"].items():
        shares = (numbers["accuracy_by_kind"][kind]["value"] for kind in kinds)
        lines.append(f"{name:<22}" + "".join(f"{share:>14.3f}" for share in shares))
    return "\n".join(lines)
