"""Choose the selection settings that the page uses.

python -m pal tune --data dialogues_dev.jsonl --out assets/selection.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pal.chat.selection import report_path, write_selection
from pal.dialogue.readers import read_dialogues
from pal.errors import DataError
from pal.evaluation.contenders import chosen_variants, opened, served, weights_hash
from pal.evaluation.questions import TUNING, ask, read_questions
from pal.evaluation.tune import OBJECTIVE, tune
from pal.evaluation.turns import choose_turns
from pal.evaluation.walk import Walk, WalkedTurn, WalkSettings
from pal.files import sha256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal tune``."""
    parser.add_argument(
        "--data", type=Path, required=True, help="labelled dialogues; one in five is looked at"
    )
    parser.add_argument("--out", type=Path, help="default: what is served (PAL_SELECTION)")
    parser.add_argument(
        "--questions", type=Path, default=TUNING, help="default: assets/plain_questions_tune.jsonl"
    )
    parser.add_argument(
        "--limit", type=int, default=0, help="labelled turns; 0 (default) takes the whole tune part"
    )
    parser.add_argument("--variants", help="default: all that are served and select")
    parser.add_argument(
        "--adapters", type=Path, help="folder of the adapters; default: what is served (PAL_ADAPTERS)"
    )


def run(args: argparse.Namespace) -> int:
    """Choose settings for each variant and write them; 0 when done.

    Raises:
        DataError: data, questions or variants cannot be used.
        CheckpointError: a model is missing.
        EngineError: a variant failed.
    """
    from tqdm import tqdm

    settings = served(args.adapters)
    out = args.out or settings.selection
    variants = chosen_variants(args.variants, settings, selecting=True)
    choice = choose_turns(read_dialogues(args.data), args.limit, part="tune")
    if not choice.labelled:
        raise DataError(f"{args.data}: no labelled turn; selection settings are tuned on labels.")
    questions = read_questions(args.questions)
    dialogue_turns: list[tuple[tuple[int, ...], WalkedTurn]] = []
    with opened(settings, variants) as responder:
        walk = Walk(responder, WalkSettings(variants.names, generate=False))
        for dialogue in tqdm(choice.dialogues, unit="dialogue", desc="Selections"):
            walked = walk.dialogue(dialogue)
            dialogue_turns += [(dialogue.turns[place].labels, walked[place]) for place in dialogue.measured]
        answers = ask(questions, variants.names, responder)
    question_turns = [(item.labels, turn) for item, turn in zip(questions, answers, strict=True)]
    tuned, chosen = tune(variants.names, dialogue_turns, question_turns)
    material = {
        "data": {"file": args.data.name, "sha256": sha256(args.data), "turns": len(dialogue_turns)},
        "questions": {"file": args.questions.name, "sha256": sha256(args.questions), "count": len(questions)},
        "adapters": {variant.name: weights_hash(variant) for variant in variants},
    }
    write_selection(
        out,
        tuned,
        {"objective": OBJECTIVE, "chosen": chosen, **material},
    )
    for variant, candidates in chosen.items():
        for name, values in candidates.items():
            shown = ", ".join(f"{key} {value:.3f}" for key, value in values.items() if key != "settings")
            print(f"{variant} {name}: {values['settings']}: {shown}")
    print(f"Written: {out}, {report_path(out)}")
    return 0
