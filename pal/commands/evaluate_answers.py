"""Right answers on plain questions, by the answer checker, and what the checker's word is worth.

    python -m pal evaluate-answers --out assets/results/answers.json
    python -m pal evaluate-answers --replies replies.jsonl --out answers.json

Samples every variant's reply to the questions that have an answer, as the page does, or checks the
replies of a file. Beside them stands how far the checker agrees with the labelled replies
(assets/labels/answers.jsonl), and how far two readers agree.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pal.commands.evaluate import add_model_arguments
from pal.engines.base import Decoding
from pal.errors import DataError
from pal.evaluation import answers as checker
from pal.evaluation.answer_measures import (
    LABELLED,
    Answer,
    agreement,
    as_rows,
    read_answers,
    read_labelled,
    readers,
    right_shares,
    sample,
    summary,
)
from pal.evaluation.contenders import (
    chosen_selection,
    chosen_variants,
    describe_engine,
    describe_models,
    opened,
    served,
    software,
)
from pal.evaluation.questions import BENCHMARK, read_questions
from pal.evaluation.run import consistency_hash
from pal.files import sha256, write_text
from pal.models.consistency import FOLDER, ConsistencyModel
from pal.models.contradictions import CONTRADICTED_FROM


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal evaluate-answers``."""
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--data", type=Path, default=BENCHMARK, help="questions; default: the benchmark")
    parser.add_argument("--limit", type=int, default=0, help="the first questions only; 0 takes all")
    parser.add_argument("--replies", type=Path, help="JSONL of replies to check instead of sampling")
    parser.add_argument("--labelled", type=Path, default=LABELLED, help="labelled replies; default: ours")
    parser.add_argument("--variants", help="default: all that are served")
    parser.add_argument(
        "--temperature", type=float, default=Decoding().temperature, help="0 is greedy; default: the page's"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the sampling (default: 1)")
    parser.add_argument(
        "--consistency", type=Path, default=FOLDER, metavar="FOLDER", help="the consistency model"
    )
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Sample or read, check and compare; 0 when done.

    Raises:
        DataError: questions, replies, variants or selection settings cannot be used.
        CheckpointError: a model is missing.
        EngineError: a variant failed.
    """
    if not 0 <= args.temperature <= 2:
        raise DataError(f"--temperature is {args.temperature:g}; it must be from 0 to 2.")
    labelled = read_labelled(args.labelled)
    scorer = ConsistencyModel.load(args.consistency)
    settings: dict[str, Any] = {
        "checker": {
            "consistency": consistency_hash(args.consistency),
            "supported_from": checker.SUPPORTED_FROM,
            "contradicted_from": CONTRADICTED_FROM,
            "polarity_from": checker.POLARITY_FROM,
        },
        "labelled": {"file": args.labelled.name, "sha256": sha256(args.labelled)},
    }
    if args.replies is not None:
        settings["replies"] = {"file": args.replies.name, "sha256": sha256(args.replies)}
        answers = read_answers(args.replies)
    else:
        answers = _sampled(args, settings)
    verdicts = [answer.check(scorer) for answer in answers]
    results = {
        "settings": settings | {"software": software()},
        **right_shares(answers, verdicts),
        "agreement": agreement(labelled, [row.answer.check(scorer) for row in labelled]),
        "readers": readers(labelled),
        "replies": as_rows(answers, verdicts),
    }
    write_text(args.out, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(summary(results))
    print(f"Written: {args.out}")
    return 0


def _sampled(args: argparse.Namespace, settings: dict[str, Any]) -> list[Answer]:
    """Replies of the variants; what determines them is added to ``settings``."""
    from tqdm import tqdm

    page = served(args.adapters)
    variants, tuned = chosen_variants(args.variants, page), chosen_selection(args.selection, page)
    questions = [question for question in read_questions(args.data) if question.labels][: args.limit or None]
    if not questions:
        raise DataError(f"{args.data}: no question that a sentence answers.")
    decoding = Decoding(temperature=args.temperature)
    settings |= describe_models(args.data, variants, tuned)
    settings |= {"decoding": asdict(decoding), "seed": args.seed, "limit": args.limit}
    with opened(page, variants) as responder:
        settings["engine"] = describe_engine(responder.engine)
        answering = replace(responder, settings=tuned.used)
        sampling = sample(questions, variants.names, answering, decoding, args.seed)
        total = len(questions) * len(variants)
        return list(tqdm(sampling, total=total, unit="reply", desc="Plain questions"))
