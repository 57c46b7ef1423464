"""Sentence embeddings: the prior of the selection step."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pal.bert import Bert, BertWeights, cached_graph, file_identity
from pal.checkpoints import fetch_encoder
from pal.recent import Recent

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DIMENSIONS = 384
MAX_TOKENS = 256  # the model's own limit; the rest of a longer text is left out
CACHED_SENTENCES = 4096


class MiniLMEncoder:
    """all-MiniLM-L6-v2, implementing ``pal.respond.Encoder``.

    Loaded on first use; sentences seen lately are remembered, so a chat costs
    one new embedding a turn. Safe to call from many threads at once.

    Args:
        folder: the model; None fetches the pinned one on first use.
        cached: how many embeddings are remembered.
    """

    def __init__(self, folder: Path | None = None, cached: int = CACHED_SENTENCES):
        self._folder = folder
        self._recent: Recent[str] = Recent(cached)
        self._lock = threading.Lock()
        self._loaded: tuple[Tokenizer, Bert] | None = None

    def cosines(self, text: str, sentences: Sequence[str]) -> list[float]:
        """Cosine of ``text`` with each sentence, in [-1, 1]."""
        vectors = self.embed([text, *sentences])
        return np.clip(vectors[1:] @ vectors[0], -1.0, 1.0).tolist()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit-norm embeddings, mean-pooled over tokens: float32 [texts, DIMENSIONS].

        Raises:
            CheckpointError: the model cannot be fetched or read.
        """
        rows = self._recent.rows(texts, self._compute)
        return np.stack(rows) if rows else np.zeros((0, DIMENSIONS), np.float32)

    def load(self) -> tuple[Tokenizer, Bert]:
        """Read the model, unless that is done; the first time ever writes its graph.

        Raises:
            CheckpointError: the model cannot be fetched or read.
        """
        with self._lock:
            if self._loaded is None:
                from tokenizers import Tokenizer

                folder = self._folder or fetch_encoder()
                tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
                tokenizer.enable_truncation(MAX_TOKENS)
                tokenizer.no_padding()
                weights = folder / "model.safetensors"
                graph = cached_graph(
                    "encoder",
                    [file_identity(weights)],
                    lambda: BertWeights.read(folder),
                    "embedding",
                    quantised=False,
                )
                self._loaded = tokenizer, Bert(graph)
            return self._loaded

    def _compute(self, texts: list[str]) -> np.ndarray:
        tokenizer, bert = self.load()
        sequences = [(encoding.ids, encoding.type_ids) for encoding in tokenizer.encode_batch(texts)]
        pooled = bert.outputs(sequences)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
