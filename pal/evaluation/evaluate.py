"""Select then Generate, measured on dialogues.

    python -m pal evaluate --data dialogues_dev.jsonl --limit 1000 --part report \\
        --untuned --without-selection --oracle --out results/dev

Writes ``results.json`` (numbers with 95 % intervals, settings, hashes),
``replies.jsonl`` (one row per turn and contender) and ``progress/`` (what each
contender did). The same folder again: a killed run goes on where it stopped,
and more turns, contenders or metrics cost only what is new.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

from pal.errors import CheckpointError, DataError
from pal.evaluation import contenders, stages
from pal.evaluation.consistency import FOLDER, ConsistencyModel
from pal.evaluation.contenders import GOLD_REPLIES, Contender, chosen_contenders
from pal.evaluation.journal import Journal
from pal.evaluation.perplexity import GoldReplyScorer
from pal.evaluation.records import Record
from pal.evaluation.relevance import EmbeddingRelevance
from pal.evaluation.results import summary, write
from pal.evaluation.serving import (
    add_model_arguments,
    chosen_selection,
    open_encoder,
    open_renderer,
    opened,
    sha256,
    software,
)
from pal.evaluation.stages import Run
from pal.evaluation.turns import PARTS, choose_turns
from pal.evaluation.walk import DECODINGS
from pal.training.data import read_dialogues


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal evaluate``."""
    parser.add_argument(
        "--data", type=Path, required=True, help="dialogues file (JSONL, ParlAI text or Hub JSON)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and replies.jsonl")
    parser.add_argument(
        "--limit", type=int, default=0, help="labelled turns to measure; 0 (default) takes all"
    )
    contenders.add_arguments(parser)
    parser.add_argument(
        "--seed", type=int, default=0, help="order of the dialogues and resampling (default 0)"
    )
    parser.add_argument(
        "--part", choices=PARTS, default="all", help="tune: what “pal tune” looks at; report: the rest"
    )
    parser.add_argument(
        "--decoding",
        choices=tuple(DECODINGS),
        default="greedy",
        help="how replies are written: greedy (default), or sampled as the page does",
    )
    parser.add_argument("--no-generate", action="store_true", help="selections and perplexity only")
    parser.add_argument(
        "--no-perplexity", action="store_true", help="leave the perplexity of gold replies out"
    )
    parser.add_argument(
        "--no-pure",
        action="store_true",
        help="leave out pure PAL's selections, a second pass beside the page's",
    )
    parser.add_argument(
        "--no-consistency", action="store_true", help="leave out what the consistency model says"
    )
    parser.add_argument(
        "--no-relevance", action="store_true", help="leave out relevance to the user's message"
    )
    parser.add_argument(
        "--consistency", type=Path, default=FOLDER, metavar="FOLDER", help="the consistency model"
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate as the arguments ask; 0 when done.

    Raises:
        DataError: data, limit, contender or selection settings cannot be used.
        CheckpointError: a model is missing.
        EngineError: a contender failed.
    """
    if args.limit < 0:
        raise DataError(f"--limit is {args.limit}; it must be 0 (all) or more.")
    taking_part = chosen_contenders(args)
    generate = not args.no_generate
    task = Run(
        choose_turns(read_dialogues(args.data), args.limit, args.seed, args.part),
        chosen_selection(args.selection),
        args.seed,
        generate,
        pure=not args.no_pure,
        perplexity=not args.no_perplexity,
        consistency=generate and not args.no_consistency,
        relevance=generate and not args.no_relevance,
        decoding=DECODINGS[args.decoding],
    )
    model = consistency_hash(args.consistency) if task.consistency else ""
    data = sha256(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    records = open_records(task, taking_part, data, model, args.out / "progress")
    work(task, records, args.consistency)
    results = write(task, records, args.out, describe(task, args, data, model, records))
    print(summary(results))
    print(f"Written: {args.out / 'results.json'}, {args.out / 'replies.jsonl'}")
    return 0


def consistency_hash(folder: Path) -> str:
    """SHA-256 of the consistency model's adapter and calibration; asked for before hours of replies.

    Raises:
        CheckpointError: it is not there.
    """
    files = [folder / name for name in ("adapter_model.safetensors", "calibration.json")]
    if not all(path.is_file() for path in files):
        raise CheckpointError(
            f"There is no consistency model in {folder}: train it with “python -m pal train consistency”, "
            "or give --no-consistency."
        )
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()


def open_records(
    task: Run, taking_part: Sequence[Contender], data: str, model: str, folder: Path
) -> dict[str, Record]:
    """A record per contender and, last, one of the data's own replies.

    Raises:
        DataError: the folder holds replies made in another way.
    """
    common = {"data": data, "seed": task.seed}
    records = {}
    for one in taking_part:
        settings = common | {"decoding": asdict(task.decoding)} | one.to_json(task.tuned)
        records[one.name] = Record(Journal(folder / f"{one.name}.jsonl", settings), one, model)
    records[GOLD_REPLIES] = Record(Journal(folder / f"{GOLD_REPLIES}.jsonl", common), None, model)
    return records


def work(task: Run, records: dict[str, Record], consistency: Path) -> None:
    """Run every stage that is asked for and not done, each model loaded once at most."""
    for record in records.values():
        one = record.contender
        if one:
            adapters = {one.variant: one.adapter}
            stages.walk(task, record, partial(opened, (one.variant,), adapters, prior=one.predicts))
        if one and task.perplexity:
            stages.score_gold_replies(
                task,
                record,
                lambda adapter=one.adapter: GoldReplyScorer.from_adapter(adapter, open_renderer()),
            )
    load_consistency, load_encoder = cache(partial(ConsistencyModel.load, consistency)), cache(open_encoder)
    if task.choice.labelled:
        stages.add_cosines(task, records[GOLD_REPLIES], load_encoder)
    for record in records.values():
        if task.consistency:
            stages.score_consistency(task, record, load_consistency)
        if task.relevance:
            stages.score_relevance(task, record, lambda: EmbeddingRelevance(load_encoder()))


def describe(
    task: Run, args: argparse.Namespace, data: str, model: str, records: dict[str, Record]
) -> dict[str, Any]:
    """What determines the numbers, as plain JSON."""
    return {
        "data": {"file": args.data.name, "sha256": data, "limit": args.limit, "part": args.part},
        "contenders": {
            name: record.contender.to_json(task.tuned) | {"engine": record.engine}
            for name, record in records.items()
            if record.contender
        },
        "seed": task.seed,
        "decoding": asdict(task.decoding),
        "cosine_threshold": task.tuned.cosine_threshold,
        "consistency_model": model or None,
        "left_out": [
            f"--no-{name}"
            for name, measured in (
                ("generate", task.generate),
                ("pure", task.pure),
                ("perplexity", task.perplexity),
                ("consistency", task.consistency or not task.generate),
                ("relevance", task.relevance or not task.generate),
            )
            if not measured
        ],
        "software": software(),
    }
