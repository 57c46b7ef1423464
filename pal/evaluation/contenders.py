"""Who replies in an evaluation (the variants that are served, the untuned base, further adapters,
ablations), what is opened for it, and what the results name.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pal import engines
from pal.chat.responder import Encoder, Responder
from pal.chat.selection import PURE, TunedSelection, read_selection
from pal.chat.variants import Variant, Variants, read_variants
from pal.errors import DataError
from pal.evaluation.walk import GOLD, NOTHING, PREDICTED
from pal.files import sha256
from pal.models.bases import BASE
from pal.settings import Settings

GOLD_REPLIES = "gold"  # the data's own replies, scored beside the contenders'
UNTUNED = "untuned"
ENDS = {NOTHING: "none", GOLD: "oracle"}  # of the names of ablations


@dataclass(frozen=True)
class Contender:
    """One row of an evaluation.

    ``name``: in files and results. ``variant``: its adapter, and whose strategy,
    prompt and selection settings it has. ``choice``: who chooses the sentence;
    see ``pal.evaluation.walk.CHOICES``.
    """

    name: str
    variant: Variant
    choice: str = PREDICTED

    @property
    def selects(self) -> bool:
        """It has persona turns."""
        return self.variant.selects

    @property
    def predicts(self) -> bool:
        """It selects by itself."""
        return self.selects and self.choice == PREDICTED

    def ablation(self, choice: str) -> Contender:
        """The same, told what to select."""
        return replace(self, name=f"{self.name}-{ENDS[choice]}", choice=choice)

    def to_json(self, tuned: TunedSelection) -> dict[str, Any]:
        """What determines its replies, as plain JSON."""
        content = {
            "variant": self.variant.name,
            "choice": self.choice,
            "base": BASE.sha256,
            "adapter": weights_hash(self.variant),
        }
        for title, settings in (("selection", tuned.used), ("pure_pal", tuned.pure)):
            if self.predicts and self.variant.name in settings:
                content[title] = asdict(settings[self.variant.name])
        return content


def served(adapters: Path | None = None) -> Settings:
    """The settings of what is served, from the environment: what is measured by default.

    Args:
        adapters: instead of theirs, where given.

    Raises:
        SettingsError: an unknown ``PAL_*`` name, or a value that cannot be.
    """
    settings = Settings.from_env(os.environ)
    return replace(settings, adapters=adapters) if adapters else settings


def chosen_variants(names: str | None, settings: Settings, *, selecting: bool = False) -> Variants:
    """The served variants of a comma-separated list; all without one.

    Args:
        selecting: leave out those that select nothing.

    Raises:
        DataError: one is unknown, or none is left.
    """
    known = read_variants(settings)
    listed = (
        known.names if names is None else tuple(name.strip() for name in names.split(",") if name.strip())
    )
    chosen = known.only(tuple(dict.fromkeys(listed)))
    if selecting:
        chosen = chosen.only(chosen.selecting)
    if not len(chosen):
        able = known.selecting if selecting else known.names
        raise DataError(f"--variants is “{names}”; choose among {', '.join(able)}.")
    return chosen


def chosen_selection(name: str | None, settings: Settings) -> TunedSelection:
    """The selection settings that ``--selection`` names; without it those that
    are served, pure PAL while the repository has none tuned.

    Raises:
        DataError: the file cannot be used.
    """
    untuned = settings.selection == Settings().selection and not settings.selection.is_file()
    path = name or (PURE if untuned else settings.selection)
    return read_selection(path, read_variants(settings).selecting)


@contextmanager
def opened(settings: Settings, variants: Variants, *, prior: bool = True) -> Iterator[Responder]:
    """A responder over the engine that serves; closed afterwards.

    Args:
        prior: with the sentence encoder.

    Raises:
        CheckpointError: the base, the encoder or an adapter is missing.
    """
    engine = engines.open(settings, variants.adapters)
    try:
        yield Responder(engine, engine.renderer, variants, encoder=open_encoder() if prior else None)
    finally:
        engine.close()


def open_encoder() -> Encoder:
    """The sentence encoder.

    Raises:
        CheckpointError: it cannot be got.
    """
    from pal.models.encoder import MiniLMEncoder, fetch_encoder

    return MiniLMEncoder(fetch_encoder())


def weights_hash(variant: Variant) -> str | None:
    """SHA-256 of a variant's adapter weights; None for the plain base.

    Raises:
        DataError: there are none.
    """
    return sha256(variant.adapter / "adapter_model.safetensors") if variant.adapter else None


def describe_models(data: Path, variants: Variants, tuned: TunedSelection) -> dict[str, object]:
    """What determines the answers to ``data``, as plain JSON.

    Raises:
        DataError: an adapter is missing.
    """
    return {
        "data": {"file": data.name, "sha256": sha256(data)},
        "adapters": {variant.name: weights_hash(variant) for variant in variants},
        "selection": {name: asdict(values) for name, values in tuned.used.items()},
    }


def describe_engine(engine: engines.Engine) -> dict[str, str]:
    """What replied, as plain JSON; the fingerprint is equal when all is."""
    identity = engine.identity
    return {
        "name": identity.engine,
        "quantisation": identity.quantisation,
        "version": identity.version,
        "fingerprint": identity.fingerprint,
    }


def software() -> dict[str, str]:
    """Versions that a number may depend on."""
    packages = ("torch", "transformers", "peft", "xllamacpp", "onnxruntime", "sacrebleu", "rouge-score")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
