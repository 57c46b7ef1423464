"""The variants side by side in a chat: the three that PAL ships, and further ones that a host names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pal.chat.strategies import STRATEGIES, PlainGeneration, SelectThenGenerate, Strategy
from pal.errors import DataError
from pal.settings import ADAPTERS, Settings


@dataclass(frozen=True)
class Variant:
    """One column of the page.

    Attributes:
        name: in records, exports and files; never shown.
        title: what people read.
        adapter: PEFT folder on top of the base; None for the plain base.
        strategy: how it comes to a reply.
        caption: what it is, in a sentence.
    """

    name: str
    title: str
    adapter: Path | None
    strategy: Strategy
    caption: str = ""

    @property
    def selects(self) -> bool:
        """True when it selects a persona sentence."""
        return self.strategy.selects


@dataclass(frozen=True)
class Variants:
    """All variants of a chat, in the order of their columns."""

    members: tuple[Variant, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(variant.name for variant in self.members)

    @property
    def selecting(self) -> tuple[str, ...]:
        """Names of those that select."""
        return tuple(variant.name for variant in self.members if variant.selects)

    @property
    def adapters(self) -> dict[str, Path | None]:
        """Name → PEFT folder, as ``pal.engines.open`` wants it."""
        return {variant.name: variant.adapter for variant in self.members}

    def title(self, name: str) -> str:
        """The title of a variant; a name that is none, such as of an old record, stands for itself."""
        return self[name].title if name in self else name

    def only(self, names: Sequence[str]) -> Variants:
        """Those that are named, in the order of the names.

        Raises:
            DataError: there is no such variant.
        """
        unknown = [name for name in names if name not in self]
        if unknown:
            raise DataError(f"Unknown variant “{', '.join(unknown)}”; choose among {', '.join(self.names)}.")
        return Variants(tuple(self[name] for name in names))

    def __iter__(self) -> Iterator[Variant]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Variant:
        return self.members[self.names.index(name)]


def shipped(adapters: Path = ADAPTERS) -> Variants:
    """The three variants of PAL with the adapters of one folder."""
    return Variants(
        (
            Variant(
                "baseline",
                "Baseline",
                adapters / "baseline",
                PlainGeneration(),
                "Ordinary fine-tuning: sees the whole persona, selects nothing.",
            ),
            Variant(
                "stage1",
                "Stage 1",
                adapters / "stage1",
                SelectThenGenerate(),
                "Also learned to select the sentence that matters, then reply with it.",
            ),
            Variant(
                "aligned",
                "Aligned",
                adapters / "aligned",
                SelectThenGenerate(),
                "Stage 1, then preference training towards the persona.",
            ),
        )
    )


def read_variants(settings: Settings) -> Variants:
    """The shipped variants, then those of the file that ``PAL_VARIANTS`` names.

    The file is YAML or JSON, a list of::

        - name: mine                 # lower-case letters, digits and _
          title: My checkpoint
          adapter: adapters/mine     # PEFT folder, from the file's own folder; left out: the plain base
          strategy: select           # or plain
          caption: Trained on our own dialogues.

    Raises:
        DataError: the file cannot be read; names the entry and the field.
    """
    own = shipped(settings.adapters)
    if settings.variants is None:
        return own
    path = settings.variants
    try:
        entries = _ENTRIES.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"PAL_VARIANTS: {path} cannot be read: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = " of ".join(_ordinal(part) for part in reversed(problem["loc"])) or "the file"
        raise DataError(f"PAL_VARIANTS: {path}, {place}: {problem['msg']}.") from None
    members = list(own)
    for entry in entries:
        if entry.name in [variant.name for variant in members]:
            raise DataError(f"PAL_VARIANTS: {path} names “{entry.name}”, which there is already.")
        if entry.strategy not in STRATEGIES:
            known = ", ".join(STRATEGIES)
            raise DataError(
                f"PAL_VARIANTS: {path}, strategy of “{entry.name}” is “{entry.strategy}”; there are: {known}."
            )
        adapter = path.parent / entry.adapter.expanduser() if entry.adapter is not None else None
        strategy = STRATEGIES[entry.strategy]
        members.append(Variant(entry.name, entry.title or entry.name, adapter, strategy, entry.caption))
    return Variants(tuple(members))


def _ordinal(part: int | str) -> str:
    return f"entry {part + 1}" if isinstance(part, int) else str(part)


class _Entry(BaseModel):
    """One variant in the file of ``PAL_VARIANTS``."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    title: str = Field(default="", max_length=40)
    adapter: Path | None = None
    strategy: str = SelectThenGenerate.name
    caption: str = Field(default="", max_length=200)


_ENTRIES = TypeAdapter(list[_Entry])
