"""PEFT LoRA adapters: where a variant's is, whose base it belongs to, and its forms for llama.cpp.

Adapters are part of the repository (``assets/adapters/<variant>``; ``PAL_ADAPTERS``
overrides). Two forms of each are written from it when an engine needs them and
kept in the user cache: a GGUF LoRA, which llama.cpp adds while it runs, and the
whole base with the adapter added in, ``merged_gguf``.

Rows of W are rows of B in W + (alpha/r)·B·A, so where llama.cpp orders the rows
of W its own way (``pal.models.gguf_file``), those of B are reordered; every
other tensor is as it is, in float32.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import deserialize
from safetensors.numpy import save_file

from pal.errors import CheckpointError
from pal.files import new_file
from pal.models.bases import BASE, Base, fetch_base, require_base
from pal.models.hub import cache_dir, noted_sha256, writing_cache
from pal.settings import REPOSITORY

if TYPE_CHECKING:
    from pal.models.gguf_file import Reader

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
_UNSUPPORTED = ("alpha_pattern", *UNUSUAL, "modules_to_save", "fan_in_fan_out")
_FORMAT = 1  # part of the caches' keys; raise it when a conversion changes


def adapter_path(variant: str, root: Path | None = None, base: Base = BASE) -> Path:
    """Folder of a variant's PEFT adapter.

    ``root`` holds one folder per variant; None takes ``PAL_ADAPTERS``, or the
    repository's ``assets/adapters``.

    Raises:
        CheckpointError: there is no adapter of that name, or it names another base.
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
    require_base(folder, base)
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


