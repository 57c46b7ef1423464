"""Likelihood of the gold replies under each variant, with transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pal.dialogue.prompt import Renderer
from pal.evaluation.turns import MeasuredDialogue

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Likelihood:
    """Sum of the natural log-probabilities of one gold reply's tokens, its
    end token included, and their number."""

    log_probability: float
    tokens: int


class GoldReplyScorer:
    """Scores gold replies with one model on the dequantised base.

    Args:
        model: the base, or a PEFT model with one adapter.
        renderer: the sequence of training and serving.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, renderer: Renderer):
        self._model = model.eval()
        self._renderer = renderer

    @classmethod
    def from_adapter(cls, adapter: Path | None, renderer: Renderer) -> GoldReplyScorer:
        """On the weights that are served, in float32; on a GPU when there is one.

        ``adapter`` is a PEFT folder, None the untuned base.

        Raises:
            CheckpointError: the base is missing.
        """
        import torch
        from peft import PeftModel

        from pal.models.bases import load_base_model

        model = load_base_model()
        if adapter is not None:
            model = PeftModel.from_pretrained(model, str(adapter))
        return cls(model.to("cuda" if torch.cuda.is_available() else "cpu"), renderer)

    def score(self, dialogue: MeasuredDialogue, selections: Sequence[int | None] | None) -> list[Likelihood]:
        """Likelihood of each gold reply, in one forward pass over the dialogue.

        Args:
            selections: the selected sentence of every turn; None for a variant
                without persona turns.

        Returns:
            One entry per turn, in order; of a dialogue longer than the context
            the oldest turns have no token.
        """
        exchanges = [turn.exchange for turn in dialogue.turns]
        if selections is not None:
            exchanges = [
                replace(exchange, selected=chosen)
                for exchange, chosen in zip(exchanges, selections, strict=True)
            ]
        sequence = self._renderer.training_sequence(
            dialogue.persona.sentences, exchanges, selects=selections is not None
        )
        positions = [place - 1 for span in sequence.replies for place in range(span.start, span.end)]
        values = reply_log_probabilities(self._model, sequence.ids, positions)
        likelihoods = [Likelihood(0.0, 0)] * sequence.left_out
        for span in sequence.replies:
            size = span.end - span.start
            likelihoods.append(Likelihood(sum(values[:size]), size))
            values = values[size:]
        return likelihoods


def reply_log_probabilities(model, ids: Sequence[int], positions: Sequence[int]) -> list[float]:
    """Natural log-probability of the token after each of ``positions``.

    The output layer runs on those positions only.
    """
    import torch

    if not positions:
        return []
    device = next(model.parameters()).device
    keep = torch.tensor(positions, device=device)
    tokens = torch.tensor([ids], device=device)
    with torch.inference_mode():
        logits = model(input_ids=tokens, logits_to_keep=keep, use_cache=False).logits[0].float()
        targets = tokens[0, keep + 1]
        return torch.log_softmax(logits, dim=-1).gather(1, targets[:, None])[:, 0].tolist()
