"""``python -m pal train consistency`` and ``train label``.

python -m pal train consistency --data DIR --dev NLI_DEV.jsonl --out runs/consistency
python -m pal train label --data DIR/*.jsonl --agreement DEV.jsonl --out runs/labelled
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_consistency_tasks(tasks, common: Callable[[argparse.ArgumentParser], None]) -> None:
    """The sub-commands; ``common`` adds the arguments that every training has."""
    consistency = tasks.add_parser(
        "consistency", help="the consistency model: does a reply entail a sentence?"
    )
    consistency.add_argument("--data", type=Path, required=True, help="folder of the recipe's data files")
    consistency.add_argument(
        "--dev", type=Path, help="labelled premise/hypothesis rows for the learning curve"
    )
    common(consistency)
    label = tasks.add_parser("label", help="label the turns that have no label, by the consistency model")
    label.add_argument("--data", type=Path, nargs="+", required=True, help="dialogues files")
    label.add_argument(
        "--agreement", type=Path, help="dialogues file whose labels are compared with the model's"
    )
    label.add_argument("--model", type=Path, help="consistency model (default: assets/consistency)")
    label.add_argument(
        "--out", type=Path, required=True, help="folder for the labelled files and labels.json"
    )


def train_consistency(args: argparse.Namespace) -> int:
    """Train and calibrate the consistency model; returns the exit status."""
    import torch

    from pal.models.encoder import fetch_encoder
    from pal.training import consistency, nli
    from pal.training.loop import train
    from pal.training.recipe import load_recipe, settled
    from pal.training.sft import accelerator_for

    overrides = {key: value for key in ("steps", "seed") if (value := getattr(args, key)) is not None}
    recipe = settled(load_recipe(args.recipe, "consistency", overrides))
    training, held_out, hashes = nli.load_examples(recipe, args.data)
    folder = fetch_encoder()
    tokenizer = consistency.pair_tokenizer(folder)
    accelerator = accelerator_for(recipe)
    policy = consistency.ConsistencyPolicy(consistency.load_classifier(folder), recipe)
    task = consistency.ConsistencyTask(training, tokenizer, recipe, accelerator.device)
    measure = None
    if args.dev:
        rows = nli.read_teacher_rows(args.dev)
        development = consistency.ConsistencyTask(rows, tokenizer, recipe, accelerator.device)
        right = torch.tensor([row.target for row in rows]).argmax(-1)

        def measure(trained):
            return consistency.macro_f1(development.logits(trained).argmax(-1), right)

    train(task, policy, recipe, args.out, accelerator, hashes, measure)
    kept = consistency.ConsistencyTask(held_out, tokenizer, recipe, accelerator.device)
    targets = torch.tensor([example.target for example in held_out])
    consistency.calibrate(kept.logits(policy), targets).write(args.out / "adapter" / "calibration.json")
    print(f"Model: {args.out / 'adapter'}; record: {args.out / 'record.json'}")
    return 0


def label(args: argparse.Namespace) -> int:
    """Write the labelled files and ``labels.json``; returns the exit status."""
    import json
    from dataclasses import asdict

    from accelerate import Accelerator
    from tqdm import tqdm

    from pal.dialogue.readers import read_dialogues
    from pal.models.consistency import FOLDER
    from pal.models.encoder import fetch_encoder
    from pal.training.consistency import TrainedScorer
    from pal.training.labels import agreement, label_file

    files = {path: read_dialogues(path) for path in args.data}
    compared = read_dialogues(args.agreement) if args.agreement else []
    model = TrainedScorer(args.model or FOLDER, fetch_encoder(), Accelerator().device)
    report: dict[str, object] = {"files": {}}
    with tqdm(total=sum(map(len, files.values())) + len(compared), unit="dialogue") as bar:
        for path, dialogues in files.items():
            counts = label_file(dialogues, model, args.out / path.name, bar.update)
            report["files"][path.name] = {"dialogues": len(dialogues), **asdict(counts)}
        if compared:
            report["agreement"] = {
                "file": args.agreement.name,
                **asdict(agreement(compared, model, bar.update)),
            }
    (args.out / "labels.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))
    print(f"Labelled files and labels.json: {args.out}")
    return 0
