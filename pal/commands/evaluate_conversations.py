"""Whole conversations, each model with its own replies, side by side.

    python -m pal evaluate-conversations --out assets/results/conversations.json

Sixty personas of our own with six messages each (``assets/conversations.jsonl``).
Unlike ``pal evaluate`` the history is the model's own, and replies are sampled
as the page does. Counts what a visitor would notice, and keeps every reply to
be read.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from pal.chat.responder import ConsistencyScorer
from pal.commands.evaluate import add_model_arguments
from pal.engines.base import Decoding
from pal.evaluation.contenders import (
    chosen_selection,
    chosen_variants,
    describe_engine,
    describe_models,
    opened,
    served,
)
from pal.evaluation.conversations import CONVERSATIONS, as_json, hold, read_conversations
from pal.files import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal evaluate-conversations``."""
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--data", type=Path, default=CONVERSATIONS, help="default: our sixty")
    parser.add_argument("--limit", type=int, default=0, help="the first conversations only; 0 takes all")
    parser.add_argument("--variants", help="default: all that are served")
    parser.add_argument("--seed", type=int, default=1, help="of the sampling (default: 1)")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Hold the conversations and count; 0 when done.

    Raises:
        DataError: conversations, variants or selection settings cannot be used.
        CheckpointError: a model is missing.
        EngineError: a variant failed.
    """
    from tqdm import tqdm

    from pal.models.consistency import ConsistencyModel

    page = served(args.adapters)
    variants, tuned = chosen_variants(args.variants, page), chosen_selection(args.selection, page)
    conversations = read_conversations(args.data)[: args.limit or None]
    settings = describe_models(args.data, variants, tuned) | {
        "decoding": asdict(Decoding()),
        "seed": args.seed,
    }
    judge: ConsistencyScorer = ConsistencyModel.load()
    with opened(page, variants) as responder:
        settings["engine"] = describe_engine(responder.engine)
        judging = replace(responder, settings=tuned.used, consistency=judge)
        held = [
            (conversation, list(hold(conversation, judging, variants.names, args.seed)))
            for conversation in tqdm(conversations, unit="conversation")
        ]
    results = as_json(settings, held)
    write_text(args.out, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    for variant, numbers in results["signs"].items():
        print(f"{variant:<9}" + "  ".join(f"{name} {share['value']:.3f}" for name, share in numbers.items()))
    print(f"Written: {args.out}")
    return 0
