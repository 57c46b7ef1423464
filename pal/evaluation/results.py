"""The files of an evaluation: ``results.json``, ``replies.jsonl``, and the table in the terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pal.evaluation import metrics
from pal.evaluation.numbers import Numbers
from pal.evaluation.records import Record
from pal.evaluation.relevance import MARGIN
from pal.evaluation.rows import Measured, Row
from pal.evaluation.stages import Run
from pal.evaluation.turns import MeasuredDialogue


def rows(task: Run, records: Mapping[str, Record]) -> Iterator[Row]:
    """Every measured turn with all that the records know of it."""
    for dialogue in task.choice.dialogues:
        found = {name: _measured(task, record, dialogue) for name, record in records.items()}
        cosines = [record.cosines(dialogue) for record in records.values() if record.contender is None][0]
        for number, place in enumerate(dialogue.measured):
            yield Row(
                dialogue.id,
                dialogue.persona,
                dialogue.turns[place],
                tuple(cosines[number]) if cosines else (),
                {name: measured[number] for name, measured in found.items()},
            )


def _measured(task: Run, record: Record, dialogue: MeasuredDialogue) -> list[Measured]:
    """One contender's measured turns of a dialogue, with what this run asks for."""
    answers = record.answers(dialogue)
    likelihoods = record.likelihoods(dialogue) if record.contender and task.perplexity else None
    consistency = record.consistency(dialogue) if task.consistency else None
    relevance = record.relevance(dialogue) if task.relevance else None
    return [
        Measured(
            answers[place],
            likelihoods[place] if likelihoods and place < len(likelihoods) else None,
            tuple(map(tuple, consistency[number])) if consistency else None,
            relevance[number] if relevance else None,
        )
        for number, place in enumerate(dialogue.measured)
    ]


def write(task: Run, records: Mapping[str, Record], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``results.json`` and ``replies.jsonl``; returns the results."""
    measured = list(rows(task, records))
    users = [
        turn.exchange.user
        for dialogue in task.choice.dialogues
        for turn in dialogue.turns
        if turn.exchange.user
    ]
    numbers = Numbers(
        measured,
        [record.contender for record in records.values() if record.contender],
        cosine_threshold=task.tuned.cosine_threshold,
        users=users,
        margin=MARGIN,
        seed=task.seed,
    )
    results = {
        "settings": {**settings, "bleu": metrics.bleu_signature(), "win_rate_margin": MARGIN},
        "counts": numbers.counts() | {"skipped_dialogues": task.choice.skipped},
        "contenders": numbers.contenders(),
        "selection_baselines": numbers.selection_baselines(),
        "differences": numbers.differences(),
        "win_rates": numbers.win_rates(),
    }
    _write_text(out / "results.json", json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    lines = (json.dumps(reply_row(row, name), ensure_ascii=False) for row in measured for name in records)
    _write_text(out / "replies.jsonl", "".join(f"{line}\n" for line in lines))
    return results


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def reply_row(row: Row, name: str) -> dict[str, Any]:
    """One line of ``replies.jsonl``."""
    measured = row.replies[name]
    answer = measured.answer
    return {
        "dialogue": row.dialogue,
        "turn": row.gold.turn,
        "contender": name,
        "persona": list(row.persona.sentences),
        "user": row.gold.exchange.user,
        "gold": row.gold.gold,
        "labels": None if row.gold.labels is None else list(row.gold.labels),
        "selected": answer.selected,
        "probabilities": list(answer.probabilities),
        "model_probabilities": list(answer.model),
        "pure_selected": answer.pure_selected,
        "pure_probabilities": list(answer.pure_probabilities),
        "reply": answer.reply,
        "verdicts": None if measured.consistency is None else list(measured.verdicts),
        "consistency": measured.consistency,
        "relevance": measured.relevance,
    }


def summary(results: Mapping[str, Any]) -> str:
    """The main numbers as a plain table."""
    wanted = [
        ("selection", "accuracy"), ("selection", "f1"), ("selection", "hit_at_1"), ("selection", "auc"),
        ("perplexity", "all_turns"),
        ("replies", "c_score"), ("replies", "entails"), ("replies", "contradicts"),
        ("replies", "persona_coverage"), ("replies", "persona_f1"), ("replies", "relevance"),
        ("replies", "parrots_selected"), ("replies", "parrots_any"),
        ("replies", "f1"), ("replies", "bleu"), ("replies", "rouge_l"),
        ("replies", "distinct_1"), ("replies", "distinct_2"), ("replies", "words"),
    ]  # fmt: skip
    columns = dict(results["contenders"]) | {
        name: {"selection": found} for name, found in results["selection_baselines"].items()
    }
    lines = [" " * 26 + "".join(f"{name:>16}" for name in columns)]
    for group, name in wanted:
        cells = [column.get(group, {}).get(name, {}).get("value") for column in columns.values()]
        if any(cell is not None for cell in cells):
            shown = "".join(f"{'–' if cell is None else f'{cell:.4g}':>16}" for cell in cells)
            lines.append(f"{group + ' ' + name:<26}{shown}")
    counts = results["counts"]
    return "\n".join([f"{counts['turns']:,} turns of {counts['dialogues']:,} dialogues", *lines])
