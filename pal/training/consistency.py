"""Training of the consistency model: (persona sentence, reply) → contradiction, neutral, entailment.

A LoRA adapter on all-MiniLM-L6-v2, taught the teacher's soft targets (Hinton
et al. 2015, temperature 1), the entailed pairs, and mined hard negatives; then
calibrated on rows that training leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn import functional

from pal.errors import DataError
from pal.models.consistency import CALIBRATION, LABELS, MAX_TOKENS, Calibration
from pal.models.encoder import ENCODER, fetch_encoder
from pal.training.loop import accelerator_for, train
from pal.training.nli import NliExample, load_examples, read_teacher_rows
from pal.training.recipe import Recipe, fast_bf16

BASE_NAME = ENCODER.repository
SCORED_TOKENS = 4096  # padded tokens of one forward pass without gradients


class ConsistencyPolicy(nn.Module):
    """MiniLM as a sequence classifier of three labels with a trainable adapter."""

    base_name = BASE_NAME

    def __init__(self, base: nn.Module, recipe: Recipe):
        super().__init__()
        torch.manual_seed(recipe.seed)
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules=["query", "key", "value", "dense"],
            modules_to_save=["classifier"],
            task_type="SEQ_CLS",
        )
        self.model = get_peft_model(base, config)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits [pairs, 3]."""
        return self.model(**batch).logits


def load_classifier(folder: Path) -> nn.Module:
    """all-MiniLM-L6-v2 of ``folder`` with a fresh head of three labels."""
    from transformers import BertForSequenceClassification

    torch.manual_seed(0)
    return BertForSequenceClassification.from_pretrained(
        str(folder), num_labels=len(LABELS), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )


