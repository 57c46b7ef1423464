"""Select then Generate, measured on dialogues.

    python -m pal evaluate --data dialogues_dev.jsonl --limit 1000 --part report \\
        --variants baseline,stage1,aligned --out results/dev

Writes ``results.json`` (numbers with 95 % intervals, settings, hashes) and
``replies.jsonl`` (one row per turn and variant). A run that was killed goes on
where it stopped when the same command is given again.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pal.engines.base import SELECTING_VARIANTS
from pal.errors import DataError
from pal.evaluation.journal import Journal
from pal.evaluation.perplexity import GoldReplyScorer
from pal.evaluation.results import Run, summary, walked_turns, write
from pal.evaluation.serving import (
    adapter_hashes,
    add_model_arguments,
    chosen_selection,
    open_renderer,
    opened,
    parse_variants,
    sha256,
    software,
)
from pal.evaluation.turns import PARTS, MeasuredDialogue, choose_turns
from pal.evaluation.walk import Walk, WalkedTurn, WalkSettings, gold_selection
from pal.respond import Responder
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
    parser.add_argument(
        "--variants", default="baseline,stage1,aligned", help="comma-separated; default: all three"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="order of the dialogues and resampling (default 0)"
    )
    parser.add_argument(
        "--part", choices=PARTS, default="all", help="tune: what “pal tune” looks at; report: the rest"
    )
    parser.add_argument(
        "--oracle", action="store_true", help="also reply to the gold sentence; reported apart"
    )
    parser.add_argument("--no-generate", action="store_true", help="selections and perplexity only")
    parser.add_argument(
        "--no-perplexity", action="store_true", help="leave the perplexity of gold replies out"
    )
    parser.add_argument(
        "--no-pure", action="store_true", help="leave out pure PAL's selections, a second pass beside the page's"
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate as the arguments ask; 0 when done.

    Raises:
        DataError: data, limit, variant or selection settings cannot be used.
        CheckpointError: a model is missing.
        EngineError: a variant failed.
    """
    if args.limit < 0:
        raise DataError(f"--limit is {args.limit}; it must be 0 (all) or more.")
    variants = parse_variants(args.variants)
    tuned = chosen_selection(args.selection)
    choice = choose_turns(read_dialogues(args.data), args.limit, args.seed, args.part)
    settings = WalkSettings(
        variants,
        tuned.used,
        tuned.pure,
        not args.no_generate,
        args.oracle and not args.no_generate,
        args.seed,
        measure_pure=not args.no_pure,
    )
    task = Run(choice, settings, tuned, not args.no_perplexity)
    described = {
        "data": {"file": args.data.name, "sha256": sha256(args.data), "limit": args.limit, "part": args.part},
        "models": {"adapters": adapter_hashes(variants, args.adapters)},
        **describe(task),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    journal = Journal(args.out / "progress.jsonl", described)
    if any(f"walk {dialogue.id}" not in journal for dialogue in choice.dialogues):
        with opened(variants, args.adapters) as responder:
            journal.add(
                "engine", {"name": responder.engine.name, "quantisation": responder.engine.quantisation}
            )
            walk_all(task, responder, journal)
    if task.perplexity:
        score_all(task, GoldReplyScorer.from_adapters(variants, open_renderer(), args.adapters), journal)
    results = write(
        task, journal, args.out, described | {"engine": journal["engine"], "software": software()}
    )
    journal.close()
    print(summary(results))
    print(f"Written: {args.out / 'results.json'}, {args.out / 'replies.jsonl'}")
    return 0


def describe(task: Run) -> dict[str, Any]:
    """What determines the numbers, as plain JSON."""
    settings = task.settings
    selecting = [variant for variant in settings.variants if variant in SELECTING_VARIANTS]
    return {
        "variants": list(settings.variants),
        "seed": settings.seed,
        "decoding": asdict(settings.decoding),
        "selection": {
            name: asdict(settings.selection[name]) for name in selecting if name in settings.selection
        },
        "pure_pal": {name: asdict(settings.pure[name]) for name in selecting if name in settings.pure},
        "cosine_threshold": task.tuned.cosine_threshold,
        "generate": settings.generate,
        "measure_pure": settings.measure_pure,
        "oracle": settings.oracle,
        "perplexity": task.perplexity,
    }


def walk_all(task: Run, responder: Responder, journal: Journal) -> None:
    """Run every dialogue that the journal does not hold yet."""
    from tqdm import tqdm

    walk = Walk(responder, task.settings)
    with tqdm(total=task.choice.turns, unit="turn", desc="Selections and replies") as bar:
        for dialogue in task.choice.dialogues:
            key = f"walk {dialogue.id}"
            if key not in journal:
                journal.add(key, [asdict(turn) for turn in walk.dialogue(dialogue)])
            bar.update(len(dialogue.measured))


def score_all(task: Run, scorer: GoldReplyScorer, journal: Journal) -> None:
    """Score the gold replies of every dialogue that the journal does not hold yet."""
    from tqdm import tqdm

    for dialogue in tqdm(task.choice.dialogues, unit="dialogue", desc="Perplexity of gold replies"):
        key = f"perplexity {dialogue.id}"
        if key in journal:
            continue
        walked = walked_turns(journal, dialogue)
        found: dict[str, dict[str, list[Any]]] = {}
        for variant in task.settings.variants:
            found[variant] = {}
            for source, selections in _selections(dialogue, walked, variant).items():
                found[variant][source] = [
                    [likelihood.log_probability, likelihood.tokens]
                    for likelihood in scorer.score(variant, dialogue, selections)
                ]
        journal.add(key, found)


def _selections(dialogue: MeasuredDialogue, walked: list[WalkedTurn], variant: str) -> dict[str, list | None]:
    if variant not in SELECTING_VARIANTS:
        return {"plain": None}
    predicted = [turn.answers[variant].selected for turn in walked]
    gold = [gold_selection(turn, chosen) for turn, chosen in zip(dialogue.turns, predicted, strict=True)]
    return {"predicted": predicted, "gold_oracle": gold}
