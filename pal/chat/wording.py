"""A turn in words, as the page and the terminal show it: names, settings, badges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pal.chat.conversation import Reply
from pal.chat.selection import Selection, SelectionSettings
from pal.chat.variants import Variants
from pal.engines.base import Decoding
from pal.models.consistency import LABELS

WORDS = {"contradiction": "contradicts", "neutral": "neutral", "entailment": "entails"}
MARKS = {"contradiction": "✕", "neutral": "·", "entailment": "✓"}


def percent(probability: float) -> str:
    """A probability as people read it; certainty is never claimed by rounding."""
    if 0 < probability < 0.005:
        return "< 1 %"
    if 0.995 <= probability < 1:
        return "> 99 %"
    return f"{probability:.0%}".replace("%", " %")


def describe_selection(selection: Selection, sentences: Sequence[str]) -> str:
    """“I am a nurse. · 83 %”, as plain text."""
    chosen = "none" if selection.selected is None else sentences[selection.selected]
    return f"{chosen} · {percent(selection.confidence)}"


def describe_decoding(seed: int, decoding: Decoding) -> str:
    """Seed and decoding settings of a turn, as plain text."""
    sampling = (
        f"temperature {decoding.temperature:g} · top-p {decoding.top_p:g}"
        if decoding.temperature
        else "greedy"
    )
    return (
        f"seed {seed} · {sampling} · repeat penalty {decoding.repeat_penalty:g} · "
        f"at most {decoding.max_tokens} tokens"
    )


def setting_names(settings: Mapping[str, SelectionSettings], variants: Variants) -> str:
    """The selection setting by name; each model's own when they differ."""
    labels = {name: settings.get(name, SelectionSettings()).label for name in variants.selecting}
    if len(set(labels.values())) <= 1:
        return next(iter(labels.values()), "")
    return "; ".join(f"{variants.title(name)}: {label}" for name, label in labels.items())


@dataclass(frozen=True)
class Badge:
    """The verdict on one sentence: the likeliest label and its probability."""

    sentence: str
    label: str
    probability: float

    @property
    def text(self) -> str:
        """“✓ entails: I am a nurse. · 93 %”, as plain text."""
        return f"{MARKS[self.label]} {WORDS[self.label]}: {self.sentence} · {percent(self.probability)}"


def badges(reply: Reply, sentences: Sequence[str]) -> tuple[Badge, ...]:
    """A badge for each sentence, in their order; none while the reply is not judged."""
    if reply.consistency is None:
        return ()
    return tuple(
        Badge(sentence, LABELS[label], row[label])
        for sentence, row in zip(sentences, reply.consistency, strict=True)
        for label in [max(range(len(row)), key=row.__getitem__)]
    )
