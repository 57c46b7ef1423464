"""Who replies in an evaluation (the page's variants, the untuned base, further adapters, ablations),
what is opened for it, and what the results name.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pal.chat.responder import Encoder, Responder
from pal.chat.selection import PURE, TunedSelection, read_selection
from pal.chat.variants import shipped
from pal.dialogue.prompt import Renderer
from pal.errors import DataError
from pal.evaluation.walk import GOLD, NOTHING, PREDICTED
from pal.files import sha256
from pal.models.adapters import adapter_path
from pal.models.bases import BASE
from pal.settings import Settings

GOLD_REPLIES = "gold"  # the data's own replies, scored beside the contenders'
UNTUNED = "untuned"
ENDS = {NOTHING: "none", GOLD: "oracle"}  # of the ablations' names


@dataclass(frozen=True)
class Contender:
    """One row of an evaluation.

    ``name``: in files and results. ``variant``: the page's variant whose
    prompt and selection settings it has. ``adapter``: PEFT folder, None for
    the untuned base. ``choice``: who chooses the sentence; see
    ``pal.evaluation.walk.CHOICES``.
    """

    name: str
    variant: str
    adapter: Path | None
    choice: str = PREDICTED

    @property
    def selects(self) -> bool:
        """It has persona turns."""
        return shipped()[self.variant].selects

    @property
    def predicts(self) -> bool:
        """It selects by itself."""
        return self.selects and self.choice == PREDICTED

    @property
    def adapter_hash(self) -> str | None:
        """SHA-256 of the adapter's weights; None for the untuned base."""
        return sha256(self.adapter / "adapter_model.safetensors") if self.adapter else None

    def to_json(self, tuned: TunedSelection) -> dict[str, Any]:
        """What determines its replies, as plain JSON."""
        found = {
            "variant": self.variant,
            "choice": self.choice,
            "base": BASE.sha256,
            "adapter": self.adapter_hash,
        }
        for title, settings in (("selection", tuned.used), ("pure_pal", tuned.pure)):
            if self.predicts and self.variant in settings:
                found[title] = asdict(settings[self.variant])
        return found


def parent(name: str) -> tuple[str, str | None]:
    """The contender that an ablation ablates and what that is told; of others the name itself and None."""
    for choice, told in ((NOTHING, "no selection"), (GOLD, "gold sentence")):
        stem = name.removesuffix(f"-{ENDS[choice]}")
        if stem != name:
            return stem, told
    return name, None


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
    from pal import engines

    if isinstance(adapters, Path):
        adapters = shipped(adapters).adapters
    engine = engines.open(Settings.from_env(os.environ), {name: adapters[name] for name in variants})
    try:
        encoder = open_encoder() if prior else None
        yield Responder(engine, Renderer(engine.tokenizer), shipped(), encoder=encoder)
    finally:
        engine.close()


def open_encoder() -> Encoder:
    """The sentence encoder.

    Raises:
        CheckpointError: it cannot be got.
    """
    from pal.models.encoder import MiniLMEncoder, fetch_encoder

    return MiniLMEncoder(fetch_encoder())


def open_renderer() -> Renderer:
    """The renderer over the base's tokenizer."""
    from pal.dialogue.prompt import BaseTokenizer
    from pal.models.bases import base_tokenizer_path

    return Renderer(BaseTokenizer(base_tokenizer_path()))


def chosen_selection(name: str | None) -> TunedSelection:
    """The settings that ``--selection`` names; without it the page's, if there are any.

    Raises:
        DataError: the file cannot be used.
    """
    if name is None:
        default = Settings().selection
        return read_selection(default if default.is_file() else PURE, shipped().selecting)
    return read_selection(name, shipped().selecting)


def parse_variants(text: str) -> tuple[str, ...]:
    """Variants of a comma-separated list, each once.

    Raises:
        DataError: one is unknown, or there is none.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise DataError(f"No variant is named; choose among {', '.join(shipped().names)}.")
    return shipped().only(names).names


def adapter_hashes(variants: Sequence[str], adapters: Path) -> dict[str, str]:
    """SHA-256 of each variant's adapter weights.

    Raises:
        CheckpointError: an adapter is missing.
    """

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
