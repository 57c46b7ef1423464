"""Reading PEFT LoRA adapters without torch or peft."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import deserialize

from pal.errors import CheckpointError

# Kinds of LoRA that nothing here applies.
UNUSUAL = ("lora_bias", "target_parameters", "use_bdlora", "use_dora")


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
