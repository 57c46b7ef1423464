"""A recipe's three adapters from the data by one command.

Labels both speakers' unlabelled turns, then trains baseline and Stage 1, writes the
preference pairs and aligns, in two rounds where the recipe has two. What is finished
is not done again, and a stopped step goes on where it stopped. ``OUT/adapters`` is a
folder for ``PAL_ADAPTERS``.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pal.errors import DataError
from pal.training.recipe import load_recipe, tasks_of

Run = Callable[[list[str]], int]
"""Runs ``python -m pal`` with these arguments and returns its exit status."""


def steps(data: Path, recipe: str, out: Path, extra: list[str]) -> list[list[str]]:
    """The commands of a recipe, in order. ``extra`` goes to baseline and Stage 1."""
    labelled, common = str(out / "data"), ["--recipe", recipe]
    stage1, pairs = str(out / "stage1" / "adapter"), str(out / "pairs.jsonl")
    aligned = str(out / "aligned" / "adapter")
    again = ["train", "realign", "--pairs", pairs, *common, "--aligned", aligned]
    sources = [str(data / name) for name in dialogue_files(recipe)]
    sft = [
        ["train", task, "--data", labelled, *common, "--out", str(out / task), *extra]
        for task in ("baseline", "stage1")
    ]
    return [
        ["train", "label", "--data", *sources, "--out", labelled],
        *sft,
        ["train", "pairs", "--data", labelled, *common, "--stage1", stage1, "--out", pairs],
        ["train", "align", "--pairs", pairs, *common, "--stage1", stage1, "--out", str(out / "aligned")],
        *([[*again, "--out", str(out / "realigned")]] if "realign" in tasks_of(recipe) else []),
    ]


def dialogue_files(recipe: str) -> list[str]:
    """Names of the dialogue files that a recipe's runs name, each once."""
    runs = (load_recipe(recipe, task) for task in ("baseline", "stage1", "align"))
    return list(dict.fromkeys(source.file for run in runs for source in run.data))


def run(args: argparse.Namespace, command: Run) -> int:
    """Run the steps; the first exit status that is not 0, else 0.

    Raises:
        DataError: a data file is missing.
    """
    extra = ["--dev", str(args.dev)] if args.dev else []
    extra += ["--compile"] if args.compile else []
    questions = {
        name for task in ("baseline", "stage1") if (name := load_recipe(args.recipe, task).questions_file)
    }
    needed = [*dialogue_files(args.recipe), *sorted(questions)]
    if missing := [name for name in needed if not (args.data / name).is_file()]:
        raise DataError(f"{args.data} lacks {', '.join(missing)}, which the recipe “{args.recipe}” names.")
    (args.out / "data").mkdir(parents=True, exist_ok=True)
    for name in questions:
        shutil.copy(args.data / name, args.out / "data" / name)
    todo = steps(args.data, args.recipe, args.out, extra)
    for number, step in enumerate(todo, 1):
        print(f"Step {number} of {len(todo)}: {step[1]}", flush=True)
        if step[1] == "label" and _labelled(args):
            continue
        if status := command(step):
            return status
    adapters = args.out / "adapters"
    for variant, made in zip(("baseline", "stage1", "aligned"), (*todo[1:3], todo[-1]), strict=True):
        fresh = adapters / f".{variant}"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(Path(made[made.index("--out") + 1]) / "adapter", fresh)
        shutil.rmtree(adapters / variant, ignore_errors=True)
        os.rename(fresh, adapters / variant)
    print(f"Adapters: {adapters}; look at them with PAL_ADAPTERS={adapters} python app.py")
    return 0


def _labelled(args: argparse.Namespace) -> bool:
    """Every file is there: each appears when it is whole."""
    return all((args.out / "data" / name).is_file() for name in dialogue_files(args.recipe))
