"""The plain-questions benchmark: what visitors type first.

    python -m pal evaluate-questions --out results/plain_questions.json

Each item is a persona, one opening message and the sentences that answer it
(none for small talk and for what no sentence answers), with its kind. The
items are our own writing; ``plain_questions_tune.jsonl`` serves tuning and
shares nothing with the benchmark.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pal.dialogue import Exchange
from pal.engines.base import SELECTING_VARIANTS
from pal.errors import DataError
from pal.evaluation.baselines import cosine
from pal.evaluation.bootstrap import wilson
from pal.evaluation.question_items import BENCHMARK, KINDS, PlainQuestion, read_questions
from pal.evaluation.selection_file import TunedSelection
from pal.evaluation.selection_metrics import SelectionMetrics, SelectionOutcome, outcome
from pal.evaluation.serving import (
    add_model_arguments,
    chosen_selection,
    describe_models,
    opened,
    parse_variants,
    software,
)
from pal.evaluation.turns import GoldTurn, MeasuredDialogue
from pal.evaluation.walk import Walk, WalkedTurn, WalkSettings
from pal.respond import Responder
from pal.selection import SelectionSettings, combine


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


def measure(outcomes: Sequence[SelectionOutcome]) -> dict[str, Any]:
    """Accuracy over all items, hit@1 over the answerable ones (Wilson
    intervals), accuracy on each kind, and the AUC answerable/none."""
    import numpy as np

    metrics, ones = SelectionMetrics(outcomes), np.ones(len(outcomes))
    answerable = [found for found in outcomes if found.labels]
    unanswerable = [found for found in outcomes if not found.labels]
    hits = metrics.hit_at_1(ones) * len(answerable) if answerable else 0.0
    area = metrics.auc(ones)
    return {
        "accuracy": wilson(sum(map(is_right, outcomes)), len(outcomes)).to_json(),
        "accuracy_answerable": wilson(sum(map(is_right, answerable)), len(answerable)).to_json(),
        "accuracy_none": wilson(sum(map(is_right, unanswerable)), len(unanswerable)).to_json(),
        "hit_at_1": wilson(round(hits), len(answerable)).to_json(),
        "auc": None if math.isnan(area) else round(area, 6),
    }


def by_kind(questions: Sequence[PlainQuestion], outcomes: Sequence[SelectionOutcome]) -> dict[str, Any]:
    """Accuracy on the items of each kind that occurs, with Wilson intervals."""
    shares = {}
    for kind in KINDS:
        right = [
            is_right(found) for item, found in zip(questions, outcomes, strict=True) if item.kind == kind
        ]
        if right:
            shares[kind] = wilson(sum(right), len(right)).to_json()
    return shares


def is_right(found: SelectionOutcome) -> bool:
    """The pick is a label, or none where nothing answers."""
    return found.selected in found.labels if found.labels else found.selected is None


def selectors(
    item: PlainQuestion, turn: WalkedTurn, variants: Sequence[str], tuned: TunedSelection
) -> dict[str, SelectionOutcome]:
    """The outcome of every selector on one item: the prior alone, and of each
    variant pure PAL and the combination that the page uses."""
    found = {"prior alone": cosine(item.labels, turn.cosines, tuned.cosine_threshold)}
    for variant in variants:
        for name, settings in (("pure PAL", tuned.pure), ("combined", tuned.used)):
            chosen = combine(
                turn.answers[variant].model, turn.cosines, settings.get(variant, SelectionSettings())
            )
            found[f"{variant} {name}"] = outcome(item.labels, chosen.selected, chosen.probabilities)
    return found


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
            "selected": {name: picked.selected for name, picked in found.items()},
            "right": {name: is_right(picked) for name, picked in found.items()},
        }
        for item, turn, found in zip(questions, turns, outcomes, strict=True)
    ]
    numbers = {}
    for name in outcomes[0]:
        own = [found[name] for found in outcomes]
        numbers[name] = measure(own) | {"accuracy_by_kind": by_kind(questions, own)}
    counts = {
        "questions": len(questions),
        "answerable": sum(bool(item.labels) for item in questions),
        "kinds": {kind: sum(item.kind == kind for item in questions) for kind in KINDS},
    }
    return {"counts": counts, "selectors": numbers, "items": items}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal evaluate-questions``."""
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--data", type=Path, default=BENCHMARK, help="questions file; default: the benchmark")
    parser.add_argument("--variants", default=",".join(SELECTING_VARIANTS), help="default: stage1,aligned")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure as the arguments ask; 0 when done.

    Raises:
        DataError: questions, variants or selection settings cannot be used.
        CheckpointError: a model is missing.
        EngineError: a variant failed.
    """
    variants = [variant for variant in parse_variants(args.variants) if variant in SELECTING_VARIANTS]
    if not variants:
        raise DataError(f"--variants is “{args.variants}”; only {', '.join(SELECTING_VARIANTS)} select.")
    questions, tuned = read_questions(args.data), chosen_selection(args.selection)
    settings = describe_models(args.data, variants, args.adapters, tuned) | {
        "pure_pal": {name: asdict(values) for name, values in tuned.pure.items()},
        "cosine_threshold": tuned.cosine_threshold,
    }
    with opened(variants, args.adapters) as responder:
        settings["engine"] = {"name": responder.engine.name, "quantisation": responder.engine.quantisation}
        turns = ask(questions, variants, responder)
    results = {"settings": settings | {"software": software()}, **report(questions, turns, variants, tuned)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(summary(results))
    print(f"Written: {args.out}")
    return 0


def summary(results: Mapping[str, Any]) -> str:
    """Accuracy, hit@1 and AUC of every selector as a plain table, then its
    accuracy on each kind of item."""
    counts = results["counts"]
    kinds = [kind for kind, count in counts["kinds"].items() if count]
    lines = [
        f"{counts['questions']} plain questions, {counts['answerable']} of them answerable",
        f"{'':<22}{'accuracy (95 %)':>22}{'hit@1':>8}{'AUC':>8}",
    ]
    for name, found in results["selectors"].items():
        share = found["accuracy"]
        interval = f"{share['value']:.3f} ({share['low']:.3f}–{share['high']:.3f})"
        hit, area = (
            ("–" if value is None else f"{value:.3f}") for value in (found["hit_at_1"]["value"], found["auc"])
        )
        lines.append(f"{name:<22}{interval:>22}{hit:>8}{area:>8}")
    lines.append(f"{'accuracy by kind':<22}" + "".join(f"{kind:>14}" for kind in kinds))
    for name, found in results["selectors"].items():
        shares = (found["accuracy_by_kind"][kind]["value"] for kind in kinds)
        lines.append(f"{name:<22}" + "".join(f"{share:>14.3f}" for share in shares))
    return "\n".join(lines)
