"""The report of the evaluations: ``assets/results`` and the README's results.

    python -m pal report --replies results/dev --ablations results/dev-ablations --samples results/samples

Reads what ``pal evaluate`` wrote, and in the report's folder what the other
measuring commands and people wrote: ``plain_questions.json``, ``bench.json``,
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
from pal.evaluation.report_data import SAMPLES, Evaluation, read_json, read_samples
from pal.evaluation.report_plots import panels, win_matrix
from pal.evaluation.report_sections import consistency_section, conversations_section
from pal.evaluation.report_tables import PARROTING, PERSONA, SELECTION
from pal.evaluation.report_text import SELECTORS, Sources, readme_section, whole_report
from pal.settings import REPOSITORY

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
MEASURED = {"questions": "plain_questions.json", "bench": "bench.json", "relevance": "relevance.json"}
CONSISTENCY = ("consistency_dev.json", "consistency_challenge.json")
LABELS = "labels.json"
CONVERSATIONS = "conversations.json"
NOTES = "notes.md"


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
    args.out.mkdir(parents=True, exist_ok=True)
    for name, evaluation in (("dev.json", replies), ("dev-ablations.json", ablations)):
        if evaluation:
            numbers = json.dumps(evaluation.results, ensure_ascii=False, separators=(",", ":"))
            _write(args.out / name, numbers + "\n")
    sources = Sources(
        replies,
        ablations,
        samples,
        **{name: _found(args.out / file) for name, file in MEASURED.items()},
        included=[
            conversations_section(_found(args.out / CONVERSATIONS)),
            consistency_section(
                [found for name in CONSISTENCY if (found := _found(args.out / name))],
                _found(args.out / LABELS),
            ),
            (args.out / NOTES).read_text(encoding="utf-8") if (args.out / NOTES).is_file() else "",
        ],
        plots=draw(replies, args.out),
    )
    _write(args.out / "README.md", whole_report(sources))
    folder = Path(os.path.relpath(args.out, args.readme.parent)).as_posix()
    _write(args.readme, replace_between_markers(readme, readme_section(sources, folder), args.readme))
    print(f"Written: {args.out / 'README.md'}, {args.readme}")
    return 0


def _found(path: Path) -> Any:
    """What a measuring command wrote; None where it has not been run."""
    return read_json(path, "write it anew") if path.is_file() else None


def draw(replies: Evaluation, out: Path) -> list[str]:
    """The plots that there are numbers for; their names."""
    names = replies.contenders("replies")
    selectors = [*replies.contenders("selection"), *SELECTORS]
    made = {
        "replies": panels(replies, names, (*PERSONA[:4], PARROTING[1]), out / "replies.svg"),
        "win_rates": win_matrix(replies, names, out / "win_rates.svg"),
        "selection": panels(replies, selectors, SELECTION, out / "selection.svg"),
    }
    return [name for name, done in made.items() if done]


def replace_between_markers(text: str, content: str, path: Path) -> str:
    """``text`` with ``content`` in place of what stands between the markers.

    Raises:
        DataError: the markers are not there exactly once, in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise DataError(f"{path}: “{BEGIN}” and, below it, “{END}” must stand there once each.")
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    return f"{head}\n{content}{tail}"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
