"""The one training loop: steps, accumulation, schedule, records, resume.

A run is a pure function of recipe, data and seed: batch s is computed from s
alone, so a killed run that resumes from its last saved step ends exactly like
an unbroken one.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import platform
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
import yaml
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from pal.errors import RecipeError
from pal.files import write_text
from pal.training.recipe import Recipe, build_recipe


class Task(Protocol):
    """What is trained: a number of items and the loss of some of them."""

    size: int

    def micro_batches(self, items: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """Items (epoch, index) grouped into forward passes."""

    def counts(self, items: Sequence[tuple[int, int]]) -> dict[str, int]:
        """Denominator of each loss term over a whole batch."""

    def losses(self, policy: torch.nn.Module, items: Sequence[tuple[int, int]]) -> dict[str, torch.Tensor]:
        """Summed loss of each term; detached extras start with ``_``."""

    weights: dict[str, float]


def total_steps(recipe: Recipe, size: int) -> int:
    """Optimizer steps of the run; the last batch may be smaller, none is dropped."""
    return recipe.steps or math.ceil(size * recipe.epochs / recipe.batch)


def batch_items(recipe: Recipe, size: int, step: int) -> list[tuple[int, int]]:
    """The (epoch, index) pairs of a step: seeded permutations, epoch after epoch."""
    last = recipe.steps * recipe.batch if recipe.steps else math.ceil(size * recipe.epochs)
    items = []
    for place in range(step * recipe.batch, min((step + 1) * recipe.batch, last)):
        epoch, index = divmod(place, size)
        items.append((epoch, _permutation(size, recipe.seed, epoch)[index]))
    return items


@functools.lru_cache(maxsize=2)
def _permutation(size: int, seed: int, epoch: int) -> tuple[int, ...]:
    order = list(range(size))
    random.Random(f"order:{seed}:{epoch}").shuffle(order)
    return tuple(order)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to ``final_learning_rate`` of the peak.

    From each of the recipe's ``restarts`` on the same again.
    """
    edges = [0, *(edge for edge in recipe.restarts if edge < steps), steps]
    begin, end = next((a, b) for a, b in itertools.pairwise(edges) if step < b)
    step, steps = step - begin, end - begin
    warm = min(recipe.warmup_steps, steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    floor = recipe.final_learning_rate
    return recipe.learning_rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


def train(
    task: Task,
    policy: torch.nn.Module,
    recipe: Recipe,
    out: Path,
    accelerator: Accelerator,
    hashes: dict[str, str],
    measure: Callable[[torch.nn.Module], dict[str, float]] | None = None,
) -> list[dict]:
    """Train ``policy`` in place; returns the loss curve, one record a step.

    ``measure`` reads development figures every ``recipe.dev_steps`` steps and
    at the end; they join the curve.

    Everything goes to ``out``: ``adapter/`` (PEFT), ``record.json`` (resolved
    recipe, data hashes, curve, duration, hardware) and ``state/`` (to resume).

    Raises:
        RecipeError: ``out`` holds a run of another recipe or other data.
    """
    steps = total_steps(recipe, task.size)
    trainable = [value for value in policy.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    policy, optimizer = accelerator.prepare(policy, optimizer)
    run = _Run(out, recipe, hashes, steps, accelerator)
    start, curve, spent = run.resume(accelerator.unwrap_model(policy), optimizer)
    begun = time.monotonic()
    bar = tqdm(total=steps, initial=start, unit="step", disable=not accelerator.is_main_process)
    policy.train()
    for step in range(start, steps):
        record = _step(task, policy, optimizer, recipe, step, steps, accelerator)
        if measure and ((step + 1) % recipe.dev_steps == 0 or step + 1 == steps):
            record |= measure(accelerator.unwrap_model(policy))
            tqdm.write(
                f"step {step + 1}: " + ", ".join(f"{k} {v:.4g}" for k, v in record.items() if k != "step")
            )
        curve.append(record)
        bar.update()
        bar.set_postfix({key: f"{value:.3f}" for key, value in record.items() if key not in ("step", "lr")})
        if (step + 1) % recipe.save_steps == 0 or step + 1 == steps:
            elapsed = spent + time.monotonic() - begun
            run.save(accelerator.unwrap_model(policy), optimizer, step + 1, curve, elapsed)
    bar.close()
    return curve


def _step(task, policy, optimizer, recipe, step, steps, accelerator) -> dict:
    items = batch_items(recipe, task.size, step)
    counts = task.counts(items)
    torch.manual_seed(hash((recipe.seed, step)) % 2**31)
    mine = items[accelerator.process_index :: accelerator.num_processes]
    # A process without a share makes a pass of no weight: processes average gradients, each must give some.
    share = 1.0 if mine else 0.0
    sums = dict.fromkeys(counts, 0.0)
    groups = task.micro_batches(mine or items[:1])
    for number, group in enumerate(groups):
        losses = task.losses(policy, group)
        # counts are of the whole batch and processes average their gradients
        scaled = [
            task.weights[name] * losses[name] / max(1, counts[name]) for name in counts if task.weights[name]
        ]
        loss = share * sum(scaled) * accelerator.num_processes
        if number + 1 < len(groups):
            with accelerator.no_sync(policy):
                accelerator.backward(loss)
        else:
            accelerator.backward(loss)
        for name in counts:
            sums[name] += share * float(losses[name].detach())
    accelerator.clip_grad_norm_([p for p in policy.parameters() if p.requires_grad], recipe.clip)
    rate = learning_rate(recipe, step, steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    names = list(counts)
    reduced = accelerator.reduce(torch.tensor([sums[name] for name in names], device=accelerator.device))
    means = {name: float(value) / max(1, counts[name]) for name, value in zip(names, reduced, strict=True)}
    return {"step": step + 1, "lr": rate, **means}


class _Run:
    """A run's folder."""

    def __init__(
        self, out: Path, recipe: Recipe, hashes: dict[str, str], steps: int, accelerator: Accelerator
    ):
        self.out, self.recipe, self.hashes, self.steps, self.accelerator = (
            out,
            recipe,
            hashes,
            steps,
            accelerator,
        )

    def resume(self, policy, optimizer) -> tuple[int, list[dict], float]:
        """(next step, curve so far, seconds so far); restores weights and optimizer."""
        pointer = self.out / "state" / "state.json"
        if not pointer.exists():
            return 0, [], 0.0
        saved = json.loads(pointer.read_text())
        if not self._continues(saved):
            raise RecipeError(
                f"{self.out} holds a run with another recipe or other data: resume it with those, "
                "or give another --out, or delete the folder."
            )
        state = pointer.parent / saved.get("folder", ".")  # runs of old have it beside the file
        weights = load_file(state / "weights.safetensors")
        missing = policy.load_state_dict(weights, strict=False).unexpected_keys
        if missing:
            raise RecipeError(
                f"{state} does not fit this model ({missing[0]}): delete the folder to start anew."
            )
        optimizer.load_state_dict(torch.load(state / "optimizer.pt", weights_only=True))
        return saved["step"], saved["curve"], saved["seconds"]

    def _continues(self, saved: dict) -> bool:
        """Same data, same settings; one that the saved recipe lacks has its default."""
        try:
            recipe = build_recipe(yaml.safe_load(saved["recipe"]), str(self.out))
        except RecipeError:
            return False
        return recipe == self.recipe and saved["data"] == self.hashes

    def save(self, policy, optimizer, step: int, curve: list[dict], seconds: float) -> None:
        """Write adapter, record and, last, the state: a run that is killed before that
        goes on from the state before, and writes them again."""
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        save_adapter(policy.model, self.out / "adapter", policy.base_name)
        record = {
            "recipe": self.recipe.resolved(),
            "data_sha256": self.hashes,
            "steps": self.steps,
            "finished_steps": step,
            "seconds": round(seconds, 1),
            "hardware": hardware(self.accelerator),
            "curve": curve,
        }
        write_text(self.out / "record.json", json.dumps(record, indent=1) + "\n")
        self._save_state(policy, optimizer, {"step": step, "curve": curve, "seconds": seconds})

    def _save_state(self, policy, optimizer, progress: dict) -> None:
        """A folder for each step; ``state.json`` names the one that counts, and changes at once."""
        states = self.out / "state"
        fresh = states / f"step-{progress['step']}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        weights = {
            name: value.detach().cpu().contiguous()
            for name, value in policy.named_parameters()
            if value.requires_grad
        }
        save_file(weights, fresh / "weights.safetensors")
        torch.save(optimizer.state_dict(), fresh / "optimizer.pt")
        state = {"recipe": self.recipe.resolved(), "data": self.hashes, **progress, "folder": fresh.name}
        write_text(states / "state.json", json.dumps(state))
        for other in set(states.iterdir()) - {fresh, states / "state.json"}:
            shutil.rmtree(other) if other.is_dir() else other.unlink()


def _replace_folder(fresh: Path, place: Path) -> None:
    old = place.with_name(place.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.rename(place, old)
    os.rename(fresh, place)
    shutil.rmtree(old, ignore_errors=True)


def save_adapter(model, folder: Path, base_name: str) -> None:
    """The active adapter in PEFT's layout, weights in fp16 (half the size; the
    rounding is far below an update), base named by its Hub id ``base_name``."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    model.save_pretrained(fresh)
    weights = load_file(fresh / "adapter_model.safetensors")
    half = {name: value.half().contiguous() for name, value in weights.items()}
    save_file(half, fresh / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((fresh / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base_name
    (fresh / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (fresh / "README.md").unlink(missing_ok=True)
    _replace_folder(fresh, folder)


def accelerator_for(recipe: Recipe) -> Accelerator:
    """One process, or as many as ``accelerate launch`` started."""
    return Accelerator(
        mixed_precision="bf16" if recipe.precision == "bf16" else "no", cpu=not torch.cuda.is_available()
    )


def hardware(accelerator: Accelerator) -> dict[str, object]:
    """What the run was done on."""
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
