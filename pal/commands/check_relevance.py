"""How well a relevance measure tells the reply to a message from a reply to another one.

    python -m pal check-relevance --data dialogues_dev.jsonl --limit 300 --out assets/results/relevance.json

Takes gold replies of the part that "pal tune" does not look at. Each is held
against a random gold reply of another dialogue: a good measure scores the true
one higher for the user's message. Compared are the cosine that the evaluation
uses and a likelihood ratio of the untuned base,

    (log p(r | u) − log p(r)) / |r|  in nats per token of the reply, end token included,

the pointwise mutual information that Li et al. 2016 maximise (arXiv 1510.03055).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pal.dialogue.readers import read_dialogues
from pal.evaluation.contenders import open_encoder
from pal.evaluation.relevance import COMPARED, USED, EmbeddingRelevance, LikelihoodRatio, check, trials
from pal.evaluation.turns import PARTS, choose_turns
from pal.files import sha256, write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal check-relevance``."""
    parser.add_argument("--data", type=Path, required=True, help="dialogues file")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--part", choices=PARTS, default="report", help="default: report")
    parser.add_argument("--limit", type=int, default=300, help="turns; 0 takes all (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and the resampling (default 0)")


def run(args: argparse.Namespace) -> int:
    """Measure and write; 0 when done.

    Raises:
        DataError: the data cannot be used.
        CheckpointError: a model is missing.
    """
    from pal.models.bases import load_base_model, open_renderer

    choice = choose_turns(read_dialogues(args.data), seed=args.seed, part=args.part)
    drawn = trials(choice.dialogues, args.limit, args.seed)
    scorers = {
        USED: EmbeddingRelevance(open_encoder()),
        COMPARED: LikelihoodRatio(load_base_model(), open_renderer()),
    }
    data = {"file": args.data.name, "sha256": sha256(args.data), "part": args.part}
    results = {"data": data, "seed": args.seed, **check(drawn, scorers, args.seed)}
    write_text(args.out, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    for name, measured in results["measures"].items():
        print(f"{name}: accuracy {measured['accuracy']['value']:.3f}, AUC {measured['auc']['value']:.3f}")
    print(f"Written: {args.out}")
    return 0
