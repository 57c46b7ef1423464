"""A recipe's three adapters from the data by one call.

Labels both speakers' unlabelled turns, then trains baseline and Stage 1, writes the
preference pairs and aligns, in two rounds where the recipe has two. What is finished
is not done again, and a stopped step goes on where it stopped. ``OUT/adapters`` is a
folder for ``PAL_ADAPTERS``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pal.errors import DataError
from pal.settings import Settings
from pal.training.align import train_preferences
from pal.training.labels import label_files
from pal.training.recipe import Recipe, load_recipe, settled, tasks_of
from pal.training.rejected import pairs_from_data
from pal.training.sft import train_sft


@dataclass(frozen=True)
class Step:
    """One step: its name, as the command line has it, and what does it."""

    name: str
    run: Callable[[], object]


def plan(
    recipe: str,
    data: Path,
    out: Path,
    settings: Settings,
    *,
    dev: Path | None = None,
    compile_layers: bool = False,
) -> list[Step]:
    """The steps of a recipe ("cpu", "gpu" or a YAML file's path), in order."""
    labelled, pairs = out / "data", out / "pairs.jsonl"
    stage1, aligned = out / "stage1" / "adapter", out / "aligned"
    sources = [data / name for name in dialogue_files(recipe)]

    def fine_tune(task: str) -> Step:
        run = partial(train_sft, dev=dev, compile_layers=compile_layers)
        return Step(task, lambda: run(_settled(recipe, task), labelled, out / task))

    steps = [
        Step("label", lambda: _label(sources, labelled)),
        fine_tune("baseline"),
        fine_tune("stage1"),
        Step("pairs", lambda: pairs_from_data(_settled(recipe, "align"), labelled, stage1, pairs, settings)),
        Step("align", lambda: train_preferences(_settled(recipe, "align"), pairs, stage1, aligned)),
    ]
    if "realign" in tasks_of(recipe):

        def realign():
            start = aligned / "adapter"
            train_preferences(
                _settled(recipe, "realign"), pairs, start, out / "realigned", kinds=("parroting",)
            )

        steps.append(Step("realign", realign))
    return steps


def _settled(recipe: str, task: str) -> Recipe:
    return settled(load_recipe(recipe, task))


def _label(sources: list[Path], out: Path) -> None:
    if not all((out / source.name).is_file() for source in sources):  # each appears when it is whole
        label_files(sources, out)


def dialogue_files(recipe: str) -> list[str]:
    """Names of the dialogue files that a recipe's runs name, each once."""
    runs = (load_recipe(recipe, task) for task in ("baseline", "stage1", "align"))
    return list(dict.fromkeys(source.file for run in runs for source in run.data))


def question_files(recipe: str) -> list[str]:
    """Names of the files that question dialogues and plain answers are made from, each once."""
    runs = (load_recipe(recipe, task) for task in ("baseline", "stage1", "align"))
    return list(dict.fromkeys(run.questions_file for run in runs if run.questions_file))


def run_recipe(
    recipe: str,
    data: Path,
    out: Path,
    settings: Settings,
    *,
    dev: Path | None = None,
    compile_layers: bool = False,
) -> Path:
    """Do all steps of a recipe; gives the folder of the three adapters.

    Args:
        recipe: "cpu", "gpu" or a YAML file's path.
        data: folder of the recipe's files.
        out: where everything goes.
        settings: say which engine writes the rejected replies.
        dev: dialogues for the learning curves.
        compile_layers: faster steps; needs a C++ compiler.

    Raises:
        DataError: a data file is missing.
        PalError: a step failed; what was finished stays.
    """
    needed = [*dialogue_files(recipe), *question_files(recipe)]
    if missing := [name for name in needed if not (data / name).is_file()]:
        raise DataError(f"{data} lacks {', '.join(missing)}, which the recipe “{recipe}” names.")
    (out / "data").mkdir(parents=True, exist_ok=True)
    for name in question_files(recipe):
        shutil.copy(data / name, out / "data" / name)
    steps = plan(recipe, data, out, settings, dev=dev, compile_layers=compile_layers)
    for number, step in enumerate(steps, 1):
        print(f"Step {number} of {len(steps)}: {step.name}", flush=True)
        step.run()
    last = "realigned" if steps[-1].name == "realign" else "aligned"
    return _collect(out, {"baseline": "baseline", "stage1": "stage1", "aligned": last})


def _collect(out: Path, runs: dict[str, str]) -> Path:
    """Copy each variant's adapter from its run's folder to one place."""
    adapters = out / "adapters"
    for variant, run in runs.items():
        fresh = adapters / f".{variant}"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(out / run / "adapter", fresh)
        shutil.rmtree(adapters / variant, ignore_errors=True)
        os.rename(fresh, adapters / variant)
    return adapters
