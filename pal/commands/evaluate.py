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
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pal.chat.variants import Variants, read_variants
from pal.dialogue.readers import read_dialogues
from pal.errors import DataError
from pal.evaluation.contenders import (
    GOLD_REPLIES,
    UNTUNED,
    Contender,
    chosen_selection,
    chosen_variants,
    served,
    software,
)
from pal.evaluation.journal import Record
from pal.evaluation.results import summary, write
from pal.evaluation.run import Run, consistency_hash, open_records, work
from pal.evaluation.turns import PARTS, choose_turns
from pal.evaluation.walk import DECODINGS, GOLD, NOTHING
from pal.files import sha256
from pal.models.adapters import adapter_path
from pal.models.consistency import FOLDER
from pal.settings import Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal evaluate``."""
    parser.add_argument(
        "--data", type=Path, required=True, help="dialogues file (JSONL, ParlAI text or Hub JSON)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and replies.jsonl")
    parser.add_argument(
        "--limit", type=int, default=0, help="labelled turns to measure; 0 (default) takes all"
    )
    _contender_arguments(parser)
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
    settings = served(args.adapters)
    taking_part = chosen_contenders(args, settings)
    generate = not args.no_generate
    task = Run(
        choose_turns(read_dialogues(args.data), args.limit, args.seed, args.part),
        chosen_selection(args.selection, settings),
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
    work(task, records, settings, args.consistency)
    results = write(task, records, args.out, describe(task, args, data, model, records))
    print(summary(results))
    print(f"Written: {args.out / 'results.json'}, {args.out / 'replies.jsonl'}")
    return 0


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


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """``--adapters`` and ``--selection``, shared by the evaluating commands."""
    parser.add_argument(
        "--adapters",
        type=Path,
        help="folder with one PEFT adapter folder per variant; default: what is served (PAL_ADAPTERS)",
    )
    parser.add_argument(
        "--selection",
        metavar="FILE|pure",
        help="selection settings; default: what is served (PAL_SELECTION), pure PAL while none are tuned",
    )


def _contender_arguments(parser: argparse.ArgumentParser) -> None:
    """Who takes part."""
    parser.add_argument("--variants", help="comma-separated; default: all that are served")
    parser.add_argument(
        "--untuned", action="store_true", help="also the base without an adapter, with the baseline's prompt"
    )
    parser.add_argument(
        "--extra",
        action="append",
        default=[],
        metavar="NAME=FOLDER:VARIANT",
        help="also this adapter, prompted like VARIANT; may be given several times "
        "(dpo_baseline=runs/dpo_baseline/adapter:baseline)",
    )
    parser.add_argument(
        "--without-selection", action="store_true", help="also every selecting one told to select nothing"
    )
    parser.add_argument(
        "--oracle",
        action="store_true",
        help="also every selecting one told the gold sentence: an upper bound",
    )


def chosen_contenders(args: argparse.Namespace, settings: Settings) -> tuple[Contender, ...]:
    """The contenders that the arguments name, ablations last.

    Raises:
        DataError: an unknown variant, or a bad or repeated name.
        CheckpointError: an adapter is missing.
    """
    known = read_variants(settings)
    contenders = [Contender(variant.name, variant) for variant in chosen_variants(args.variants, settings)]
    if args.untuned:
        contenders.append(Contender(UNTUNED, replace(known["baseline"], adapter=None)))
    contenders += [_extra(text, known) for text in args.extra]
    for contender in contenders:
        if folder := contender.variant.adapter:
            adapter_path(folder.name, folder.parent)  # refused before any work
    for wanted, choice in ((args.without_selection, NOTHING), (args.oracle, GOLD)):
        if wanted:
            contenders += [contender.ablation(choice) for contender in contenders if contender.predicts]
    names = [contender.name for contender in contenders]
    repeated = sorted({name for name in names if names.count(name) > 1 or name == GOLD_REPLIES})
    if repeated:
        raise DataError(f"The name “{repeated[0]}” is taken; give the --extra adapter another one.")
    return tuple(contenders)


def _extra(text: str, known: Variants) -> Contender:
    name, _, rest = text.partition("=")
    folder, _, variant = rest.rpartition(":")
    if not _NAME.fullmatch(name) or not folder or variant not in known:
        raise DataError(
            f"--extra is “{text}”; it must be NAME=FOLDER:VARIANT, NAME of a–z, 0–9 and _, "
            f"VARIANT one of {', '.join(known.names)}."
        )
    return Contender(name, replace(known[variant], adapter=Path(folder).expanduser()))
