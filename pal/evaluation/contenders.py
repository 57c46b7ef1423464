"""Who replies in an evaluation: the page's variants, the untuned base, further adapters, ablations."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pal.checkpoints import BASE, adapter_path
from pal.engines.base import SELECTING_VARIANTS, VARIANTS
from pal.errors import DataError
from pal.evaluation.selection_file import TunedSelection
from pal.evaluation.serving import parse_variants, sha256
from pal.evaluation.walk import GOLD, NOTHING, PREDICTED

GOLD_REPLIES = "gold"  # the data's own replies, scored beside the contenders'
UNTUNED = "untuned"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_ENDS = {NOTHING: "none", GOLD: "oracle"}  # of the ablations' names


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
        return self.variant in SELECTING_VARIANTS

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
            "base": BASE.files[0].sha256,
            "adapter": self.adapter_hash,
        }
        for title, settings in (("selection", tuned.used), ("pure_pal", tuned.pure)):
            if self.predicts and self.variant in settings:
                found[title] = asdict(settings[self.variant])
        return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who takes part."""
    parser.add_argument(
        "--variants", default=",".join(VARIANTS), help="comma-separated; default: all three of the page"
    )
    parser.add_argument(
        "--untuned", action="store_true", help="also the base without an adapter, with the baseline's prompt"
    )
    parser.add_argument(
        "--extra",
        action="append",
        default=[],
        metavar="NAME=FOLDER:VARIANT",
        help="also this adapter, prompted like VARIANT; may be given several times "
        "(dpo_baseline=runs/dpo_baseline/adapter:baseline)",
    )
    parser.add_argument(
        "--without-selection", action="store_true", help="also every selecting one told to select nothing"
    )
    parser.add_argument(
        "--oracle",
        action="store_true",
        help="also every selecting one told the gold sentence: an upper bound",
    )


def chosen_contenders(args: argparse.Namespace) -> tuple[Contender, ...]:
    """The contenders that the arguments name, ablations last.

    Raises:
        DataError: an unknown variant, or a bad or repeated name.
        CheckpointError: an adapter is missing.
    """
    found = [
        Contender(name, name, adapter_path(name, args.adapters)) for name in parse_variants(args.variants)
    ]
    if args.untuned:
        found.append(Contender(UNTUNED, "baseline", None))
    found += [_extra(text) for text in args.extra]
    for wanted, choice in ((args.without_selection, NOTHING), (args.oracle, GOLD)):
        if wanted:
            found += [
                replace(one, name=f"{one.name}-{_ENDS[choice]}", choice=choice)
                for one in found
                if one.predicts
            ]
    names = [one.name for one in found]
    repeated = sorted({name for name in names if names.count(name) > 1 or name == GOLD_REPLIES})
    if repeated:
        raise DataError(f"The name “{repeated[0]}” is taken; give the --extra adapter another one.")
    return tuple(found)


def _extra(text: str) -> Contender:
    name, _, rest = text.partition("=")
    folder, _, variant = rest.rpartition(":")
    if not _NAME.fullmatch(name) or not folder or variant not in VARIANTS:
        raise DataError(
            f"--extra is “{text}”; it must be NAME=FOLDER:VARIANT, NAME of a–z, 0–9 and _, "
            f"VARIANT one of {', '.join(VARIANTS)}."
        )
    path = Path(folder).expanduser()
    return Contender(name, variant, adapter_path(path.name, path.parent))


def parent(name: str) -> tuple[str, str | None]:
    """The contender that an ablation ablates and what that is told; of others the name itself and None."""
    for choice, told in ((NOTHING, "no selection"), (GOLD, "gold sentence")):
        stem = name.removesuffix(f"-{_ENDS[choice]}")
        if stem != name:
            return stem, told
    return name, None
