"""Supervised fine-tuning: the baseline, and Stage 1's two tasks at once.

The two tasks are weighted as two tasks: the reply loss is a mean over reply
tokens, the selection loss a mean over selections, and neither dilutes the other.
The learning curve on development dialogues is teacher-forced: history, earlier
selections and replies are the gold ones, so its figures are cheaper and rosier than
``pal evaluate``'s; they compare steps of one run, nothing else.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pal.chat.selection import choose
from pal.dialogue.persona import MAX_SENTENCES
from pal.dialogue.prompt import Renderer, TrainingSequence
from pal.dialogue.readers import read_dialogues
from pal.errors import DataError
from pal.evaluation.selection_metrics import SelectionMetrics, outcome
from pal.files import sha256
from pal.models import bases
from pal.training.examples import Example, from_dialogue, mistaken, shuffled, without_parroting
from pal.training.loop import accelerator_for, train
from pal.training.losses import reply_loss, selection_loss
from pal.training.policy import (
    Policy,
    collate,
    load_adapter,
    new_adapter,
    trained_selections,
)
from pal.training.question_dialogues import plain_answer_examples, question_examples
from pal.training.recipe import Recipe

_SEED = 7


class SftTask:
    """Dialogues as whole sequences; ``selects=False`` is the baseline."""

    def __init__(self, examples: Sequence[Example], renderer: Renderer, recipe: Recipe, device: torch.device):
        self.selects = recipe.task == "stage1"
        self.size = len(examples)
        self.weights = {"reply": 1.0, "selection": recipe.selection_weight}
        self._examples, self._renderer, self._recipe, self._device = examples, renderer, recipe, device

    def sequence(self, item: tuple[int, int]) -> TrainingSequence:
        """The sequence of (epoch, index); sentence order is new each epoch."""
        epoch, index = item
        seed = self._recipe.seed * 1000 + epoch
        example = shuffled(self._examples[index], seed)
        if self.selects:
            example = mistaken(example, self._recipe.mistaken_selections, seed)
        return self._renderer.training_sequence(
            example.sentences,
            example.exchanges,
            example.labels,
            untrained=example.untrained,
            selects=self.selects,
            budget=self._recipe.max_tokens,
        )

    def micro_batches(self, items: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """Items of similar length together, up to the recipe's padded tokens."""
        sized = sorted((len(self.sequence(item).ids), item) for item in items)
        groups: list[list[tuple[int, int]]] = []
        for length, item in sized:
            if groups and (len(groups[-1]) + 1) * length <= self._recipe.micro_batch_tokens:
                groups[-1].append(item)
            else:
                groups.append([item])
        return groups

    def counts(self, items: Sequence[tuple[int, int]]) -> dict[str, int]:
        """Reply tokens and trained selections of a batch."""
        replies = selections = 0
        for item in items:
            sequence = self.sequence(item)
            replies += sum(span.end - span.start for span in sequence.replies)
            selections += len(trained_selections(sequence, self._examples[item[1]].exhaustive))
        return {"reply": replies, "selection": selections} if self.selects else {"reply": replies}

    def losses(self, policy: torch.nn.Module, items: Sequence[tuple[int, int]]) -> dict[str, torch.Tensor]:
        """Summed reply loss and, for Stage 1, summed selection loss, in nats."""
        sequences = [self.sequence(item) for item in items]
        exhaustive = [self._examples[index].exhaustive for _, index in items]
        batch = collate(sequences, exhaustive, self._renderer.end_id).to(self._device)
        replies, selections = policy(batch)
        losses = {"reply": reply_loss(replies, batch.targets)}
        if self.selects:
            losses["selection"] = selection_loss(selections, batch.allowed, batch.right)
        return losses


def load_examples(recipe: Recipe, folder: Path) -> tuple[list[Example], dict[str, str]]:
    """Examples of a recipe's data and the SHA-256 of each file.

    Raises:
        DataError: a missing or malformed file, or no example at all.
    """
    examples: list[Example] = []
    hashes: dict[str, str] = {}
    for source in recipe.data:
        path = folder / source.file
        dialogues = read_dialogues(path)
        hashes[source.file] = sha256(path)
        if source.limit:
            dialogues = dialogues[: source.limit]
        made = [
            from_dialogue(dialogue, speaker, exhaustive=source.exhaustive)
            for dialogue in dialogues
            for speaker in source.speakers
        ]
        examples += [example for example in made if example is not None] * source.repeat
    if recipe.questions:
        path = folder / recipe.questions_file
        examples += question_examples(path, recipe.questions, recipe.seed)
        hashes[recipe.questions_file] = sha256(path)
    if recipe.plain_answers:
        path = folder / recipe.questions_file
        examples += plain_answer_examples(path, recipe.plain_answers, recipe.seed)
        hashes[recipe.questions_file] = sha256(path)
    if recipe.skip_parroting:
        examples = [without_parroting(example) for example in examples]
    if not examples:
        raise DataError(f"{folder}: the recipe names no data with a persona; check its `data` entries.")
    return examples, hashes


