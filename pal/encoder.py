"""Sentence embeddings: the prior of the selection step."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pal.bert import BertWeights
from pal.checkpoints import fetch_encoder

DIMENSIONS = 384
MAX_TOKENS = 256  # the model's own limit; the rest of a longer text is left out
CACHED_SENTENCES = 4096
_BATCH = 32


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
        self._limit = cached
        self._lock = threading.Lock()
        self._loaded: tuple | None = None
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()

    def cosines(self, text: str, sentences: Sequence[str]) -> list[float]:
        """Cosine of ``text`` with each sentence, in [-1, 1]."""
        vectors = self.embed([text, *sentences])
        return np.clip(vectors[1:] @ vectors[0], -1.0, 1.0).tolist()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit-norm embeddings, mean-pooled over tokens: float32 [texts, DIMENSIONS].

        Raises:
            CheckpointError: the model cannot be fetched or read.
        """
        found: dict[str, np.ndarray] = {}
        with self._lock:
            for text in texts:
                if text in self._cache:
                    self._cache.move_to_end(text)
                    found[text] = self._cache[text]
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found.update(zip(missing, self._compute(missing), strict=True))
            with self._lock:
                self._cache.update((text, found[text]) for text in missing)
                while len(self._cache) > self._limit:
                    self._cache.popitem(last=False)
        return np.stack([found[text] for text in texts]) if texts else np.zeros((0, DIMENSIONS), np.float32)

    def _load(self) -> tuple:
        with self._lock:
            if self._loaded is None:
                from tokenizers import Tokenizer

                folder = self._folder or fetch_encoder()
                tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
                tokenizer.enable_truncation(MAX_TOKENS)
                tokenizer.no_padding()
                self._loaded = tokenizer, BertWeights.open(folder)
            return self._loaded

    def _compute(self, texts: list[str]) -> np.ndarray:
        tokenizer, weights = self._load()
        by_length: dict[int, list[tuple[int, list[int]]]] = {}
        for index, encoding in enumerate(tokenizer.encode_batch(texts)):
            by_length.setdefault(len(encoding.ids), []).append((index, encoding.ids))
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        for group in by_length.values():
            for start in range(0, len(group), _BATCH):
                indices, ids = zip(*group[start : start + _BATCH], strict=True)
                pooled = weights.hidden_states(np.array(ids)).mean(axis=1)
                vectors[list(indices)] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return vectors
