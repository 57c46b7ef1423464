"""What a reply says about a persona sentence: contradicts it, leaves it alone, or entails it.

A cross-encoder on MiniLM with a LoRA adapter, calibrated; it runs without torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pal.errors import CheckpointError
from pal.files import write_text
from pal.models.adapters import UNUSUAL, adapter_hash, lora_scale, read_peft
from pal.models.bert import Bert, BertWeights, cached_graph
from pal.models.encoder import RowCache, fetch_encoder
from pal.models.hub import noted_sha256
from pal.settings import REPOSITORY

LABELS = ("contradiction", "neutral", "entailment")
FOLDER = REPOSITORY / "assets" / "consistency"
CALIBRATION = "calibration.json"  # beside the adapter
MAX_TOKENS = 128  # of a pair with its three special tokens, as in training
MOST_POSITIONS = 512  # of MiniLM
LEAST_HYPOTHESIS = 16  # tokens of the reply that even the longest premise leaves room for
CACHED_PAIRS = 16384
_PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Calibration:
    """What turns logits into probabilities: softmax(logits / temperature + bias).

    Attributes:
        temperature: positive.
        bias: of each label, in nats, in the order of ``LABELS``.

    Source: temperature and vector scaling of Guo et al. 2017 (arXiv 1706.04599).
    """

    temperature: float
    bias: tuple[float, ...]

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """The calibration of a JSON file.

        Raises:
            CheckpointError: it cannot be read or is none.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            temperature, bias = float(values["temperature"]), tuple(map(float, values["bias"]))
            if not temperature > 0 or len(bias) != len(LABELS) or not np.isfinite(bias).all():
                raise ValueError(f"temperature {temperature}, bias {list(bias)}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path} is no calibration (a positive temperature and three biases): {error}"
            ) from error
        return cls(temperature, bias)

    def write(self, path: Path) -> None:
        """Write as JSON.

        Raises:
            DataError: the file cannot be written.
        """
        values = {"temperature": self.temperature, "bias": list(self.bias)}
        write_text(path, json.dumps(values, indent=1) + "\n")

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of logits, both float32 [pairs, labels]."""
        scaled = logits / np.float32(self.temperature) + np.array(self.bias, np.float32)
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


class ConsistencyModel:
    """Probabilities that a reply contradicts, leaves alone or entails a sentence.

    Pairs seen lately are remembered. Safe to call from many threads at once.
    """

    def __init__(self, bert: Bert, tokenizer, calibration: Calibration, cached: int):
        self._bert = bert
        self._tokenizer = tokenizer
        self._calibration = calibration
        self._cache: RowCache[tuple[str, str]] = RowCache(cached)

    @classmethod
    def load(
        cls,
        folder: Path = FOLDER,
        encoder: Path | None = None,
        *,
        quantised: bool = True,
        cached: int = CACHED_PAIRS,
    ) -> ConsistencyModel:
        """The model of a checkpoint folder on the MiniLM of ``encoder``.

        Args:
            folder: PEFT LoRA adapter with its classifier, and ``calibration.json``.
            encoder: the base's folder; None fetches the pinned one.
            quantised: 8-bit weights: more than twice as fast, a quarter of the
                memory, and hardly another verdict. False gives float32.
            cached: how many pairs are remembered.

        Raises:
            CheckpointError: a file is missing or is not of such a model.
        """
        from tokenizers import Tokenizer

        if not folder.is_dir():
            raise CheckpointError(
                f"There is no consistency model at {folder}. Train it with “python -m pal train consistency”."
            )
        encoder = encoder or fetch_encoder()
        calibration = Calibration.read(folder / CALIBRATION)
        tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        graph = cached_graph(
            "consistency",
            (adapter_hash(folder), noted_sha256(encoder / "model.safetensors")),
            lambda: merged_weights(folder, encoder),
            "classifier",
            quantised=quantised,
        )
        return cls(Bert(graph), tokenizer, calibration, cached)

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Calibrated probabilities of pairs (premise = persona sentence, hypothesis = reply).

        Returns:
            float32 [pairs, 3] in the order of ``LABELS``; the verdict is the largest.
        """
        rows = self._cache.rows([tuple(pair) for pair in pairs], self._compute)
        return np.stack(rows) if rows else np.zeros((0, len(LABELS)), np.float32)

    def _compute(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        return self._calibration.probabilities(self._bert.outputs(self._encode(pairs)))

    def _encode(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
        """Token ids and segments; a long pair loses the end of its hypothesis."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        tokens = dict(
            zip(texts, self._tokenizer.encode_batch_fast(texts, add_special_tokens=False), strict=True)
        )
        cls, sep = (self._tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
        encoded = []
        for premise, hypothesis in pairs:
            longest = MOST_POSITIONS - LEAST_HYPOTHESIS - 3
            first = [cls, *tokens[premise].ids[:longest], sep]
            room = max(MAX_TOKENS - len(first) - 1, LEAST_HYPOTHESIS)
            second = [*tokens[hypothesis].ids[:room], sep]
            encoded.append((first + second, [0] * len(first) + [1] * len(second)))
        return encoded


def merged_weights(folder: Path, encoder: Path) -> BertWeights:
    """MiniLM with the adapter added in: W + (alpha / r)·B·A, and its classifier.

    Raises:
        CheckpointError: a file is missing, or the adapter has another shape.
    """
    config, adapter = read_peft(
        folder, "the consistency model", (*UNUSUAL, "alpha_pattern", "rank_pattern", "fan_in_fan_out")
    )
    scale = lora_scale(config)
    base = BertWeights.read(encoder)
    tensors = dict(base.tensors)
    for name, value in adapter.items():
        target = name.removeprefix(_PEFT_PREFIX).removeprefix("bert.")
        try:
            if target.endswith(".lora_A.weight"):
                b = adapter[name.replace(".lora_A.", ".lora_B.")]
                weight = f"{target.removesuffix('.lora_A.weight')}.weight"
                tensors[weight] = tensors[weight] + scale * (b @ value)
            elif not target.endswith(".lora_B.weight"):
                tensors[target] = value
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{folder}: tensor “{name}” does not fit the base: {error}") from error
    shape = (len(LABELS), tensors["pooler.dense.weight"].shape[0])
    if tensors.get("classifier.weight", np.empty(0)).shape != shape or "classifier.bias" not in tensors:
        raise CheckpointError(f"{folder} has no classifier of {len(LABELS)} labels.")
    return replace(base, tensors=tensors)
