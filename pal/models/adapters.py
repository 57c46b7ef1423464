"""PEFT LoRA adapters: where a variant's is, how it is read without torch, and its GGUF form and back.

Adapters are part of the repository (``assets/adapters/<variant>``; ``PAL_ADAPTERS``
overrides). llama.cpp stores the rows of ``q_proj`` and ``k_proj`` in another order
than transformers, because its rotary embedding pairs neighbouring dimensions
instead of halves. Rows of W are rows of B in W + (alpha/r)·B·A, so the B of
these two is reordered and every other tensor is copied as it is (in float32,
so nothing is lost). See ``LlamaModel.permute`` of llama.cpp's converter.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import deserialize
from safetensors.numpy import save_file

from pal.errors import CheckpointError
from pal.models.bases import fetch_base
from pal.models.hub import cache_dir
from pal.settings import REPOSITORY

if TYPE_CHECKING:
    from gguf import GGUFReader

# Kinds of LoRA that nothing here applies.
UNUSUAL = ("lora_bias", "target_parameters", "use_bdlora", "use_dora")
MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_PEFT_NAME = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.([\w.]+)\.lora_([AB])\.weight")
_GGUF_NAME = re.compile(r"blk\.(\d+)\.(\w+)\.weight\.lora_([ab])")
_UNSUPPORTED = ("alpha_pattern", *UNUSUAL, "modules_to_save")
_FORMAT = 1  # part of the cache key; raise it when the conversion changes


def adapter_path(variant: str, root: Path | None = None) -> Path:
    """Folder of a variant's PEFT adapter.

    ``root`` holds one folder per variant; None takes ``PAL_ADAPTERS``, or the
    repository's ``assets/adapters``.

    Raises:
        CheckpointError: there is no adapter of that name.
    """
    if root is None:
        override = os.environ.get("PAL_ADAPTERS")
        root = Path(override).expanduser() if override else REPOSITORY / "assets" / "adapters"
    folder = root / variant
    missing = [
        name for name in ("adapter_config.json", "adapter_model.safetensors") if not (folder / name).is_file()
    ]
    if missing:
        raise CheckpointError(
            f"There is no adapter “{variant}”: {folder} lacks {' and '.join(missing)}. "
            f"Train it with “python -m pal train”, or set PAL_ADAPTERS to a folder that holds “{variant}”."
        )
    return folder


def read_peft(
    folder: Path, consumer: str, unsupported: Sequence[str] = UNUSUAL
) -> tuple[dict, dict[str, np.ndarray]]:
    """``adapter_config.json`` and the float32 tensors of an adapter folder.

    Args:
        consumer: who will apply it; named in the error.
        unsupported: settings that ``consumer`` cannot apply.

    Raises:
        CheckpointError: a file is missing or damaged, or the adapter is no
            LoRA or uses one of ``unsupported``.
    """
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
        tensors = read_safetensors(folder / "adapter_model.safetensors")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} is not a readable PEFT adapter: {error}") from error
    used = [name for name in unsupported if config.get(name)]
    if config.get("peft_type") != "LORA":
        used.append(f"peft_type {config.get('peft_type')}")
    if used:
        raise CheckpointError(
            f"{folder}: {consumer} cannot apply an adapter with {', '.join(used)}; train a plain LoRA."
        )
    return config, tensors


def adapter_hash(adapter_dir: Path) -> str:
    """Hex SHA-256 of an adapter's configuration and weights; names it in records.

    Raises:
        CheckpointError: a file is missing.
    """
    digest = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        try:
            with (adapter_dir / name).open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise CheckpointError(f"{adapter_dir} is not a PEFT adapter: {error.strerror}: {name}") from error
    return digest.hexdigest()


def read_safetensors(path: Path, skip: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Tensors as float32, bfloat16 included (which NumPy lacks), without torch;
    those of a type in ``skip`` (safetensors' names) are left out.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or a tensor is of another type.
    """
    tensors: dict[str, np.ndarray] = {}
    try:
        entries = deserialize(path.read_bytes())
    except Exception as error:  # SafetensorError has no public base of its own
        raise ValueError(f"{path.name}: {error}") from error
    for name, entry in entries:
        if entry["dtype"] in skip:
            continue
        if entry["dtype"] == "BF16":
            flat = (np.frombuffer(entry["data"], dtype="<u2").astype(np.uint32) << 16).view(np.float32)
        elif entry["dtype"] in ("F32", "F16"):
            flat = np.frombuffer(entry["data"], dtype=f"<f{int(entry['dtype'][1:]) // 8}").astype(np.float32)
        else:
            raise ValueError(f"tensor {name} has type {entry['dtype']}")
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def peft_to_gguf(adapter_dir: Path, out_path: Path, base: Path | None = None) -> Path:
    """Write the GGUF LoRA of a PEFT adapter; returns ``out_path``.

    Args:
        adapter_dir: folder with ``adapter_config.json`` and ``adapter_model.safetensors``.
        base: GGUF of the base the adapter belongs to (its head counts decide
            the order of rows); None takes the pinned base.

    Raises:
        CheckpointError: a file is missing or damaged, or the adapter has
            parts that llama.cpp cannot apply.
    """
    from gguf import GGUFWriter

    config, tensors = read_peft(adapter_dir, "llama.cpp", _UNSUPPORTED)
    if config.get("use_rslora") and config.get("rank_pattern"):
        raise CheckpointError(f"{adapter_dir}: llama.cpp cannot apply both use_rslora and rank_pattern.")
    architecture, heads = _heads(base or fetch_base())
    out_path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=out_path.parent, prefix=out_path.name + ".")
    os.close(handle)
    partial = Path(name)
    try:
        writer = GGUFWriter(partial, architecture)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", _gguf_alpha(config))
        for tensor_name, tensor in sorted(tensors.items()):
            layer, module, part = _split(tensor_name, adapter_dir)
            if part == "B" and MODULES[module] in heads:
                tensor = _interleave(tensor, heads[MODULES[module]])
            writer.add_tensor(f"blk.{layer}.{MODULES[module]}.weight.lora_{part.lower()}", tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(partial, out_path)
    finally:
        partial.unlink(missing_ok=True)
    return out_path


def gguf_to_peft(gguf_path: Path, out_dir: Path, base: Path | None = None) -> Path:
    """Write the PEFT adapter (float32 safetensors) of a GGUF LoRA; returns ``out_dir``.

    Raises:
        CheckpointError: the file is not a GGUF LoRA of a Llama base.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(gguf_path)
    except (OSError, ValueError, IndexError) as error:
        raise CheckpointError(f"{gguf_path} cannot be read as GGUF: {error}") from error
    alpha = _field(reader, "adapter.lora.alpha", gguf_path)
    _, heads = _heads(base or fetch_base())
    names = {short: long for long, short in MODULES.items()}
    tensors: dict[str, np.ndarray] = {}
    for entry in reader.tensors:
        match = _GGUF_NAME.fullmatch(entry.name)
        if not match or match[2] not in names or entry.tensor_type.name not in ("F32", "F16"):
            kind = entry.tensor_type.name
            raise CheckpointError(f"{gguf_path}: cannot convert tensor “{entry.name}” ({kind})")
        tensor = np.array(entry.data, dtype=np.float32)
        if match[3] == "b" and match[2] in heads:
            tensor = _halves(tensor, heads[match[2]])
        module = f"base_model.model.model.layers.{match[1]}.{names[match[2]]}"
        tensors[f"{module}.lora_{match[3].upper()}.weight"] = tensor
    ranks = {tensor.shape[0] for name, tensor in tensors.items() if ".lora_A." in name}
    if len(ranks) != 1:
        raise CheckpointError(f"{gguf_path}: expected one LoRA rank, found {sorted(ranks) or 'none'}")
    rank = ranks.pop()
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": rank,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "target_modules": sorted({name.split(".")[-3] for name in tensors}),
        "bias": "none",
        "inference_mode": True,
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out_dir / "adapter_model.safetensors", metadata={"format": "pt"})
    (out_dir / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return out_dir


def gguf_adapter(adapter_dir: Path) -> Path:
    """The adapter's GGUF LoRA in the cache, converted once per content.

    Raises:
        CheckpointError: as ``peft_to_gguf``.
    """
    path = cache_dir() / "adapters" / f"{adapter_hash(adapter_dir)[:32]}-{_FORMAT}.gguf"
    return path if path.is_file() else peft_to_gguf(adapter_dir, path)


def _gguf_alpha(config: dict) -> float:
    """llama.cpp scales by alpha/r; rank-stabilised LoRA by alpha/sqrt(r)."""
    factor = config["r"] ** 0.5 if config.get("use_rslora") else 1.0
    return float(config["lora_alpha"]) * factor


def _split(name: str, adapter_dir: Path) -> tuple[int, str, str]:
    match = _PEFT_NAME.fullmatch(name)
    if not match or match[2] not in MODULES:
        raise CheckpointError(f"{adapter_dir}: no place in a Llama GGUF for tensor “{name}”")
    return int(match[1]), match[2], match[3]


def _field(reader: GGUFReader, key: str, path: Path):
    field = reader.get_field(key)
    if field is None:
        raise CheckpointError(f"{path} has no “{key}”: not the GGUF expected here")
    return field.contents()


def _heads(base: Path) -> tuple[str, dict[str, int]]:
    """Architecture, and the number of heads of each reordered tensor."""
    from gguf import GGUFReader

    reader = GGUFReader(base)
    architecture = _field(reader, "general.architecture", base)
    if architecture != "llama":
        raise CheckpointError(f"{base} is a “{architecture}” model; LoRA conversion knows “llama” only")
    heads = {
        "attn_q": _field(reader, "llama.attention.head_count", base),
        "attn_k": _field(reader, "llama.attention.head_count_kv", base),
    }
    return architecture, heads


def _interleave(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head from (first half, second half) to (pairs); [out, r] → [out, r]."""
    return np.ascontiguousarray(rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape))


def _halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of ``_interleave``."""
    return np.ascontiguousarray(rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape))