def pair_tokenizer(folder: Path):
    """MiniLM's fast tokenizer; a long pair loses the end of its reply."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS, strategy="only_second")
    tokenizer.no_padding()
    return tokenizer


class ConsistencyTask:
    """Soft cross-entropy over pairs (``pal.training.loop.Task``)."""

    weights = {"consistency": 1.0}

    def __init__(self, examples: Sequence[NliExample], tokenizer, recipe: Recipe, device: torch.device):
        self.size = len(examples)
        self._examples, self._recipe, self._device = examples, recipe, device
        pairs = [(example.premise, example.hypothesis) for example in examples]
        self._encoded = [(item.ids, item.type_ids) for item in tokenizer.encode_batch(pairs)]

    def micro_batches(self, items: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """Items of similar length together, up to the recipe's padded tokens."""
        groups: list[list[tuple[int, int]]] = []
        for item in sorted(items, key=lambda item: len(self._encoded[item[1]][0])):
            length = len(self._encoded[item[1]][0])
            if groups and (len(groups[-1]) + 1) * length <= self._recipe.micro_batch_tokens:
                groups[-1].append(item)
            else:
                groups.append([item])
        return groups

    def counts(self, items: Sequence[tuple[int, int]]) -> dict[str, int]:
        """Pairs of a batch."""
        return {"consistency": len(items)}

    def losses(self, policy: nn.Module, items: Sequence[tuple[int, int]]) -> dict[str, torch.Tensor]:
        """Summed soft cross-entropy, in nats."""
        targets = torch.tensor([self._examples[index].target for _, index in items], device=self._device)
        logits = policy(self.batch([index for _, index in items]))
        return {"consistency": -(targets * functional.log_softmax(logits, -1)).sum()}

    def batch(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """Padded inputs of some examples, each [pairs, length]."""
        length = max(len(self._encoded[index][0]) for index in indices)
        rows = {"input_ids": [], "token_type_ids": [], "attention_mask": []}
        for index in indices:
            ids, types = self._encoded[index]
            padding = [0] * (length - len(ids))
            rows["input_ids"].append(ids + padding)
            rows["token_type_ids"].append(types + padding)
            rows["attention_mask"].append([1] * len(ids) + padding)
        return {name: torch.tensor(values, device=self._device) for name, values in rows.items()}

    @torch.no_grad()
    def logits(self, policy: nn.Module) -> torch.Tensor:
        """Logits of every example in order: [examples, 3], on the CPU."""
        result = torch.empty(self.size, len(LABELS))
        for group in self.micro_batches([(0, index) for index in range(self.size)]):
            indices = [index for _, index in group]
            result[indices] = policy(self.batch(indices)).float().cpu()
        return result


class TrainedScorer:
    """A trained model for large amounts of pairs, on torch's device, in bf16 where that is fast.

    ``pal.models.consistency`` is the exact one, without torch; argmax
    agreement of the two is tested.
    """

    def __init__(self, folder: Path, encoder: Path, device: torch.device):
        from peft import PeftModel

        self._model = (
            PeftModel.from_pretrained(load_classifier(encoder), str(folder)).float().eval().to(device)
        )
        self._tokenizer, self._device = pair_tokenizer(encoder), device
        self._calibration = Calibration.read(folder / CALIBRATION)

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Calibrated probabilities [pairs, 3]: contradiction, neutral, entailment."""
        examples = [NliExample(premise, hypothesis, (0.0, 0.0, 0.0)) for premise, hypothesis in pairs]
        recipe = Recipe(task="consistency", micro_batch_tokens=SCORED_TOKENS)
        task = ConsistencyTask(examples, self._tokenizer, recipe, self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=fast_bf16(self._device)):
            logits = task.logits(lambda batch: self._model(**batch).logits)
        return self._calibration.probabilities(logits.numpy())


def calibrate(logits: torch.Tensor, targets: torch.Tensor) -> Calibration:
    """The temperature and bias of least cross-entropy against soft targets.

    Args:
        logits: [pairs, 3] of held-out pairs.
        targets: their target distributions, [pairs, 3].

    Raises:
        DataError: the held-out logits are not finite.
    """
    log_scale = torch.zeros(1, requires_grad=True)
    bias = torch.zeros(2, requires_grad=True)  # relative to neutral
    optimizer = torch.optim.LBFGS([log_scale, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        full = torch.stack([bias[0], torch.zeros(()), bias[1]])
        value = -(targets * functional.log_softmax(logits * log_scale.exp() + full, -1)).sum(-1).mean()
        value.backward()
        return value

    optimizer.step(loss)
    if not all(math.isfinite(value) for value in (*log_scale.tolist(), *bias.tolist())):
        raise DataError("The calibration did not converge: the held-out logits are not finite.")
    first, last = bias.tolist()
    return Calibration(math.exp(-log_scale.item()), (first, 0.0, last))


def macro_f1(predicted: torch.Tensor, right: torch.Tensor) -> dict[str, float]:
    """F1 of contradiction and entailment and the macro F1, for the learning curve."""
    scores = []
    for label in range(3):
        hits = int(((predicted == label) & (right == label)).sum())
        total = int((predicted == label).sum() + (right == label).sum())
        scores.append(2 * hits / total if total else 0.0)
    return {
        "dev_contradiction_f1": scores[0],
        "dev_entailment_f1": scores[2],
        "dev_macro_f1": sum(scores) / 3,
    }


def train_consistency(recipe: Recipe, data: Path, out: Path, *, dev: Path | None = None) -> None:
    """Train and calibrate the consistency model into ``out``, or go on with a run that stopped there.

    Args:
        data: folder of the recipe's files.
        dev: labelled premise/hypothesis rows for the learning curve.

    Raises:
        DataError: data or development rows cannot be used.
        RecipeError: ``out`` holds another run.
    """
    training, held_out, hashes = load_examples(recipe, data)
    folder = fetch_encoder()
    tokenizer = pair_tokenizer(folder)
    accelerator = accelerator_for(recipe)
    policy = ConsistencyPolicy(load_classifier(folder), recipe)
    task = ConsistencyTask(training, tokenizer, recipe, accelerator.device)
    measure = None
    if dev:
        rows = read_teacher_rows(dev)
        development = ConsistencyTask(rows, tokenizer, recipe, accelerator.device)
        right = torch.tensor([row.target for row in rows]).argmax(-1)

        def measure(trained):
            return macro_f1(development.logits(trained).argmax(-1), right)

    train(task, policy, recipe, out, accelerator, hashes, measure)
    kept = ConsistencyTask(held_out, tokenizer, recipe, accelerator.device)
    targets = torch.tensor([example.target for example in held_out])
    calibrate(kept.logits(policy), targets).write(out / "adapter" / CALIBRATION)
