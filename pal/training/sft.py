"""Supervised fine-tuning: the baseline, and Stage 1's two tasks at once.

The two tasks are weighted as two tasks: the reply loss is a mean over reply
tokens, the selection loss a mean over selections, and neither dilutes the other.
The learning curve on development dialogues is teacher-forced: history, earlier
selections and replies are the gold ones, so its figures are cheaper and rosier than
``pal evaluate``'s; they compare steps of one run, nothing else.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from pal.chat.selection import choose
from pal.dialogue.prompt import Renderer, TrainingSequence
from pal.dialogue.readers import read_dialogues
from pal.errors import DataError
from pal.evaluation.selection_metrics import SelectionMetrics, outcome
from pal.training.examples import Example, from_dialogue, mistaken, shuffled, without_parroting
from pal.training.losses import reply_loss, selection_loss
from pal.training.policy import collate, trained_selections
from pal.training.questions import question_examples
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
        hashes[source.file] = _sha256(path)
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
        hashes[recipe.questions_file] = _sha256(path)
    if recipe.skip_parroting:
        examples = [without_parroting(example) for example in examples]
    if not examples:
        raise DataError(f"{folder}: the recipe names no data with a persona; check its `data` entries.")
    return examples, hashes


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def accelerator_for(recipe: Recipe) -> Accelerator:
    """One process, or as many as ``accelerate launch`` started."""
    return Accelerator(
        mixed_precision="bf16" if recipe.precision == "bf16" else "no", cpu=not torch.cuda.is_available()
    )


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
