"""A turn in words, as the page and the terminal show it: names, settings, badges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pal.chat.conversation import Reply
from pal.chat.selection import Selection, SelectionSettings
from pal.chat.variants import Variants
from pal.dialogue.findings import Finding
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
    """The verdict on one sentence: a label with its probability in the consistency model, or, where
    something is wrong, ``note`` says what, such as “says 3, the persona says 5”."""

    sentence: str
    label: str
    probability: float
    note: str = ""

    @property
    def said(self) -> bool:
        """The reply says something about the sentence."""
        return self.label != "neutral" or bool(self.note)

    @property
    def word(self) -> str:
        """“entails”, “contradicts”, “neutral”, or “differs from” where something else is wrong."""
        return "differs from" if self.note and self.label == "neutral" else WORDS[self.label]

    @property
    def reason(self) -> str:
        """The note, else the probability as people read it."""
        return self.note or percent(self.probability)

    @property
    def text(self) -> str:
        """“✓ entails: I am a nurse. · 93 %”, as plain text."""
        return f"{MARKS[self.label]} {self.word}: {self.sentence} · {self.reason}"


def badges(reply: Reply, sentences: Sequence[str]) -> tuple[Badge, ...]:
    """A badge for each sentence, in their order; none while the reply is not judged.

    A sentence is contradicted when a finding says so, whatever the consistency
    model makes of the whole reply; without findings the likeliest label stands.
    """
    if reply.consistency is None:
        return ()
    return tuple(
        _badge(sentence, row, None if reply.findings is None else _about(place, reply.findings))
        for place, (sentence, row) in enumerate(zip(sentences, reply.consistency, strict=True))
    )


def _about(place: int, findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.sentence == place]


def _badge(sentence: str, row: Sequence[float], findings: Sequence[Finding] | None) -> Badge:
    contradiction, neutral, entailment = range(len(LABELS))
    if findings is None:
        label = max(range(len(row)), key=row.__getitem__)
        return Badge(sentence, LABELS[label], row[label])
    note = "; ".join(finding.text for finding in findings if finding.kind != "contradiction")
    if any(finding.contradicts for finding in findings):
        return Badge(sentence, LABELS[contradiction], max((row[contradiction], *_heard(findings))), note)
    label = neutral if findings or row[neutral] >= row[entailment] else entailment
    return Badge(sentence, LABELS[label], row[label], note)


def _heard(findings: Sequence[Finding]) -> list[float]:
    """The model's probabilities of contradictions among the findings."""
    return [finding.probability for finding in findings if finding.probability is not None]