class Development:
    """Measures a policy on ``dialogues`` seeded dialogues of a file, or on all when it has fewer.

    ``size`` dialogues are measured.

    Raises:
        DataError: the file cannot be read, or speaker B has a persona in none of them.
    """

    def __init__(self, path: Path, dialogues: int, renderer: Renderer, *, selects: bool):
        given = read_dialogues(path)
        chosen = random.Random(_SEED).sample(given, min(dialogues, len(given)))
        examples = [from_dialogue(dialogue) for dialogue in chosen]
        self._sequences = [
            renderer.training_sequence(example.sentences, example.exchanges, example.labels, selects=selects)
            for example in examples
            if example is not None
        ]
        self.size = len(self._sequences)
        if not self.size:
            raise DataError(f"{path}: speaker B has no persona in it, so it gives no learning curve.")
        self._pad = renderer.end_id

    @torch.no_grad()
    def measure(self, policy: torch.nn.Module, device: torch.device) -> dict[str, float]:
        """Perplexity of the replies and, with labels, accuracy, hit@1, AUC, best F1."""
        training = policy.training
        policy.eval()
        outcomes, nats, tokens = [], 0.0, 0
        for sequence in self._sequences:
            batch = collate([sequence], [True], self._pad).to(device)
            replies, selections = policy(batch)
            nats += float(reply_loss(replies, batch.targets))
            tokens += len(batch.targets)
            rows = selections.float().masked_fill(~batch.allowed, float("-inf")).softmax(-1).cpu()
            for row, allowed, right in zip(rows, batch.allowed.cpu(), batch.right.cpu(), strict=True):
                labels = [option - 1 for option in np.flatnonzero(right.numpy()) if option > 0]
                probabilities = row[: int(allowed.sum())].tolist()
                outcomes.append(outcome(labels, choose(probabilities).selected, probabilities))
        policy.train(training)
        figures = {"dev_perplexity": float(np.exp(nats / max(1, tokens)))}
        if outcomes:
            metrics, ones = SelectionMetrics(outcomes), np.ones(len(outcomes))
            for name in ("accuracy", "hit_at_1", "auc", "best_f1"):
                figures[f"dev_{name}"] = getattr(metrics, name)(ones)
        return figures


def train_sft(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    dev: Path | None = None,
    start: Path | None = None,
    compile_layers: bool = False,
) -> None:
    """Train the baseline or Stage 1 into ``out``, or go on with a run that stopped there.

    Args:
        data: folder of the recipe's files.
        dev: dialogues for the learning curve.
        start: adapter folder to go on from, instead of a new adapter; its rank holds.
        compile_layers: see ``Policy.compile_layers``.

    Raises:
        DataError: data, development dialogues or adapter cannot be used.
        RecipeError: ``out`` holds another run.
    """
    examples, hashes = load_examples(recipe, data)
    renderer = bases.open_renderer()
    development = _development(dev, recipe, renderer) if dev else None
    if start:
        model = load_adapter(bases.load_base_model(), start, trainable=True)
        hashes["start"] = sha256(start / "adapter_model.safetensors")
        config = model.peft_config["default"]
        recipe = dataclasses.replace(recipe, rank=config.r, alpha=config.lora_alpha)
    else:
        model = new_adapter(bases.load_base_model(), recipe.rank, recipe.alpha, recipe.dropout, recipe.seed)
    policy = Policy(model, renderer.option_ids(MAX_SENTENCES))
    if compile_layers:
        policy.compile_layers()
    accelerator = accelerator_for(recipe)
    task = SftTask(examples, renderer, recipe, accelerator.device)
    measure = (lambda trained: development.measure(trained, accelerator.device)) if development else None
    train(task, policy, recipe, out, accelerator, hashes, measure)


def _development(path: Path, recipe: Recipe, renderer: Renderer) -> Development:
    development = Development(path, recipe.dev_dialogues, renderer, selects=recipe.task == "stage1")
    if development.size < recipe.dev_dialogues:
        print(
            f"{path}: {development.size} dialogues for the learning curve, "
            f"fewer than the recipe's dev_dialogues ({recipe.dev_dialogues})."
        )
    return development
