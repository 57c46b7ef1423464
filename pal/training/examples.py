"""Dialogues as training examples: persona, exchanges, labels of one speaker."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pal.dialogue.english import naturalise
from pal.dialogue.persona import MAX_SENTENCES
from pal.dialogue.text_metrics import recites
from pal.dialogue.turns import Dialogue, Exchange


@dataclass(frozen=True)
class Example:
    """One dialogue seen from one speaker, in natural English.

    ``labels[i]``: 0-based sentences that reply i entails, strongest first
    (() none, None not labelled). ``exhaustive`` is False when only positive
    labels are known, so that "none" cannot be learned from this example.
    ``untrained``: exchanges whose reply carries no loss. ``asked``: exchanges whose
    message asks for the sentence, so that reciting it is right.
    """

    id: str
    sentences: tuple[str, ...]
    exchanges: tuple[Exchange, ...]
    labels: tuple[tuple[int, ...] | None, ...]
    exhaustive: bool = True
    untrained: frozenset[int] = frozenset()
    asked: frozenset[int] = frozenset()


def from_dialogue(dialogue: Dialogue, speaker: str = "B", *, exhaustive: bool = True) -> Example | None:
    """The example of ``speaker``; None when the speaker has no persona or says nothing.

    Consecutive turns of one speaker are joined, with the labels of all; they are
    unlabelled when one of them is. A persona of more than nine sentences keeps the
    labelled ones first, then the earliest.
    """
    sentences = dialogue.personas.get(speaker, ())
    exchanges: list[Exchange] = []
    labels: list[tuple[int, ...] | None] = []
    pending: list[str] = []
    previous = None
    for turn in dialogue.turns:
        text = naturalise(turn.text)
        if turn.speaker != speaker:
            pending.append(text)
        elif previous == speaker and exchanges:
            exchanges[-1] = Exchange(exchanges[-1].user, exchanges[-1].reply + " " + text)
            labels[-1] = _union(labels[-1], turn.persona)
        else:
            exchanges.append(Exchange(" ".join(pending) or None, text))
            labels.append(turn.persona)
            pending = []
        previous = turn.speaker
    if not sentences or not exchanges:
        return None
    keep = _kept(sentences, labels)
    place = {old: new for new, old in enumerate(keep)}
    return Example(
        id=f"{dialogue.id}/{speaker}",
        sentences=tuple(naturalise(sentences[index]) for index in keep),
        exchanges=tuple(
            replace(exchange, selected=place.get(label[0]) if label else None)
            for exchange, label in zip(exchanges, labels, strict=True)
        ),
        labels=tuple(
            None if label is None else tuple(place[index] for index in label if index in place)
            for label in labels
        ),
        exhaustive=exhaustive,
    )


def _union(first: tuple[int, ...] | None, second: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if first is None or second is None else tuple(dict.fromkeys(first + second))


def _kept(sentences: Sequence[str], labels: Sequence[tuple[int, ...] | None]) -> list[int]:
    used = {index for label in labels if label for index in label}
    order = sorted(range(len(sentences)), key=lambda index: (index not in used, index))
    return sorted(order[:MAX_SENTENCES])


def shuffled(example: Example, seed: int) -> Example:
    """The example with its sentences in a seeded random order, labels moved along.

    Without this the number of a sentence would carry information.
    """
    order = list(range(len(example.sentences)))
    _chance(example, seed).shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    return replace(
        example,
        sentences=tuple(example.sentences[index] for index in order),
        exchanges=tuple(
            Exchange(
                exchange.user, exchange.reply, None if exchange.selected is None else place[exchange.selected]
            )
            for exchange in example.exchanges
        ),
        labels=tuple(
            None if label is None else tuple(place[index] for index in label) for label in example.labels
        ),
    )


def mistaken(example: Example, share: float, seed: int) -> Example:
    """The example with a seeded ``share`` of its labelled selections shown wrong.

    In a chat the history holds the model's own selections, errors among them;
    with gold ones alone it would never see that (exposure bias; scheduled
    sampling, Bengio et al. 2015). A wrong selection is none or another
    sentence. The labels stay, and the reply, which does not follow from what
    is shown, is not trained.
    """
    chance = _chance(example, f"mistaken:{seed}")
    exchanges, untrained = list(example.exchanges), set(example.untrained)
    for at, label in enumerate(example.labels):
        if label is None or chance.random() >= share:
            continue
        others = [index for index in range(len(example.sentences)) if index not in label]
        wrong = None if label and (not others or chance.random() < 0.5) else chance.choice(others)
        exchanges[at] = replace(exchanges[at], selected=wrong)
        untrained.add(at)
    return replace(example, exchanges=tuple(exchanges), untrained=frozenset(untrained))


def without_parroting(example: Example) -> Example:
    """The example with its parroting replies untrained.

    A reply that recites a persona sentence is a small model's easiest and so,
    decoded greedily, its most frequent reply. Its selection is still trained, and
    so is a reply that recites because it was ``asked`` to.
    """
    parroting = {
        at for at, exchange in enumerate(example.exchanges) if recites(exchange.reply, example.sentences)
    }
    return replace(example, untrained=example.untrained | (parroting - example.asked))


def _chance(example: Example, seed: int | str) -> random.Random:
    """Random numbers of their own for each example and seed."""
    return random.Random(hashlib.sha256(f"{seed}:{example.id}".encode()).digest())
