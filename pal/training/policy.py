"""The base model with its trainable adapter, read only where a loss is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from pal.dialogue.persona import MAX_SENTENCES
from pal.dialogue.prompt import TrainingSequence
from pal.errors import DataError
from pal.models.bases import BASE

LINEAR_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Batch:
    """Padded sequences and where to read them. B sequences of L tokens.

    ``input_ids`` [B, L]; ``attention_mask`` [B, L], or [B, 1, L, L] boolean
    for a token tree, or None when nothing is padded; ``position_ids`` [B, L]
    or None; ``read`` [T] indices into the flattened B·L positions whose next
    token is ``targets`` [T]; ``owner`` [T] the reply each belongs to;
    ``select_at`` [S] flattened positions of the selections with ``allowed``
    and ``right`` [S, 10] (see ``selection_loss``).
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor | None
    position_ids: torch.Tensor | None
    read: torch.Tensor
    targets: torch.Tensor
    owner: torch.Tensor
    select_at: torch.Tensor
    allowed: torch.Tensor
    right: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on ``device``."""
        values = (getattr(self, item.name) for item in fields(self))
        return Batch(*(None if value is None else value.to(device) for value in values))


class Policy(nn.Module):
    """Wraps a PEFT model so that one forward gives all that the losses need."""

    base_name = BASE.trained_as[0]

    def __init__(self, model: PeftModel, option_ids: Sequence[int]):
        super().__init__()
        self.model = model
        self.register_buffer("option_ids", torch.tensor(option_ids), persistent=False)

    def compile_layers(self) -> None:
        """Fuse each layer's small operations with torch.compile, on first use.

        One compilation serves all layers and lengths. Needs a C++ compiler;
        sums come in another order, so results differ in the last digits.
        """
        for layer in self.model.get_base_model().model.layers:
            layer.compile(dynamic=True)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Reply-token logits [T, vocabulary] and selection logits [S, 10].

        The output layer runs on those positions only: at masked positions it
        would cost a quarter of the pass and be thrown away.
        """
        causal = self.model.get_base_model()
        hidden = causal.model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
            use_cache=False,
        ).last_hidden_state.flatten(0, 1)
        selections = hidden[batch.select_at] @ causal.lm_head.weight[self.option_ids].T
        return causal.lm_head(hidden[batch.read]), selections


def new_adapter(base: nn.Module, rank: int, alpha: int, dropout: float, seed: int) -> PeftModel:
    """The base with a fresh, seeded fp32 LoRA adapter on every linear layer."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=LINEAR_LAYERS, task_type="CAUSAL_LM"
    )
    return get_peft_model(base, config)


def load_adapter(base: nn.Module, folder: Path, *, trainable: bool) -> PeftModel:
    """The base with the adapter of ``folder``, in fp32.

    Raises:
        DataError: there is no adapter in the folder.
    """
    if not (folder / "adapter_model.safetensors").is_file():
        raise DataError(f"{folder}: no adapter in it (adapter_model.safetensors); give an adapter's folder.")
    return PeftModel.from_pretrained(base, str(folder), is_trainable=trainable).float()


def collate(sequences: Sequence[TrainingSequence], exhaustive: Sequence[bool], pad_id: int) -> Batch:
    """Batch of whole dialogues, padded on the right.

    Selections without labels are left out. Where an example is not
    exhaustive, none is no option and only positive labels are trained.
    """
    length = max(len(sequence.ids) for sequence in sequences)
    rows, mask = [], []
    read, targets, owner, select_at, allowed, right = [], [], [], [], [], []
    replies = 0
    for row, (sequence, complete) in enumerate(zip(sequences, exhaustive, strict=True)):
        padding = length - len(sequence.ids)
        rows.append(sequence.ids + [pad_id] * padding)
        mask.append([1] * len(sequence.ids) + [0] * padding)
        offset = row * length
        for span in sequence.replies:
            read += range(offset + span.start - 1, offset + span.end - 1)
            targets += sequence.ids[span.start : span.end]
            owner += [replies] * (span.end - span.start)
            replies += 1
        for target in trained_selections(sequence, complete):
            select_at.append(offset + target.position)
            first = 0 if complete else 1
            allowed.append([first <= option < target.options for option in range(MAX_SENTENCES + 1)])
            right.append([option in target.labels for option in range(MAX_SENTENCES + 1)])
    padded = any(0 in values for values in mask)
    return Batch(
        input_ids=torch.tensor(rows),
        attention_mask=torch.tensor(mask) if padded else None,
        position_ids=None,
        read=torch.tensor(read, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.long),
        owner=torch.tensor(owner, dtype=torch.long),
        select_at=torch.tensor(select_at, dtype=torch.long),
        allowed=torch.tensor(allowed, dtype=torch.bool).reshape(-1, MAX_SENTENCES + 1),
        right=torch.tensor(right, dtype=torch.bool).reshape(-1, MAX_SENTENCES + 1),
    )


def trained_selections(sequence: TrainingSequence, exhaustive: bool) -> list:
    """The selection targets that carry a loss."""
    return [
        target
        for target in sequence.selections
        if target.labels is not None and (exhaustive or target.labels != (0,))
    ]
