"""What an evaluation opens: engine, renderer, encoder; and what it names in its results."""

from __future__ import annotations

import argparse
import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from pal.engines.base import VARIANTS
from pal.errors import DataError
from pal.evaluation.selection_file import PURE, TunedSelection, read_selection
from pal.prompt import Renderer
from pal.respond import Encoder, Responder
from pal.settings import Settings


@contextmanager
def opened(
    variants: Sequence[str], adapters: Path | Mapping[str, Path | None], *, prior: bool = True
) -> Iterator[Responder]:
    """A responder over the CPU engine; closed afterwards.

    Args:
        adapters: the folder of the adapters, or each variant's (None: the plain base).
        prior: with the sentence encoder.

    Raises:
        CheckpointError: the base, the encoder or an adapter is missing.
    """
    from pal.engines.llamacpp import LlamaCppEngine

    engine = LlamaCppEngine.from_adapters(adapters, tuple(variants))
    try:
        yield Responder(engine, open_renderer(), encoder=open_encoder() if prior else None)
    finally:
        engine.close()


def open_encoder() -> Encoder:
    """The sentence encoder.

    Raises:
        CheckpointError: it cannot be got.
    """
    from pal.checkpoints import fetch_encoder
    from pal.encoder import MiniLMEncoder

    return MiniLMEncoder(fetch_encoder())


def open_renderer() -> Renderer:
    """The renderer over the base's tokenizer."""
    from pal.checkpoints import base_tokenizer_path
    from pal.tokenizer import BaseTokenizer

    return Renderer(BaseTokenizer(base_tokenizer_path()))


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """``--adapters`` and ``--selection``, shared by the evaluating commands."""
    parser.add_argument(
        "--adapters",
        type=Path,
        default=Settings().adapters,
        help="folder with one PEFT adapter folder per variant",
    )
    parser.add_argument(
        "--selection",
        default=None,
        metavar="FILE|pure",
        help="selection settings; default: those of the page, or pure PAL while none are tuned",
    )


def chosen_selection(name: str | None) -> TunedSelection:
    """The settings that ``--selection`` names; without it the page's, if there are any.

    Raises:
        DataError: the file cannot be used.
    """
    if name is None:
        default = Settings().selection
        return read_selection(default if default.is_file() else PURE)
    return read_selection(name)


def parse_variants(text: str) -> tuple[str, ...]:
    """Variants of a comma-separated list, each once.

    Raises:
        DataError: one is unknown, or there is none.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or not names:
        raise DataError(f"Unknown variant “{', '.join(unknown)}”; choose among {', '.join(VARIANTS)}.")
    return names


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


def adapter_hashes(variants: Sequence[str], adapters: Path) -> dict[str, str]:
    """SHA-256 of each variant's adapter weights.

    Raises:
        CheckpointError: an adapter is missing.
    """
    from pal.checkpoints import adapter_path

    return {
        variant: sha256(adapter_path(variant, adapters) / "adapter_model.safetensors") for variant in variants
    }


def describe_models(
    data: Path, variants: Sequence[str], adapters: Path, tuned: TunedSelection
) -> dict[str, object]:
    """What determines the answers to ``data``, as plain JSON.

    Raises:
        CheckpointError: an adapter is missing.
    """
    return {
        "data": {"file": data.name, "sha256": sha256(data)},
        "adapters": adapter_hashes(variants, adapters),
        "selection": {name: asdict(values) for name, values in tuned.used.items()},
    }


def software() -> dict[str, str]:
    """Versions that a number may depend on."""
    packages = ("torch", "transformers", "peft", "xllamacpp", "onnxruntime", "sacrebleu", "rouge-score")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
