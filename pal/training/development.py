"""The learning curve on development dialogues, read during training.

Teacher-forced: history, earlier selections and replies are the gold ones, so
the figures are cheaper and rosier than ``pal evaluate``'s; they compare steps
of one run, nothing else.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from pal.evaluation.selection_metrics import SelectionMetrics, outcome
from pal.prompt import Renderer
from pal.selection import choose
from pal.training.data import read_dialogues
from pal.training.examples import from_dialogue
from pal.training.losses import reply_loss
from pal.training.policy import collate

_SEED = 7


class Development:
    """Measures a policy on ``dialogues`` seeded dialogues of a file."""

    def __init__(self, path: Path, dialogues: int, renderer: Renderer, *, selects: bool):
        chosen = random.Random(_SEED).sample(read_dialogues(path), dialogues)
        examples = [from_dialogue(dialogue) for dialogue in chosen]
        self._sequences = [
            renderer.training_sequence(example.sentences, example.exchanges, example.labels, selects=selects)
            for example in examples
            if example is not None
        ]
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
