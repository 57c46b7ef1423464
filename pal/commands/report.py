"""The report of the evaluations: ``assets/results`` and the README's results.

    python -m pal report --replies results/dev --ablations results/dev-ablations --samples results/samples

Reads what ``pal evaluate`` wrote, and in the report's folder what the other
measuring commands and people wrote: ``answers.json``, ``plain_questions.json``, ``bench.json``,
``relevance.json``, ``conversations.json``, ``consistency_dev.json``,
``consistency_challenge.json``, ``labels.json`` and ``notes.md``; what is missing
is left out. Writes ``dev.json`` (and ``dev-ablations.json``), the plots, the
report itself (``README.md`` there), and the README's part between the markers.

Replies to the evaluation's data stay where they are: the data's text is not
ours to publish, so the samples are replies to our own dialogues.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from pal.errors import DataError
from pal.evaluation.plots import draw
from pal.evaluation.report import SAMPLES, Evaluation, Report, read_json, read_samples
from pal.files import write_text
from pal.settings import REPOSITORY

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
MEASURED = {
    "answers": "answers.json",
    "questions": "plain_questions.json",
    "bench": "bench.json",
    "relevance": "relevance.json",
    "conversations": "conversations.json",
    "labels": "labels.json",
}
CONSISTENCY = ("consistency_dev.json", "consistency_challenge.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal report``."""
    parser.add_argument(
        "--replies", type=Path, default=Path("results/dev"), metavar="FOLDER", help="default: results/dev"
    )
    parser.add_argument(
        "--ablations",
        type=Path,
        metavar="FOLDER",
        help="an evaluation with ablations and further baselines, on fewer turns perhaps",
    )
    parser.add_argument(
        "--samples", type=Path, metavar="FOLDER", help="an evaluation of assets/sample_dialogues.jsonl"
    )
    parser.add_argument("--out", type=Path, default=REPOSITORY / "assets" / "results", metavar="FOLDER")
    parser.add_argument("--readme", type=Path, default=REPOSITORY / "README.md", metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Write the report; 0 when done.

    Raises:
        DataError: an evaluation is missing or of another version, samples are
            not of our own dialogues, or the README lacks the markers.
    """
    readme = args.readme.read_text(encoding="utf-8") if args.readme.is_file() else ""
    replace_between_markers(readme, "", args.readme)  # refused before anything is written
    replies = Evaluation.read(args.replies)
    ablations = Evaluation.read(args.ablations) if args.ablations else None
    samples = read_samples(args.samples, SAMPLES) if args.samples else []
    for name, evaluation in (("dev.json", replies), ("dev-ablations.json", ablations)):
        if evaluation:
            numbers = json.dumps(evaluation.results, ensure_ascii=False, separators=(",", ":"))
            write_text(args.out / name, numbers + "\n")
    measured = {name: _read(args.out / file) for name, file in MEASURED.items()}
    measured["consistency"] = [content for name in CONSISTENCY if (content := _read(args.out / name))]
    notes = args.out / "notes.md"
    report = Report(
        replies,
        ablations,
        samples,
        measured,
        notes.read_text(encoding="utf-8") if notes.is_file() else "",
        draw(replies, args.out),
    )
    write_text(args.out / "README.md", report.render("report"))
    folder = Path(os.path.relpath(args.out, args.readme.parent)).as_posix()
    results = report.render("readme", folder=folder)
    write_text(args.readme, replace_between_markers(readme, results, args.readme))
    print(f"Written: {args.out / 'README.md'}, {args.readme}")
    return 0


def _read(path: Path) -> dict[str, Any] | None:
    """What a measuring command wrote; None where it has not been run."""
    return read_json(path, "write it anew") if path.is_file() else None


def replace_between_markers(text: str, content: str, path: Path) -> str:
    """``text`` with ``content`` in place of what stands between the markers.

    Raises:
        DataError: the markers are not there exactly once, in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise DataError(f"{path}: “{BEGIN}” and, below it, “{END}” must stand there once each.")
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    return f"{head}\n{content}{tail}"
