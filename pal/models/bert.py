"""A small BERT in ONNX Runtime: an encoder or a classifier without loading torch.

The graph is BERT's forward pass (Devlin et al. 2019 with the exact (erf) GELU, as
``transformers``' BertModel; the fused nodes are ONNX Runtime's own,
"com.microsoft"). It is written once from safetensors weights and kept in the cache
folder. Sequences run one at a time, several side by side: no padding, and a
sequence's result never depends on its neighbours.

Why the graph is written here and not exported by ``torch.onnx`` and quantised by
``onnxruntime.quantization``: both graphs (encoder fp32, consistency model int8)
that way against this one, on one core of an EPYC: first start 18.2 s of CPU time
and 1,029 MB (torch, in a process of its own) against 1.8 s and 439 MB; later starts
.37 s against .10 s; memory after 60 sentences 177 MB against 155 MB; those 60 took
.41 s against .37 s in int8. The outputs agree (cosine 1.0000 in fp32, .97 at
least between the two int8 forms).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from pal.errors import CheckpointError
from pal.files import new_folder
from pal.models.adapters import read_safetensors
from pal.models.hub import cache_dir, writing_cache

if TYPE_CHECKING:
    import onnx

_GRAPH = "model.onnx"
EMBEDDING = "embedding"  # mean of the last hidden states: [1, hidden]
CLASSIFIER = "classifier"  # logits of pooler and classifier: [1, labels]
WEIGHTS = "weights.bin"  # beside the graph
_FUSED = "com.microsoft"
# One bit less than int8 has: without VNNI instructions, x86 adds two products in 16 bits.
_LARGEST_WEIGHT = 63
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
        identity: hashes of the files that the weights are made of.
        weights: reads them, when they are needed.
        head, quantised: as in ``pal.models.bert.write_graph``.

    Raises:
        CheckpointError: the weights or the cache folder cannot be used.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, head, quantised, *identity]).encode()).hexdigest()[:32]
    root = cache_dir() / "graphs"
    folder = root / f"{name}-{key}"
    if not folder.is_dir():
        with writing_cache(root):
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / f".{name}.lock"):
                if not folder.is_dir():
                    with new_folder(folder) as unfinished:
                        write_graph(weights(), head, quantised, unfinished / _GRAPH)
    return folder / _GRAPH


def usable_cpus() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_graph(weights: BertWeights, head: str, quantised: bool, path: Path) -> None:
    """Write the graph from ``ids`` and ``types`` (int32 [1, length]) to ``head``,
    ``EMBEDDING`` or ``CLASSIFIER``; float32, or ``quantised``: word table and
    linear layers in 8 bits. The weights go to a file beside ``path``, which is
    mapped when the graph runs: only the words in use take memory."""
    import onnx

    graph = _Graph(weights, quantised)
    states = graph.embeddings()
    for layer in range(weights.layers):
        # a classifier reads the first token alone, so the last layer computes no other
        first = head == CLASSIFIER and layer == weights.layers - 1
        states = graph.layer(f"encoder.layer.{layer}", states, only_first=first)
    if head == CLASSIFIER:
        flat = graph.add("Squeeze", [states, graph.constant("axis 1", np.array([1], np.int64))])
        pooled = graph.add("Tanh", [graph.exact_linear("pooler.dense", flat)])
        output = graph.exact_linear("classifier", pooled)
    else:
        output = graph.add(
            "ReduceMean", [states, graph.constant("axis 1", np.array([1], np.int64))], keepdims=0
        )
    onnx.save(graph.model(output), path, save_as_external_data=True, location=WEIGHTS, size_threshold=1 << 16)


class _Graph:
    """Nodes and constants of a graph under construction; methods return the
    name of the value that they add."""

    def __init__(self, weights: BertWeights, quantised: bool):
        self._weights = weights
        self._quantised = quantised
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, operation: str, inputs: list[str], domain: str = "", outputs: int = 1, **attributes):
        """A node; its output's name, or a list of names when it has several."""
        from onnx import helper

        names = [f"{operation} {len(self._nodes)}.{index}" for index in range(outputs)]
        self._nodes.append(
            helper.make_node(operation, inputs, names, name=names[0], domain=domain, **attributes)
        )
        return names[0] if outputs == 1 else names

    def constant(self, name: str, value: np.ndarray) -> str:
        from onnx import numpy_helper

        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self._weights.tensors[name])

    def embeddings(self) -> str:
        """Words, positions and segments, normalised: [1, length, hidden]."""
        length = self.add("Shape", ["ids"], start=1)
        places = self.add(
            "Slice",
            [
                self.weight("embeddings.position_embeddings.weight"),
                self.constant("zero", np.array([0], np.int64)),
                length,
            ],
        )
        segments = self.add("Gather", [self.weight("embeddings.token_type_embeddings.weight"), "types"])
        total = self.add("Add", [self.add("Add", [self._words(), places]), segments])
        return self.add(
            "LayerNormalization",
            [total, self.weight("embeddings.LayerNorm.weight"), self.weight("embeddings.LayerNorm.bias")],
            epsilon=self._weights.epsilon,
        )

    def _words(self) -> str:
        from onnx import TensorProto

        name = "embeddings.word_embeddings.weight"
        if not self._quantised:
            return self.add("Gather", [self.weight(name), "ids"])
        table = self._weights.tensors[name]  # 8 bits with a scale of its own for each word
        scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / np.float32(127)
        rows = self.constant(f"{name} int8", np.round(table / scales).astype(np.int8))
        found = self.add("Cast", [self.add("Gather", [rows, "ids"])], to=TensorProto.FLOAT)
        return self.add("Mul", [found, self.add("Gather", [self.constant(f"{name} scales", scales), "ids"])])

    def layer(self, name: str, states: str, *, only_first: bool) -> str:
        """A transformer layer; with ``only_first``, its output for the first token."""
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        tensors = self._weights.tensors
        weight = np.concatenate([tensors[f"{part}.weight"] for part in parts])
        bias = self.constant(f"{name} bias", np.concatenate([tensors[f"{part}.bias"] for part in parts]))
        projected = self.add(
            "Split", [self._matmul(f"{name} qkv", states, weight)], outputs=3, axis=2, num_outputs=3
        )
        attended = self.add("MultiHeadAttention", [*projected, bias], _FUSED, num_heads=self._weights.heads)
        if only_first:
            first = self.constant("first", np.array([0], np.int64))
            attended, states = (self.add("Gather", [value, first], axis=1) for value in (attended, states))
        states = self._dense_norm(f"{name}.attention.output", attended, states)
        inner = self._matmul(name, states, tensors[f"{name}.intermediate.dense.weight"])
        inner = self.add("BiasGelu", [inner, self.weight(f"{name}.intermediate.dense.bias")], _FUSED)
        return self._dense_norm(f"{name}.output", inner, states)

    def _dense_norm(self, name: str, inputs: str, residual: str) -> str:
        values = [
            self._matmul(name, inputs, self._weights.tensors[f"{name}.dense.weight"]),
            residual,
            self.weight(f"{name}.LayerNorm.weight"),
            self.weight(f"{name}.LayerNorm.bias"),
            self.weight(f"{name}.dense.bias"),
        ]
        return self.add("SkipLayerNormalization", values, _FUSED, epsilon=self._weights.epsilon)

    def _matmul(self, name: str, inputs: str, weight: np.ndarray) -> str:
        """``inputs`` times the transpose of ``weight`` [out, in]. Quantised: 8-bit
        weights with a scale for each output, inputs with one for the sequence."""
        if not self._quantised:
            return self.add("MatMul", [inputs, self.constant(f"{name} weight", weight.T)])
        scales = np.maximum(np.abs(weight).max(axis=1), 1e-12) / np.float32(_LARGEST_WEIGHT)
        whole = np.round(weight.T / scales).astype(np.int8)
        values = [self.constant(f"{name} int8", whole), self.constant(f"{name} scales", scales)]
        return self.add("DynamicQuantizeMatMul", [inputs, *values], _FUSED)

    def exact_linear(self, name: str, inputs: str) -> str:
        """A small linear layer in float32."""
        return self.add(
            "Gemm", [inputs, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")], transB=1
        )

    def model(self, output: str) -> onnx.ModelProto:
        """The finished model."""
        from onnx import TensorProto, helper

        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT32, [1, "length"]) for name in ("ids", "types")
        ]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, None])]
        graph = helper.make_graph(self._nodes, "bert", inputs, outputs, list(self._constants.values()))
        imports = [helper.make_opsetid("", 20), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)
