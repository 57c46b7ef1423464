"""Examples of the consistency model: the teacher's rows, entailed pairs, mined hard negatives."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pal.dialogue.readers import read_jsonl
from pal.errors import DataError
from pal.training.contradictions import mine
from pal.training.recipe import Recipe

HELD_OUT = 0.1  # share of premises kept for calibration
# How sure a target is, in the order contradiction, neutral, entailment. Labelled negatives of the
# entailed pairs were not all looked at; mined pairs follow rules that err now and then.
SOFT = {
    "entailed": (0.01, 0.06, 0.93),
    "not entailed": (0.03, 0.95, 0.02),
    "negation": (0.85, 0.13, 0.02),
    "number": (0.85, 0.13, 0.02),
    "value": (0.75, 0.23, 0.02),
    "relative": (0.05, 0.90, 0.05),
    "unrelated": (0.02, 0.97, 0.01),
    "overlap": (0.04, 0.84, 0.12),
    "both negated": (0.03, 0.09, 0.88),
}


@dataclass(frozen=True)
class NliExample:
    """A pair and its target distribution over contradiction, neutral, entailment."""

    premise: str
    hypothesis: str
    target: tuple[float, float, float]


def load_examples(recipe: Recipe, folder: Path) -> tuple[list[NliExample], list[NliExample], dict[str, str]]:
    """Training examples, held-out examples for calibration, SHA-256 per file.

    Files with ``logits`` are the teacher's; files with ``entailed`` are
    persona/response pairs, which also give ``recipe.mined`` pairs of each kind.
    Rows that the teacher holds for contradictions at 0.3 or more come
    ``recipe.contradiction_repeat`` times.

    Raises:
        DataError: a missing or malformed file.
    """
    training: list[NliExample] = []
    held_out: list[NliExample] = []
    hashes = {}
    for source in recipe.data:
        path = folder / source.file
        rows = list(read_jsonl(path))
        hashes[source.file] = hashlib.sha256(path.read_bytes()).hexdigest()
        if "entailed" in rows[0][1]:
            training += _from_pairs(path, rows, source.limit, recipe)
            continue
        for example in _from_teacher(path, rows):
            if _share(example.premise) < HELD_OUT:
                held_out.append(example)
            else:
                often = recipe.contradiction_repeat if example.target[0] >= 0.3 else 1
                training += [example] * often * source.repeat
    if not training or not held_out:
        raise DataError(f"{folder}: the recipe needs a file with teacher logits; check its `data` entries.")
    return training, held_out, hashes


def _share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


def read_teacher_rows(path: Path) -> list[NliExample]:
    """Rows with ``premise``, ``hypothesis`` and the teacher's ``logits``.

    Raises:
        DataError: a missing or malformed file.
    """
    return _from_teacher(path, list(read_jsonl(path)))


def _from_teacher(path: Path, rows: Sequence[tuple[int, dict]]) -> list[NliExample]:
    examples = []
    for number, row in rows:
        try:
            target = torch.tensor([float(value) for value in row["logits"]]).softmax(0).tolist()
            if len(target) != 3:
                raise ValueError(f"{len(target)} logits, not 3")
            examples.append(NliExample(str(row["premise"]), str(row["hypothesis"]), tuple(target)))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}, line {number}: needs premise, hypothesis and 3 logits ({error})."
            ) from None
    return examples


def _from_pairs(path: Path, rows: Sequence[tuple[int, dict]], limit: int, recipe: Recipe) -> list[NliExample]:
    chance = random.Random(f"pairs:{recipe.seed}")
    entailed, examples = [], []
    for number, row in rows:
        try:
            persona, reply, right = row["persona"], row["response"], set(row["entailed"])
            entailed += [(persona[index], reply) for index in sorted(right)]
            others = [sentence for index, sentence in enumerate(persona) if index not in right]
        except (KeyError, TypeError, IndexError) as error:
            raise DataError(
                f"{path}, line {number}: needs persona, response and entailed ({error})."
            ) from None
        if others:
            examples.append(NliExample(chance.choice(others), reply, SOFT["not entailed"]))
    examples += [NliExample(premise, reply, SOFT["entailed"]) for premise, reply in entailed]
    chance.shuffle(examples)
    examples = examples[: limit or None]
    for kind, pairs in mine(entailed, recipe.mined, recipe.seed).items():
        examples += [NliExample(premise, reply, SOFT[kind]) for premise, reply in pairs]
    return examples
