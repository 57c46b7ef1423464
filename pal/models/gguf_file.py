"""GGUF files of Llama models: what is in them, and which rows llama.cpp orders its own way.

llama.cpp stores the rows of ``q_proj`` and ``k_proj`` in another order than
transformers, because its rotary embedding pairs neighbouring dimensions
instead of halves. See ``LlamaModel.permute`` of llama.cpp's converter.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.quants import dequantize, quant_shape_to_byte_shape, quantize
from tqdm import tqdm

from pal.errors import CheckpointError


class Reader(GGUFReader):
    """``GGUFReader`` that reads an array in one go. The library's own takes
    five seconds for the 98,000 strings of a vocabulary, this one a tenth of one."""

    def _get_field_parts(self, orig_offs: int, raw_type: int):
        if raw_type != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        kind, count = self._get(orig_offs, np.uint32), self._get(orig_offs + 4, np.uint64)
        item, start = GGUFValueType(kind[0]), orig_offs + 12
        if item in self.gguf_scalar_to_np:
            parts = [self._get(start, self.gguf_scalar_to_np[item], count[0])]
            end = start + parts[0].nbytes
        elif item == GGUFValueType.STRING and self.byte_order == "I":
            parts, end = self._strings(start, int(count[0]))
        else:
            return super()._get_field_parts(orig_offs, raw_type)
        indices = list(range(2, 2 + len(parts)))
        return end - orig_offs, [kind, count, *parts], indices, [GGUFValueType.ARRAY, item]

    def _strings(self, start: int, count: int) -> tuple[list[memoryview], int]:
        view, parts = memoryview(self.data), []
        for _ in range(count):
            (length,) = struct.unpack_from("<Q", view, start)
            parts.append(view[start + 8 : start + 8 + length])
            start += 8 + length
        return parts, start


def read_gguf(path: Path) -> Reader:
    """The file's fields and tensors; their data is mapped, not read.

    Raises:
        CheckpointError: it is not there or is no GGUF.
    """
    try:
        return Reader(path)
    except (OSError, ValueError, IndexError, KeyError, struct.error) as error:
        raise CheckpointError(f"{path} cannot be read as GGUF: {error}") from error


def field(reader: Reader, key: str, path: Path) -> Any:
    """The value of a metadata field.

    Raises:
        CheckpointError: the file has no such field.
    """
    entry = reader.get_field(key)
    if entry is None:
        raise CheckpointError(f"{path} has no “{key}”: not the GGUF expected here")
    return entry.contents()


def reordered_heads(reader: Reader, path: Path) -> dict[str, int]:
    """The number of heads of each tensor whose rows llama.cpp reorders, ``attn_q`` and ``attn_k``.

    Raises:
        CheckpointError: the file is no Llama model.
    """
    architecture = field(reader, "general.architecture", path)
    if architecture != "llama":
        raise CheckpointError(f"{path} is a “{architecture}” model; LoRA conversion knows “llama” only")
    return {
        "attn_q": field(reader, "llama.attention.head_count", path),
        "attn_k": field(reader, "llama.attention.head_count_kv", path),
    }


def interleave(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head from (first half, second half) to (pairs), as llama.cpp
    has them; [out, columns] → [out, columns]."""
    return np.ascontiguousarray(rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape))


def halve(rows: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of ``interleave``."""
    return np.ascontiguousarray(rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape))


def write_changed(
    reader: Reader,
    changes: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    quantisation: str,
    path: Path,
    progress: str,
) -> None:
    """Write a copy of a GGUF in which some weights are others.

    Args:
        reader: the original; its metadata and all other tensors are copied.
        changes: for each of these tensors, what its new weights are, float32
            [out, in], of the old ones.
        quantisation: GGUF's name for the type in which the new weights are stored.
        progress: what the bar on standard error is called; "" for no bar.
    """
    kind = GGMLQuantizationType[quantisation]
    writer = GGUFWriter(path, reader.get_field("general.architecture").contents())
    writer.data_alignment = reader.alignment
    for key, entry in reader.fields.items():
        if key.startswith("GGUF.") or key in writer.kv_data[0]:
            continue
        value = entry.contents()
        if key == "general.file_type":
            value = int(LlamaFileType[f"MOSTLY_{quantisation}" if quantisation != "F32" else "ALL_F32"])
        writer.add_key_value(key, value, entry.types[0], entry.types[-1] if len(entry.types) > 1 else None)
    for tensor in reader.tensors:
        if tensor.name in changes:
            shape = tuple(reversed(tensor.shape.tolist()))
            size = int(np.prod(quant_shape_to_byte_shape(shape, kind)))
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), size, kind)
        else:
            data = tensor.data
            writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    bar = tqdm(reader.tensors, desc=progress, unit="tensor", disable=None if progress else True, leave=False)
    for tensor in bar:
        data = np.asarray(tensor.data)  # the plain array: slices of a memmap are slow
        if tensor.name in changes:
            data = quantize(changes[tensor.name](dequantize(data, tensor.tensor_type)), kind)
        writer.write_tensor_data(data)
    writer.close()
