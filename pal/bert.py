"""BERT's forward pass in NumPy: a small encoder without loading torch.

Weights stay in the file: they are memory-mapped, so starting is instant and
processes share them. Source: Devlin et al. 2019, with the exact (erf) GELU, as
``transformers.BertModel``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pal.errors import CheckpointError


@dataclass(frozen=True)
class BertWeights:
    """Tensors by their transformers name, as read-only views of the file."""

    tensors: dict[str, np.ndarray]
    layers: int
    heads: int
    epsilon: float

    @property
    def positions(self) -> int:
        """The longest sequence the model knows, in tokens."""
        return len(self.tensors["embeddings.position_embeddings.weight"])

    @classmethod
    def open(cls, folder: Path) -> BertWeights:
        """Weights of a folder with ``config.json`` and float32 ``model.safetensors``.

        Raises:
            CheckpointError: a file is missing or is not such a model.
        """
        try:
            config = json.loads((folder / "config.json").read_text())
            if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
                raise ValueError(f"{config['model_type']} with {config['hidden_act']} is not supported")
            return cls(
                _map_safetensors(folder / "model.safetensors"),
                config["num_hidden_layers"],
                config["num_attention_heads"],
                config["layer_norm_eps"],
            )
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{folder} is not a usable BERT encoder: {error}") from error

    def hidden_states(self, ids: np.ndarray, types: np.ndarray | None = None) -> np.ndarray:
        """Last hidden states of sentences of one length, without padding.

        Args:
            ids: token ids, int [sentences, length].
            types: segment of each token (0 or 1), same shape; None is all 0.

        Returns:
            float32 [sentences, length, hidden].
        """
        words = self.tensors["embeddings.word_embeddings.weight"][ids]
        positions = self.tensors["embeddings.position_embeddings.weight"][: ids.shape[1]]
        segments = self.tensors["embeddings.token_type_embeddings.weight"][0 if types is None else types]
        states = self._norm("embeddings.LayerNorm", words + positions + segments)
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}"
            attended = self._linear(f"{name}.attention.output.dense", self._attention(name, states))
            states = self._norm(f"{name}.attention.output.LayerNorm", states + attended)
            inner = _gelu(self._linear(f"{name}.intermediate.dense", states))
            states = self._norm(
                f"{name}.output.LayerNorm", states + self._linear(f"{name}.output.dense", inner)
            )
        return states

    def _attention(self, name: str, states: np.ndarray) -> np.ndarray:
        sentences, length, hidden = states.shape

        def split(part: str) -> np.ndarray:
            projected = self._linear(f"{name}.attention.self.{part}", states)
            return projected.reshape(sentences, length, self.heads, -1).transpose(0, 2, 1, 3)

        query, key, value = split("query"), split("key"), split("value")
        scores = query @ key.transpose(0, 1, 3, 2) * np.float32(query.shape[-1] ** -0.5)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights = scores / scores.sum(axis=-1, keepdims=True)
        return (weights @ value).transpose(0, 2, 1, 3).reshape(sentences, length, hidden)

    def _linear(self, name: str, states: np.ndarray) -> np.ndarray:
        return states @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def _norm(self, name: str, states: np.ndarray) -> np.ndarray:
        centred = states - states.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(self.epsilon))
        return scaled * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]


def _gelu(x: np.ndarray) -> np.ndarray:
    """x·Φ(x); erf by Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(coefficient)) * t
    erf = np.copysign(1 - series * np.exp(-z * z), x)
    return np.float32(0.5) * x * (1 + erf)


def _map_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Views of the float32 tensors of a safetensors file (8-byte header size,
    JSON header, data); other types are left out."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + size)
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            tensors[name] = data[begin:end].view(np.float32).reshape(entry["shape"])
    return tensors
