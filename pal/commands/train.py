"""``python -m pal train …``: the command line of training.

    python -m pal train baseline --data DIR --out runs/baseline
    python -m pal train stage1 --data DIR --out runs/stage1 --dev DEV.jsonl
    python -m pal train stage1 --data DIR --from assets/adapters/stage1 --out runs/further
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

from pal.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands of ``train``."""
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    _sft_arguments(tasks.add_parser("baseline", help="ordinary fine-tuning: persona and history → reply"))
    _sft_arguments(
        tasks.add_parser("stage1", help="Persona-aware Learning: selection and generation together")
    )
    _pairs_arguments(tasks.add_parser("pairs", help="write preference pairs"))
    _align_arguments(
        tasks.add_parser("align", help="Stage 2: DPO from the Stage-1 model on preference pairs")
    )
    _realign_arguments(
        tasks.add_parser("realign", help="a second round from the aligned model, on some kinds of pairs")
    )
    _consistency_arguments(
        tasks.add_parser("consistency", help="the consistency model: does a reply entail a sentence?")
    )
    _label_arguments(
        tasks.add_parser("label", help="label the turns that have no label, by the consistency model")
    )
    _whole_arguments(
        tasks.add_parser("all", help="labels, baseline, stage1, pairs and align, one after the other")
    )


def _sft_arguments(command: argparse.ArgumentParser) -> None:
    _data(command)
    command.add_argument("--dev", type=Path, help="dialogues file for the learning curve")
    command.add_argument(
        "--from", dest="start", type=Path, metavar="ADAPTER", help="adapter folder to go on from"
    )
    command.add_argument(
        "--compile", action="store_true", help="faster steps after a minute; needs a C++ compiler"
    )
    _common(command)


def _pairs_arguments(command: argparse.ArgumentParser) -> None:
    _data(command)
    command.add_argument("--stage1", type=Path, required=True, help="adapter folder of the Stage-1 model")
    _kinds(command, "history, and parroting where the recipe draws for it")
    _common(command)


def _align_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--pairs", type=Path, required=True, help="file of `pal train pairs` or of exported votes"
    )
    command.add_argument(
        "--stage1", type=Path, required=True, help="adapter folder to start from, and reference"
    )
    command.add_argument(
        "--baseline", action="store_true", help="--stage1 names a baseline: no persona turns (an ablation)"
    )
    _kinds(command, "all of the file; history alone is the paper's recipe")
    _common(command)


def _realign_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--pairs", type=Path, required=True, help="file of `pal train pairs`")
    command.add_argument(
        "--aligned", type=Path, required=True, help="adapter folder to start from, and reference"
    )
    _kinds(command, "parroting")
    _common(command)


def _consistency_arguments(command: argparse.ArgumentParser) -> None:
    _data(command)
    command.add_argument("--dev", type=Path, help="labelled premise/hypothesis rows for the learning curve")
    _common(command)


def _label_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, nargs="+", required=True, help="dialogues files")
    command.add_argument(
        "--agreement", type=Path, help="dialogues file whose labels are compared with the model's"
    )
    command.add_argument("--model", type=Path, help="consistency model (default: assets/consistency)")
    command.add_argument(
        "--out", type=Path, required=True, help="folder for the labelled files and labels.json"
    )


def _whole_arguments(command: argparse.ArgumentParser) -> None:
    _data(command)
    command.add_argument("--dev", type=Path, help="dialogues file for the learning curves")
    command.add_argument("--recipe", default="cpu", help="cpu, gpu, or a YAML file (default: cpu)")
    command.add_argument("--compile", action="store_true", help="faster steps; needs a C++ compiler")
    command.add_argument("--out", type=Path, required=True, help="where to write; a stopped run is resumed")


def _data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, help="folder of the recipe's data files")


def _kinds(command: argparse.ArgumentParser, default: str) -> None:
    from pal.training.pairs import KINDS

    command.add_argument(
        "--kinds",
        type=lambda text: text.split(","),
        default=[],
        metavar="KIND,…",
        help=f"kinds of pairs, separated by commas, of {', '.join(KINDS)} (default: {default})",
    )


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--recipe", default="cpu", help="cpu, gpu, or a YAML file (default: cpu)")
    command.add_argument("--out", type=Path, required=True, help="where to write; a stopped run is resumed")
    command.add_argument(
        "--steps", type=int, help="stop after this many optimizer steps (overrides the recipe)"
    )
    command.add_argument("--seed", type=int, help="seed (overrides the recipe)")


def run(args: argparse.Namespace) -> int:
    """Train what ``args.task`` names; returns the exit status."""
    {
        "baseline": _sft,
        "stage1": _sft,
        "pairs": _pairs,
        "align": _align,
        "realign": _realign,
        "consistency": _consistency,
        "label": _label,
        "all": _all,
    }[args.task](args)
    return 0


def _recipe(args: argparse.Namespace):
    from pal.training.recipe import load_recipe, settled

    overrides = {key: value for key in ("steps", "seed") if (value := getattr(args, key)) is not None}
    return settled(load_recipe(args.recipe, "align" if args.task == "pairs" else args.task, overrides))


def _sft(args: argparse.Namespace) -> None:
    from pal.training.sft import train_sft

    recipe = _recipe(args)
    train_sft(recipe, args.data, args.out, dev=args.dev, start=args.start, compile_layers=args.compile)
    _say_where(args.out)


def _pairs(args: argparse.Namespace) -> None:
    from pal.training.pairs import check_kinds
    from pal.training.rejected import pairs_from_data

    settings, kinds = Settings.from_env(os.environ), check_kinds(args.kinds)
    pairs_from_data(_recipe(args), args.data, args.stage1, args.out, settings, kinds)
    print(f"Pairs: {args.out}")


def _align(args: argparse.Namespace) -> None:
    from pal.training.align import train_preferences
    from pal.training.pairs import check_kinds

    recipe, kinds = _recipe(args), check_kinds(args.kinds)
    train_preferences(recipe, args.pairs, args.stage1, args.out, kinds=kinds, selects=not args.baseline)
    _say_where(args.out)


def _realign(args: argparse.Namespace) -> None:
    from pal.training.align import train_preferences
    from pal.training.pairs import check_kinds

    kinds = check_kinds(args.kinds or ["parroting"])
    train_preferences(_recipe(args), args.pairs, args.aligned, args.out, kinds=kinds)
    _say_where(args.out)


def _consistency(args: argparse.Namespace) -> None:
    from pal.training.consistency import train_consistency

    train_consistency(_recipe(args), args.data, args.out, dev=args.dev)
    print(f"Model: {args.out / 'adapter'}; record: {args.out / 'record.json'}")


def _label(args: argparse.Namespace) -> None:
    import json

    from pal.training.labels import label_files

    report = label_files(args.data, args.out, agreement_file=args.agreement, model=args.model)
    print(json.dumps(report, indent=1))
    print(f"Labelled files and labels.json: {args.out}")


def _all(args: argparse.Namespace) -> None:
    from pal.training.pipeline import run_recipe

    settings = Settings.from_env(os.environ)
    adapters = run_recipe(
        args.recipe, args.data, args.out, settings, dev=args.dev, compile_layers=args.compile
    )
    print(f"Adapters: {adapters}; look at them with PAL_ADAPTERS={adapters} python app.py")


def _say_where(out: Path) -> None:
    print(f"Adapter: {out / 'adapter'}; record: {out / 'record.json'}")
