"""A small BERT in ONNX Runtime: an encoder or a classifier without loading torch.

The graph (``pal.bert_graph``) is written once from safetensors weights and
kept in the cache folder. Sequences run one at a time, several side by side:
no padding, and a sequence's result never depends on its neighbours.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock

from pal.checkpoints import cache_dir
from pal.errors import CheckpointError
from pal.peft_files import read_safetensors

_GRAPH = "model.onnx"
_FORMAT = 1  # part of the cache key; raise it when the graph changes


@dataclass(frozen=True)
class BertWeights:
    """float32 tensors by their transformers name, and what the shapes do not tell."""

    tensors: dict[str, np.ndarray]
    layers: int
    heads: int
    epsilon: float

    @classmethod
    def read(cls, folder: Path) -> BertWeights:
        """Weights of a folder with ``config.json`` and ``model.safetensors``.

        Raises:
            CheckpointError: a file is missing or is not such a model.
        """
        try:
            config = json.loads((folder / "config.json").read_text())
            if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
                raise ValueError(f"{config['model_type']} with {config['hidden_act']} is not supported")
            return cls(
                read_safetensors(folder / "model.safetensors", skip=("I64",)),
                config["num_hidden_layers"],
                config["num_attention_heads"],
                config["layer_norm_eps"],
            )
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{folder} is not a usable BERT: {error}") from error


class Bert:
    """A graph that is ready to run. Safe to call from many threads at once."""

    def __init__(self, graph: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the pool below is what uses the other cores
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(usable_cpus(), thread_name_prefix="bert")

    def outputs(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> np.ndarray:
        """What the graph's head makes of each sequence.

        Args:
            sequences: token ids and segments (0 or 1) of each, equally long.

        Returns:
            float32 [sequences, width of the head].
        """
        if len(sequences) == 1:
            return self._run(sequences[0])
        return np.concatenate(list(self._pool.map(self._run, sequences)))

    def _run(self, sequence: tuple[Sequence[int], Sequence[int]]) -> np.ndarray:
        ids, types = (np.array([values], np.int32) for values in sequence)
        return self._session.run(None, {"ids": ids, "types": types})[0]


def cached_graph(
    name: str,
    identity: Sequence[str],
    weights: Callable[[], BertWeights],
    head: str,
    *,
    quantised: bool,
) -> Path:
    """The graph's file in the cache, written when no run has done so yet.

    Args:
        name: what its folder is called, before a hash.
        identity: what the weights depend on.
        weights: reads them, when they are needed.
        head, quantised: as in ``pal.bert_graph.write_graph``.

    Raises:
        CheckpointError: the weights or the cache folder cannot be used.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, head, quantised, *identity]).encode()).hexdigest()[:32]
    root = cache_dir() / "graphs"
    folder = root / f"{name}-{key}"
    if not folder.is_dir():
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / f".{name}.lock"):
                if not folder.is_dir():
                    _write(folder, weights(), head, quantised)
        except OSError as error:
            raise CheckpointError(
                f"Cannot write the model cache {root}: {error}. "
                "Free some space, or set PAL_CACHE to another folder."
            ) from error
    return folder / _GRAPH


def file_identity(path: Path) -> str:
    """Name, size and time of a large file: who changes it changes these.

    Raises:
        CheckpointError: there is no such file.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def _write(folder: Path, weights: BertWeights, head: str, quantised: bool) -> None:
    from pal.bert_graph import write_graph

    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        write_graph(weights, head, quantised, partial / _GRAPH)
        for path in partial.iterdir():
            path.chmod(0o644)
        partial.chmod(0o755)  # mkdtemp makes it private
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def usable_cpus() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
