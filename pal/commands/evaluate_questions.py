"""Measure selections on plain questions.

python -m pal evaluate-questions --out results/plain_questions.json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from pal.commands.evaluate import add_model_arguments
from pal.evaluation.contenders import (
    chosen_selection,
    chosen_variants,
    describe_engine,
    describe_models,
    opened,
    served,
    software,
)
from pal.evaluation.questions import BENCHMARK, ask, read_questions, report, summary
from pal.files import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal evaluate-questions``."""
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--data", type=Path, default=BENCHMARK, help="questions file; default: the benchmark")
    parser.add_argument("--variants", help="default: all that are served and select")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure as the arguments ask; 0 when done.

    Raises:
        DataError: questions, variants or selection settings cannot be used.
        CheckpointError: a model is missing.
        EngineError: a variant failed.
    """
    page = served(args.adapters)
    variants = chosen_variants(args.variants, page, selecting=True)
    questions, tuned = read_questions(args.data), chosen_selection(args.selection, page)
    settings = describe_models(args.data, variants, tuned) | {
        "pure_pal": {name: asdict(values) for name, values in tuned.pure.items()},
        "cosine_threshold": tuned.cosine_threshold,
    }
    with opened(page, variants) as responder:
        settings["engine"] = describe_engine(responder.engine)
        turns = ask(questions, variants.names, responder)
    results = {
        "settings": settings | {"software": software()},
        **report(questions, turns, variants.names, tuned),
    }
    write_text(args.out, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    print(summary(results))
    print(f"Written: {args.out}")
    return 0