def lora_scale(config: dict, rank: int | None = None) -> np.float32:
    """What B·A is multiplied by: alpha / r, or alpha / sqrt(r) in rank-stabilised
    LoRA. ``rank`` is that of the matrix, where it is not the configuration's."""
    rank = rank or config["r"]
    return np.float32(config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank))


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

    from pal.models.gguf_file import field, read_gguf

    base = base or fetch_base()
    reader = read_gguf(base)
    config, tensors = _llama_tensors(adapter_dir, reader, base)
    with new_file(out_path) as unfinished:
        writer = GGUFWriter(unfinished, field(reader, "general.architecture", base))
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", float(lora_scale(config)) * config["r"])
        for name, tensor in sorted(tensors.items()):
            writer.add_tensor(name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return out_path


def gguf_to_peft(gguf_path: Path, out_dir: Path, base: Path | None = None) -> Path:
    """Write the PEFT adapter (float32 safetensors) of a GGUF LoRA; returns ``out_dir``.

    Raises:
        CheckpointError: the file is not a GGUF LoRA of a Llama base.
    """
    from pal.models.gguf_file import field, halve, read_gguf, reordered_heads

    reader = read_gguf(gguf_path)
    alpha = field(reader, "adapter.lora.alpha", gguf_path)
    base = base or fetch_base()
    heads = reordered_heads(read_gguf(base), base)
    names = {short: long for long, short in MODULES.items()}
    tensors: dict[str, np.ndarray] = {}
    for entry in reader.tensors:
        match = _GGUF_NAME.fullmatch(entry.name)
        if not match or match[2] not in names or entry.tensor_type.name not in ("F32", "F16"):
            kind = entry.tensor_type.name
            raise CheckpointError(f"{gguf_path}: cannot convert tensor “{entry.name}” ({kind})")
        tensor = np.array(entry.data, dtype=np.float32)
        if match[3] == "b" and match[2] in heads:
            tensor = halve(tensor, heads[match[2]])
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
    """The GGUF LoRA, in the cache, of an adapter of the pinned base; converted once per content.

    Raises:
        CheckpointError: as ``peft_to_gguf``, or the adapter names another base,
            or the cache cannot be written.
    """
    require_base(adapter_dir)
    path = cache_dir() / "adapters" / f"{adapter_hash(adapter_dir)[:32]}-{_FORMAT}.gguf"
    if not path.is_file():
        with writing_cache(path.parent):
            peft_to_gguf(adapter_dir, path)
    return path


def merged_gguf(
    base: Path, adapter_folder: Path, *, quantisation: str = "Q8_0", progress: bool = True
) -> Path:
    """The base with the adapter added in, as one GGUF in the cache, written once per content.

    Where the adapter adds to a weight, the base's is dequantised, the sum is
    W + (alpha/r)·B·A, and that is quantised anew; every other tensor is copied.

    Args:
        base: GGUF of a Llama model.
        adapter_folder: a PEFT LoRA of that base.
        quantisation: of the sums, by its GGUF name: ``Q8_0``, ``F16``, ``F32``.
        progress: show a bar on standard error while it is written.

    Raises:
        CheckpointError: the base is no Llama GGUF, the adapter does not fit it
            or has parts that cannot be added, or the cache cannot be written.
    """
    key = f"{noted_sha256(base)[:16]}-{adapter_hash(adapter_folder)[:32]}-{quantisation}-{_FORMAT}"
    path = cache_dir() / "merged" / f"{key}.gguf"
    if path.is_file():
        return path
    with writing_cache(path.parent), new_file(path) as unfinished:
        _write_merged(base, adapter_folder, quantisation, unfinished, progress)
    return path


def _write_merged(base: Path, adapter_folder: Path, quantisation: str, path: Path, progress: bool) -> None:
    from pal.models.gguf_file import read_gguf, write_changed

    reader = read_gguf(base)
    config, tensors = _llama_tensors(adapter_folder, reader, base)
    changes = {}
    for name, a in tensors.items():
        if name.endswith(".lora_a"):
            weight = name.removesuffix(".lora_a")
            changes[weight] = lora_scale(config, a.shape[0]) * tensors[f"{weight}.lora_b"], a
    write_changed(
        reader,
        {name: partial(_plus, *parts) for name, parts in changes.items()},
        quantisation,
        path,
        f"{adapter_folder.name}: merging" if progress else "",
    )


def _plus(b: np.ndarray, a: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return weight + b @ a


def _llama_tensors(folder: Path, reader: Reader, base: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """An adapter's configuration, and its tensors by llama.cpp's names
    (``blk.3.attn_q.weight.lora_b``) with its order of rows: a [rank, in], b [out, rank].

    Raises:
        CheckpointError: llama.cpp cannot apply the adapter, or not to this base.
    """
    from pal.models.gguf_file import interleave, reordered_heads

    config, tensors = read_peft(folder, "llama.cpp", _UNSUPPORTED)
    if config.get("use_rslora") and config.get("rank_pattern"):
        raise CheckpointError(f"{folder}: llama.cpp cannot apply both use_rslora and rank_pattern.")
    heads = reordered_heads(reader, base)
    shapes = {tensor.name: tuple(reversed(tensor.shape.tolist())) for tensor in reader.tensors}
    result = {}
    for name, tensor in tensors.items():
        match = _PEFT_NAME.fullmatch(name)
        if not match or match[2] not in MODULES:
            raise CheckpointError(f"{folder}: no place in a Llama GGUF for tensor “{name}”")
        module, part = MODULES[match[2]], match[3]
        weight = f"blk.{match[1]}.{module}.weight"
        axis = 1 if part == "A" else 0
        if weight not in shapes or shapes[weight][axis] != tensor.shape[axis]:
            raise CheckpointError(
                f"{folder} was trained on another base than {base.name}: its tensor “{name}” is "
                f"{list(tensor.shape)}, the base's weight {list(shapes.get(weight, ())) or 'missing'}."
            )
        if part == "B" and module in heads:
            tensor = interleave(tensor, heads[module])
        result[f"{weight}.lora_{part.lower()}"] = tensor
    unpaired = sorted(name for name in result if name[:-1] + "ba"[name[-1] == "b"] not in result)
    if unpaired:
        raise CheckpointError(f"{folder}: “{unpaired[0]}” is half of a pair; the file is damaged.")
    return config, result
