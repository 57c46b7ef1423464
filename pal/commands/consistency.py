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
import itertools
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pal.errors import DataError
from pal.evaluation.consistency import PairRow, as_text, measure, read_rows, score
from pal.files import write_text
from pal.models.bert import usable_cpus
from pal.models.consistency import FOLDER, LABELS, ConsistencyModel

REPEATS = 7
PLACES = ("a harbour town", "the mountains", "Lisbon", "a village near the coast", "the old part of the city")
PREMISES = (
    "I drive a night bus in {}.",
    "My sister and I run a small bakery in {}.",
    "I keep two old greyhounds in {}.",
    "I am learning to play the accordion in {}.",
    "I never eat fish when I am in {}.",
)
HYPOTHESES = (
    "I bake bread with my sister every morning, and you?",
    "No pets for me, I am away too often. Do you have any?",
    "I teach at a school, so my evenings are mostly free.",
    "I had fish and chips by the sea last night, it was great!",
    "The last passengers get off at two, then I drive home.",
    "That sounds fun. I practise my music when nobody is listening.",
)


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


def _line(row: PairRow, probabilities: np.ndarray) -> str:
    named = {name: round(float(value), 6) for name, value in zip(LABELS, probabilities, strict=True)}
    return json.dumps({**row.fields, "probabilities": named}, ensure_ascii=False) + "\n"


def _mistake_text(mistake: dict[str, Any]) -> str:
    chances = " ".join(f"{value:.2f}" for value in mistake["probabilities"])
    return (
        f"\n{mistake['label']}, taken for {mistake['verdict']} ({chances})\n"
        f"  sentence: {mistake['premise']}\n  reply:    {mistake['hypothesis']}"
    )


def default_pairs() -> list[tuple[str, str]]:
    """150 different pairs of our own, about 27 tokens each."""
    premises = [premise.format(place) for premise, place in itertools.product(PREMISES, PLACES)]
    return list(itertools.product(premises, HYPOTHESES))


def bench(folder: Path, pairs: Sequence[tuple[str, str]] | None) -> int:
    """Print speed of 8-bit and float32 weights and how often their verdicts
    agree on ``pairs`` (None: ``default_pairs``); the exit status."""
    pairs = list(dict.fromkeys(pairs or default_pairs()))
    print(f"{usable_cpus()} cores, {len(pairs):,} pairs, best and median of {REPEATS} runs")
    answers = {}
    for name, quantised in (("8 bits", True), ("float32", False)):
        model = ConsistencyModel.load(folder, quantised=quantised, cached=0)
        answers[name] = model.probabilities(pairs)
        seconds = []
        for repeat in range(REPEATS):
            print(f"\r{name}: run {repeat + 1} of {REPEATS}", end="", file=sys.stderr)
            begun = time.perf_counter()
            model.probabilities(pairs)
            seconds.append(time.perf_counter() - begun)
        print("\r", end="", file=sys.stderr)
        best, median = (len(pairs) / value for value in (min(seconds), statistics.median(seconds)))
        print(f"{name:8} {best:7.0f} pairs/s at best, {median:7.0f} in the median")
    agree = np.mean(answers["8 bits"].argmax(axis=1) == answers["float32"].argmax(axis=1))
    difference = np.abs(answers["8 bits"] - answers["float32"])
    print(
        f"verdicts agree on {agree:.2%}; probabilities differ by {difference.mean():.4f} "
        f"on average, {difference.max():.3f} at most"
    )
    return 0
