"""What each reply says about each persona sentence: entails, contradicts, neutral."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pal.respond import CONSISTENCY_LABELS
from pal.ui.chat_state import Reply
from pal.ui.text import escape, percent

WORDS = {"contradiction": "contradicts", "neutral": "neutral", "entailment": "entails"}
MARKS = {"contradiction": "✕", "neutral": "·", "entailment": "✓"}


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
        Badge(sentence, CONSISTENCY_LABELS[label], row[label])
        for sentence, row in zip(sentences, reply.consistency, strict=True)
        for label in [max(range(len(row)), key=row.__getitem__)]
    )


def reply_badges(reply: Reply, sentences: Sequence[str]) -> str:
    """A reply's badges: those that say something in words, a dot for each neutral one."""
    if reply.unjudged is not None:
        return f'<p class="pal-badges pal-unjudged">No badges: {escape(reply.unjudged)}</p>'
    found = badges(reply, sentences)
    if not found:
        return ""
    items = [_chip(badge) for badge in found if badge.label != "neutral"]
    neutral = [badge for badge in found if badge.label == "neutral"]
    items += [
        f'<li class="pal-dot" title="{escape(badge.text)}">'
        f'<span class="pal-visually-hidden">neutral: {escape(badge.sentence)}</span></li>'
        for badge in neutral
    ]
    if neutral:
        items.append('<li class="pal-dots-end" aria-hidden="true">neutral</li>')
    return f'<ul class="pal-badges" aria-label="What this reply says about the persona">{"".join(items)}</ul>'


def _chip(badge: Badge) -> str:
    return (
        f'<li class="pal-badge is-{badge.label}"><b>{_mark(badge)}{WORDS[badge.label]}</b> '
        f"{escape(badge.sentence)} <em>{percent(badge.probability)}</em></li>"
    )


def sentence_badge(reply: Reply, sentences: Sequence[str], index: int, name: str) -> str:
    """One sentence's badge for the persona panel; ``name`` is who replied."""
    found = badges(reply, sentences)
    if not found:
        return ""
    badge = found[index]
    said = f"{WORDS[badge.label]} this" if badge.label != "neutral" else "neutral"
    return (
        f'<p class="pal-badges pal-panel-badge"><span class="pal-badge is-{badge.label}">'
        f"{_mark(badge)}{name}: {said} <em>{percent(badge.probability)}</em></span></p>"
    )


def _mark(badge: Badge) -> str:
    return f'<span aria-hidden="true">{MARKS[badge.label]} </span>'
