"""``python -m pal train …``: the command line of training.

    python -m pal train baseline --data DIR --out runs/baseline
    python -m pal train stage1   --data DIR --out runs/stage1 --dev DEV.jsonl
    python -m pal train pairs    --data DIR --stage1 runs/stage1/adapter --out runs/pairs.jsonl
    python -m pal train align    --pairs runs/pairs.jsonl --stage1 runs/stage1/adapter --out runs/aligned

Several devices: ``accelerate launch -m pal train …``.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands of ``train``."""
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for task, text in (
        ("baseline", "ordinary fine-tuning: all persona sentences and history → reply"),
        ("stage1", "Persona-aware Learning: selection and generation together"),
    ):
        command = tasks.add_parser(task, help=text)
        command.add_argument("--data", type=Path, required=True, help="folder of the recipe's data files")
        _common(command)


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--recipe", default="cpu", help="cpu, gpu, or a YAML file (default: cpu)")
    command.add_argument("--out", type=Path, required=True, help="folder of the run; resumes what is there")
    command.add_argument("--dev", type=Path, help="dialogues file for the learning curve")
    command.add_argument("--steps", type=int, help="stop after this many optimizer steps (overrides the recipe)")
    command.add_argument("--seed", type=int, help="seed (overrides the recipe)")


def run(args: argparse.Namespace) -> int:
    """Train what ``args.task`` names; returns the exit status."""
    return _sft(args)


def _overrides(args: argparse.Namespace) -> dict[str, object]:
    return {key: value for key in ("steps", "seed") if (value := getattr(args, key)) is not None}


def _sft(args: argparse.Namespace) -> int:
    from pal import checkpoints
    from pal.persona import MAX_SENTENCES
    from pal.prompt import Renderer
    from pal.tokenizer import BaseTokenizer
    from pal.training.development import Development
    from pal.training.loop import train
    from pal.training.policy import Policy, new_adapter
    from pal.training.recipe import load_recipe
    from pal.training.sft import SftTask, accelerator_for, load_examples

    recipe = load_recipe(args.recipe, args.task, _overrides(args))
    examples, hashes = load_examples(recipe, args.data)
    renderer = Renderer(BaseTokenizer(checkpoints.base_tokenizer_path()))
    accelerator = accelerator_for(recipe)
    model = new_adapter(checkpoints.load_base_model(), recipe.rank, recipe.alpha, recipe.dropout, recipe.seed)
    policy = Policy(model, renderer.option_ids(MAX_SENTENCES))
    task = SftTask(examples, renderer, recipe, accelerator.device)
    measure = None
    if args.dev:
        development = Development(args.dev, recipe.dev_dialogues, renderer, selects=task.selects)
        measure = lambda trained: development.measure(trained, accelerator.device)  # noqa: E731
    train(task, policy, recipe, args.out, accelerator, hashes, measure)
    print(f"Adapter: {args.out / 'adapter'}; record: {args.out / 'record.json'}")
    return 0
