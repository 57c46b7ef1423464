"""``python -m pal train …``: the command line of training.

    python -m pal train baseline --data DIR --out runs/baseline
    python -m pal train stage1 --data DIR --out runs/stage1 --dev DEV.jsonl
    python -m pal train pairs --data DIR --stage1 runs/stage1/adapter --out runs/pairs.jsonl
    python -m pal train align --pairs runs/pairs.jsonl --stage1 runs/stage1/adapter --out runs/aligned
    python -m pal train realign --pairs runs/pairs.jsonl --aligned runs/aligned/adapter --out runs/realigned
    python -m pal train all --data DIR --recipe cpu --out runs/cpu
    python -m pal train consistency --data DIR --out runs/consistency
    python -m pal train label --data DIR/*.jsonl --agreement DEV.jsonl --out runs/labelled

Several devices: ``accelerate launch -m pal train …``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pal.commands.train_consistency import add_consistency_tasks, label, train_consistency
from pal.errors import DataError
from pal.settings import Settings
from pal.training import pipeline
from pal.training.recipe import load_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands of ``train``."""
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for task, text in (
        ("baseline", "ordinary fine-tuning: all persona sentences and history → reply"),
        ("stage1", "Persona-aware Learning: selection and generation together"),
    ):
        command = tasks.add_parser(task, help=text)
        command.add_argument("--data", type=Path, required=True, help="folder of the recipe's data files")
        command.add_argument("--dev", type=Path, help="dialogues file for the learning curve")
        command.add_argument(
            "--compile", action="store_true", help="faster steps after a minute; needs a C++ compiler"
        )
        _common(command)
    pairs = tasks.add_parser(
        "pairs", help="write preference pairs: Stage 1's history-only replies are rejected"
    )
    pairs.add_argument("--data", type=Path, required=True, help="folder of the recipe's data files")
    pairs.add_argument("--stage1", type=Path, required=True, help="adapter folder of the Stage-1 model")
    _common(pairs)
    align = tasks.add_parser("align", help="Stage 2: DPO from the Stage-1 model on preference pairs")
    align.add_argument(
        "--pairs", type=Path, required=True, help="file of `pal train pairs` or of exported votes"
    )
    align.add_argument(
        "--stage1", type=Path, required=True, help="adapter folder to start from, and reference"
    )
    align.add_argument(
        "--baseline", action="store_true", help="--stage1 names a baseline: no persona turns (an ablation)"
    )
    _common(align)
    realign = tasks.add_parser(
        "realign", help="a second round from the aligned model, on the pairs against reciting replies alone"
    )
    realign.add_argument("--pairs", type=Path, required=True, help="file of `pal train pairs`")
    realign.add_argument(
        "--aligned", type=Path, required=True, help="adapter folder to start from, and reference"
    )
    _common(realign)
    add_consistency_tasks(tasks, _common)
    whole = tasks.add_parser("all", help="labels, baseline, stage1, pairs and align, one after the other")
    _whole_arguments(whole)


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--recipe", default="cpu", help="cpu, gpu, or a YAML file (default: cpu)")
    command.add_argument("--out", type=Path, required=True, help="where to write; a stopped run is resumed")
    command.add_argument(
        "--steps", type=int, help="stop after this many optimizer steps (overrides the recipe)"
    )
    command.add_argument("--seed", type=int, help="seed (overrides the recipe)")


def run(args: argparse.Namespace) -> int:
    """Train what ``args.task`` names; returns the exit status."""
    return {
        "pairs": _pairs,
        "align": _align,
        "realign": _realign,
        "consistency": train_consistency,
        "label": label,
        "all": _all,
    }.get(args.task, _sft)(args)


def _all(args: argparse.Namespace) -> int:
    from pal.commands.main import main

    return pipeline.run(args, main)


def _recipe(args: argparse.Namespace):
    from pal.training.recipe import settled

    overrides = {key: value for key in ("steps", "seed") if (value := getattr(args, key)) is not None}
    return settled(load_recipe(args.recipe, "align" if args.task == "pairs" else args.task, overrides))


def _renderer():
    from pal.dialogue.prompt import BaseTokenizer, Renderer
    from pal.models import bases

    return Renderer(BaseTokenizer(bases.base_tokenizer_path()))


