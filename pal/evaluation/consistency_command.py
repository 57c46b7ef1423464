"""``python -m pal consistency``: score pairs of persona sentence and reply.

python -m pal consistency --data pairs.jsonl --out scored.jsonl
python -m pal consistency --data assets/consistency_challenge.jsonl --out scored.jsonl \
    --report report.json --show-mistakes
python -m pal consistency --bench

A row needs ``premise`` (the persona sentence) and ``hypothesis`` (the reply);
its other fields are kept and ``probabilities`` is added. Rows that all carry a
``label`` are also measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pal.checkpoints import fetch_encoder
from pal.encoder import MiniLMEncoder
from pal.errors import DataError
from pal.evaluation.consistency import FOLDER, LABELS, ConsistencyModel
from pal.evaluation.consistency_report import as_text, full_report, worst_mistakes
from pal.files import write_text
from pal.training.data import read_jsonl

_CHUNK = 256  # pairs between two steps of the progress bar


@dataclass(frozen=True)
class PairRow:
    """One row of a file; ``label`` is an index into LABELS or None."""

    fields: dict[str, Any]
    label: int | None

    @property
    def pair(self) -> tuple[str, str]:
        """Premise and hypothesis."""
        return self.fields["premise"], self.fields["hypothesis"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``consistency``."""
    parser.add_argument("--data", type=Path, help="JSONL rows with premise and hypothesis")
    parser.add_argument("--out", type=Path, help="where the rows go with their probabilities")
    parser.add_argument("--report", type=Path, help="write the figures of labelled rows there as JSON")
    parser.add_argument(
        "--show-mistakes", action="store_true", help="with the ten worst mistakes; they quote the data"
    )
    parser.add_argument("--model", type=Path, default=FOLDER, help="checkpoint (default: assets/consistency)")
    parser.add_argument("--exact", action="store_true", help="float32 instead of 8-bit weights")
    parser.add_argument("--bench", action="store_true", help="measure pairs per second; needs no data")


def run(args: argparse.Namespace) -> int:
    """Score, or measure the speed; the exit status.

    Raises:
        DataError: a file cannot be read or written, or arguments do not fit.
        CheckpointError: the model is missing or damaged.
    """
    if args.bench:
        from pal.evaluation.consistency_bench import bench

        return bench(args.model, [row.pair for row in read_rows(args.data)] if args.data else None)
    if not args.data or not args.out:
        raise DataError("consistency needs --data FILE and --out FILE (or --bench).")
    rows = read_rows(args.data)
    labelled = [row.label is not None for row in rows]
    if (args.report or args.show_mistakes) and not all(labelled):
        line = labelled.index(False) + 1
        raise DataError(f"{args.data}: row {line} has no label, so there is nothing to compare with.")
    model = ConsistencyModel.load(args.model, quantised=not args.exact)
    probabilities = score(model, [row.pair for row in rows])
    write_text(args.out, "".join(map(_line, rows, probabilities)))
    print(f"{len(rows):,} pairs: {args.out}", file=sys.stderr)
    if all(labelled):
        report = measure(rows, probabilities, args.show_mistakes)
        print(as_text(report))
        for mistake in report.get("worst_mistakes", ()):
            print(_mistake_text(mistake))
        if args.report:
            report = {"data": args.data.name, "weights": "float32" if args.exact else "8 bits", **report}
            write_text(args.report, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return 0


def read_rows(path: Path) -> list[PairRow]:
    """The rows of a JSONL file.

    Raises:
        DataError: names file and line of what is wrong.
    """
    rows = [PairRow(fields, _label(path, number, fields)) for number, fields in read_jsonl(path)]
    if not rows:
        raise DataError(f"{path}: the file has no rows.")
    return rows


def _label(path: Path, number: int, fields: dict[str, Any]) -> int | None:
    for name in ("premise", "hypothesis"):
        text = fields.get(name)
        if not isinstance(text, str):
            found = "nothing" if text is None else type(text).__name__
            raise DataError(f"{path}, line {number}: “{name}” must be text, found {found}.")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise DataError(f"{path}, line {number}: “{name}” holds half of a character (a lone surrogate).")
    label = fields.get("label")
    if label is None:
        return None
    if label not in LABELS:
        raise DataError(f"{path}, line {number}: label {label!r} is none of {', '.join(LABELS)}.")
    return LABELS.index(label)


def score(model: ConsistencyModel, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Probabilities of all pairs, [pairs, labels], with a progress bar."""
    chunks = []
    with tqdm(total=len(pairs), unit="pair", disable=None) as bar:
        for start in range(0, len(pairs), _CHUNK):
            chunks.append(model.probabilities(pairs[start : start + _CHUNK]))
            bar.update(len(chunks[-1]))
    return np.concatenate(chunks)


def measure(rows: Sequence[PairRow], probabilities: np.ndarray, with_mistakes: bool) -> dict[str, Any]:
    """``full_report`` of labelled rows, and their ten worst mistakes when asked for."""
    gold = np.array([row.label for row in rows])
    pairs = [row.pair for row in rows]
    encoder = MiniLMEncoder(fetch_encoder(), cached=2 * len(rows))
    sides = [encoder.embed([pair[side] for pair in pairs]) for side in (0, 1)]
    kinds = [str(row.fields["kind"]) if row.fields.get("kind") is not None else None for row in rows]
    report = full_report(probabilities, gold, (sides[0] * sides[1]).sum(axis=1), kinds)
    if with_mistakes:
        report["worst_mistakes"] = [asdict(one) for one in worst_mistakes(pairs, probabilities, gold)]
    return report


def _line(row: PairRow, probabilities: np.ndarray) -> str:
    named = {name: round(float(value), 6) for name, value in zip(LABELS, probabilities, strict=True)}
    return json.dumps({**row.fields, "probabilities": named}, ensure_ascii=False) + "\n"


def _mistake_text(mistake: dict[str, Any]) -> str:
    chances = " ".join(f"{value:.2f}" for value in mistake["probabilities"])
    return (
        f"\n{mistake['label']}, taken for {mistake['verdict']} ({chances})\n"
        f"  sentence: {mistake['premise']}\n  reply:    {mistake['hypothesis']}"
    )
