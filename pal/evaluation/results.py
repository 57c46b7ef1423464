"""The files of an evaluation: ``results.json``, ``replies.jsonl``, and the table in the terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pal.evaluation import metrics
from pal.evaluation.journal import Journal
from pal.evaluation.perplexity import Likelihood
from pal.evaluation.report import Report, Row
from pal.evaluation.selection_file import TunedSelection
from pal.evaluation.turns import Choice, MeasuredDialogue
from pal.evaluation.walk import Answer, WalkedTurn, WalkSettings


@dataclass(frozen=True)
class Run:
    """One evaluation as asked for."""

    choice: Choice
    settings: WalkSettings
    tuned: TunedSelection
    perplexity: bool = True


def walked_turns(journal: Journal, dialogue: MeasuredDialogue) -> list[WalkedTurn]:
    """The turns of a dialogue as the journal holds them."""
    return [
        WalkedTurn(
            turn["turn"],
            turn["measured"],
            tuple(turn["cosines"]),
            {name: _answer(fields) for name, fields in turn["answers"].items()},
        )
        for turn in journal[f"walk {dialogue.id}"]
    ]


def _answer(fields: Mapping[str, Any]) -> Answer:
    return Answer(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    )


def rows(task: Run, journal: Journal) -> Iterator[Row]:
    """Every measured turn with all that the journal knows of it."""
    for dialogue in task.choice.dialogues:
        walked = walked_turns(journal, dialogue)
        scored = journal[f"perplexity {dialogue.id}"] if task.perplexity else {}
        for place in dialogue.measured:
            likelihoods = {
                variant: {
                    source: Likelihood(*found[place])
                    for source, found in sources.items()
                    if place < len(found)
                }
                for variant, sources in scored.items()
            }
            turn = walked[place]
            yield Row(
                dialogue.id, dialogue.persona, dialogue.turns[place], turn.cosines, turn.answers, likelihoods
            )


def write(task: Run, journal: Journal, out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``results.json`` and ``replies.jsonl``; returns the results."""
    measured = list(rows(task, journal))
    users = [
        turn.exchange.user
        for dialogue in task.choice.dialogues
        for turn in dialogue.turns
        if turn.exchange.user
    ]
    report = Report(
        measured, cosine_threshold=task.tuned.cosine_threshold, users=users, seed=task.settings.seed
    )
    variants = task.settings.variants
    results = {
        "settings": dict(settings) | {"bleu": metrics.bleu_signature()},
        "counts": report.counts() | {"skipped_dialogues": task.choice.skipped},
        "variants": {variant: report.variant(variant) for variant in variants},
        "selection_baselines": report.selection_baselines(),
        "gold_replies": report.gold_replies(),
        "differences": report.differences(variants),
    }
    _write_text(out / "results.json", json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    lines = (
        json.dumps(reply_row(row, variant), ensure_ascii=False) for row in measured for variant in variants
    )
    _write_text(out / "replies.jsonl", "".join(f"{line}\n" for line in lines))
    return results


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def reply_row(row: Row, variant: str) -> dict[str, Any]:
    """One line of ``replies.jsonl``; the oracle's reply only where asked for."""
    answer = row.answers[variant]
    oracle = {} if answer.oracle_reply is None else {"oracle_reply": answer.oracle_reply}
    return {
        "dialogue": row.dialogue,
        "turn": row.gold.turn,
        "variant": variant,
        "selected": answer.selected,
        "probabilities": list(answer.probabilities),
        "reply": answer.reply,
        "gold": row.gold.gold,
        "labels": None if row.gold.labels is None else list(row.gold.labels),
        "model_probabilities": list(answer.model),
        "pure_selected": answer.pure_selected,
        "pure_probabilities": list(answer.pure_probabilities),
        "persona": list(row.persona.sentences),
        "user": row.gold.exchange.user,
        **oracle,
    }


def summary(results: Mapping[str, Any]) -> str:
    """The main numbers as a plain table."""
    wanted = [
        ("selection", "accuracy"), ("selection", "f1"), ("selection", "hit_at_1"), ("selection", "auc"),
        ("perplexity", "plain"), ("perplexity", "predicted"), ("perplexity", "gold_oracle"),
        ("replies", "f1"), ("replies", "bleu"), ("replies", "rouge_l"),
        ("replies", "distinct_1"), ("replies", "distinct_2"),
    ]  # fmt: skip
    columns = dict(results["variants"]) | {
        name: {"selection": found} for name, found in results["selection_baselines"].items()
    }
    lines = [" " * 24 + "".join(f"{name:>16}" for name in columns)]
    for group, name in wanted:
        cells = [column.get(group, {}).get(name, {}).get("value") for column in columns.values()]
        if any(cell is not None for cell in cells):
            shown = "".join(f"{'–' if cell is None else f'{cell:.4g}':>16}" for cell in cells)
            lines.append(f"{group + ' ' + name:<24}{shown}")
    counts = results["counts"]
    return "\n".join([f"{counts['turns']:,} turns of {counts['dialogues']:,} dialogues", *lines])