def _sft(args: argparse.Namespace) -> int:
    from pal.dialogue.persona import MAX_SENTENCES
    from pal.models import bases
    from pal.training.loop import train
    from pal.training.policy import Policy, new_adapter
    from pal.training.sft import Development, SftTask, accelerator_for, load_examples

    recipe = _recipe(args)
    examples, hashes = load_examples(recipe, args.data)
    renderer = _renderer()
    development = None
    if args.dev:
        selects = recipe.task == "stage1"
        development = Development(args.dev, recipe.dev_dialogues, renderer, selects=selects)
        if development.size < recipe.dev_dialogues:
            print(
                f"{args.dev}: {development.size} dialogues for the learning curve, "
                f"fewer than the recipe's dev_dialogues ({recipe.dev_dialogues})."
            )
    accelerator = accelerator_for(recipe)
    model = new_adapter(bases.load_base_model(), recipe.rank, recipe.alpha, recipe.dropout, recipe.seed)
    policy = Policy(model, renderer.option_ids(MAX_SENTENCES))
    if args.compile:
        policy.compile_layers()
    task = SftTask(examples, renderer, recipe, accelerator.device)
    measure = None
    if development:

        def measure(trained):
            return development.measure(trained, accelerator.device)

    train(task, policy, recipe, args.out, accelerator, hashes, measure)
    print(f"Adapter: {args.out / 'adapter'}; record: {args.out / 'record.json'}")
    return 0


def _pairs(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from pal import engines
    from pal.training.pairs import generate_rejected, prompts, write_pair
    from pal.training.sft import load_examples

    recipe = _recipe(args)
    examples, _ = load_examples(recipe, args.data)
    seed = recipe.seed
    draws = {"history": 1, "parroting": recipe.parroting_draws}
    asked = {
        kind: [
            pair
            for example in examples
            for pair in prompts(example, seed, persona_bearing_only=True, kind=kind)
        ]
        for kind in draws
        if draws[kind]
    }
    done = _finished(args.out, {pair.id for pairs in asked.values() for pair in pairs})
    missing = {kind: [pair for pair in pairs if pair.id not in done] for kind, pairs in asked.items()}
    engine = engines.open(Settings.from_env(os.environ), {"stage1": args.stage1})
    args.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with args.out.open("a", encoding="utf-8") as file:
            for kind, pairs in missing.items():
                made = generate_rejected(pairs, kind, engine, "stage1", _renderer(), seed, draws[kind])
                for pair in tqdm(made, total=len(pairs), desc=kind, unit="pair"):
                    if pair:
                        file.write(write_pair(pair))
                        file.flush()
    finally:
        engine.close()
    print(f"Pairs: {args.out}")
    return 0


def _finished(path: Path, asked: set[str]) -> set[str]:
    """Ids that an earlier, stopped run has written; a half-written last line is removed."""
    from pal.training.pairs import read_pairs

    if not path.exists():
        return set()
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
    if not path.read_text(encoding="utf-8"):
        return set()
    found = {pair.id for pair in read_pairs(path)}
    if strangers := found - asked:
        raise DataError(f"{path} holds pairs of other data ({sorted(strangers)[0]}): give another --out.")
    return found


def _align(args: argparse.Namespace) -> int:
    return _prefer(args, args.stage1, "", selects=not args.baseline)


def _realign(args: argparse.Namespace) -> int:
    return _prefer(args, args.aligned, "parroting", selects=True)


def _prefer(args: argparse.Namespace, start: Path, kind: str, *, selects: bool) -> int:
    """DPO from the adapter ``start`` on the pairs of a kind ("": all)."""
    import hashlib

    from pal.dialogue.persona import MAX_SENTENCES
    from pal.models import bases
    from pal.training.align import AlignTask, prepare_reference, reference_key
    from pal.training.loop import train
    from pal.training.pairs import of_kind, read_pairs
    from pal.training.policy import Policy, load_adapter
    from pal.training.sft import accelerator_for

    recipe = _recipe(args)
    pairs = read_pairs(args.pairs)
    if kind and not (pairs := of_kind(pairs, kind)):
        raise DataError(f"{args.pairs} holds no pair against a {kind} reply; there is nothing to train.")
    hashes = {args.pairs.name: hashlib.sha256(args.pairs.read_bytes()).hexdigest()}
    renderer = _renderer()
    accelerator = accelerator_for(recipe)
    task = AlignTask(pairs, renderer, recipe, accelerator.device, selects=selects)
    model = load_adapter(bases.load_base_model(), start, trainable=True)
    policy = Policy(model, renderer.option_ids(MAX_SENTENCES))
    key = reference_key(hashes[args.pairs.name] + kind, start, selects=selects, precision=recipe.precision)
    prepare_reference(task, policy, accelerator, args.out, key)
    train(task, policy, recipe, args.out, accelerator, {**hashes, "reference": key})
    print(f"Adapter: {args.out / 'adapter'}; record: {args.out / 'record.json'}")
    return 0


def _whole_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of ``train all``."""
    command.add_argument("--data", type=Path, required=True, help="folder of the recipe's data files")
    command.add_argument("--dev", type=Path, help="dialogues file for the learning curves")
    command.add_argument("--recipe", default="cpu", help="cpu, gpu, or a YAML file (default: cpu)")
    command.add_argument("--compile", action="store_true", help="faster steps; needs a C++ compiler")
    command.add_argument("--out", type=Path, required=True, help="where to write; a stopped run is resumed")
