"""Which turns are measured: a deterministic choice, whole dialogues in seeded order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from pal.dialogue.english import naturalise
from pal.dialogue.persona import MAX_SENTENCES, Persona
from pal.dialogue.turns import Dialogue, Exchange
from pal.errors import DataError

SPEAKER = "B"  # the labelled speaker; the other one is the user
PARTS = ("all", "tune", "report")
_TUNE_SHARE = 5  # one dialogue in five is for tuning


@dataclass(frozen=True)
class GoldTurn:
    """One turn of the labelled speaker.

    ``turn``: 0-based index in the dialogue's turns. ``exchange``: what the
    other said and the gold reply, in natural English, selection unset.
    ``gold``: the reply as it stands in the data. ``labels``: sentences that
    count as right, () none, None not labelled.
    """

    turn: int
    exchange: Exchange
    gold: str
    labels: tuple[int, ...] | None


@dataclass(frozen=True)
class MeasuredDialogue:
    """A dialogue up to its last measured turn; ``measured`` are positions in ``turns``."""

    id: str
    persona: Persona
    turns: tuple[GoldTurn, ...]
    measured: tuple[int, ...]


@dataclass(frozen=True)
class Choice:
    """What is measured. ``skipped``: dialogues whose speaker has no persona."""

    dialogues: tuple[MeasuredDialogue, ...]
    labelled: bool
    skipped: int

    @property
    def turns(self) -> int:
        """Number of measured turns."""
        return sum(len(dialogue.measured) for dialogue in self.dialogues)


def part_of(dialogue_id: str) -> str:
    """ "tune" for one dialogue in five, by the SHA-1 of its id, else "report".

    Selection settings are chosen on the one part and reported on the other.
    """
    digest = int(hashlib.sha1(dialogue_id.encode()).hexdigest(), 16)
    return "tune" if digest % _TUNE_SHARE == 0 else "report"


def choose_turns(dialogues: Sequence[Dialogue], limit: int = 0, seed: int = 0, part: str = "all") -> Choice:
    """Labelled turns of speaker B, dialogues in seeded random order, until ``limit``.

    All labelled turns of a dialogue are taken before the next one is opened;
    only the last dialogue may be cut short. Without any label in
    ``dialogues`` every turn of speaker B counts. A longer choice with the same
    seed starts with the shorter one.

    Args:
        limit: number of turns; 0 takes all.
        part: "all", "tune" or "report"; see ``part_of``.

    Raises:
        DataError: ``part`` is unknown, or no turn is left to measure.
    """
    if part not in PARTS:
        raise DataError(f"There is no part “{part}”; choose one of {', '.join(PARTS)}.")
    labelled = any(
        turn.speaker == SPEAKER and turn.persona is not None
        for dialogue in dialogues
        for turn in dialogue.turns
    )
    chosen: list[MeasuredDialogue] = []
    left = limit or sum(len(dialogue.turns) for dialogue in dialogues)
    order = sorted(dialogues, key=lambda dialogue: dialogue.id)
    random.Random(seed).shuffle(order)
    skipped = 0
    for dialogue in order:
        if not left:
            break
        if part not in ("all", part_of(dialogue.id)):
            continue
        if not dialogue.personas.get(SPEAKER):
            skipped += 1
            continue
        measured = _measured(dialogue, labelled, left)
        if measured.measured:
            chosen.append(measured)
            left -= len(measured.measured)
    if not chosen:
        raise DataError(f"No turn of speaker {SPEAKER} to measure in this data (part “{part}”).")
    return Choice(tuple(chosen), labelled, skipped)


def _measured(dialogue: Dialogue, labelled: bool, left: int) -> MeasuredDialogue:
    turns = gold_turns(dialogue)
    measured = [place for place, turn in enumerate(turns) if turn.labels is not None or not labelled][:left]
    kept = turns[: measured[-1] + 1] if measured else []
    sentences = dialogue.personas[SPEAKER][:MAX_SENTENCES]
    return MeasuredDialogue(
        dialogue.id,
        Persona(tuple(naturalise(sentence) for sentence in sentences)),
        tuple(kept),
        tuple(measured),
    )


def gold_turns(dialogue: Dialogue) -> list[GoldTurn]:
    """Speaker B's turns, each with what the other said before it.

    Consecutive turns of one speaker are joined, with the labels of all. Of a
    persona beyond nine sentences the first nine are used; a turn whose labels
    are all beyond them counts as not labelled.
    """
    turns: list[GoldTurn] = []
    pending: list[str] = []
    previous = None
    for number, utterance in enumerate(dialogue.turns):
        text = naturalise(utterance.text)
        if utterance.speaker != SPEAKER:
            pending.append(text)
        elif previous == SPEAKER and turns:
            last = turns[-1]
            labels = None
            if last.labels is not None and utterance.persona is not None:
                labels = tuple(dict.fromkeys(last.labels + _within(utterance.persona)))
            exchange = Exchange(last.exchange.user, f"{last.exchange.reply} {text}")
            turns[-1] = GoldTurn(last.turn, exchange, f"{last.gold} {utterance.text}", labels)
        else:
            labels = utterance.persona
            if labels:
                labels = _within(labels) or None
            turns.append(GoldTurn(number, Exchange(" ".join(pending) or None, text), utterance.text, labels))
            pending = []
        previous = utterance.speaker
    return turns


def _within(labels: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(index for index in labels if index < MAX_SENTENCES)
