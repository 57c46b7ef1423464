"""How often each variant was flagged, also by what it selected and entailed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pal.evaluation.bootstrap import Estimate, wilson
from pal.ratings.ballots import Ballot
from pal.ratings.records import FLAGS, ReplyRecord


@dataclass(frozen=True)
class FlagRate:
    """Share of a variant's rated replies, of one kind, that carry a flag.

    ``kind`` is a key of ``KINDS``; ``replies`` counts the ratings of such replies.
    """

    variant: str
    flag: str
    kind: str
    replies: int
    rate: Estimate


KINDS: dict[str, Callable[[ReplyRecord], bool]] = {
    "all": lambda reply: True,
    "selected a sentence": lambda reply: reply.selects and reply.selected is not None,
    "selected none": lambda reply: reply.selects and reply.selected is None,
    "entails a sentence": lambda reply: "entailment" in reply.verdicts,
    "contradicts a sentence": lambda reply: "contradiction" in reply.verdicts,
    "neither": lambda reply: set(reply.verdicts) == {"neutral"},
}


def flag_rates(ballots: Sequence[Ballot], variants: Sequence[str]) -> tuple[FlagRate, ...]:
    """One entry per variant, flag and kind of reply that occurs; Wilson intervals.

    “Selected” is the variant's own selection; “entails” and “contradicts” are
    the consistency model's verdict on the reply and each persona sentence.
    """
    rates = []
    for variant in variants:
        rated = [
            (ballot.turn.reply(variant), ballot.rating.flags_of(variant))
            for ballot in ballots
            if variant in ballot.turn.variants
        ]
        for kind, belongs in KINDS.items():
            flags = [flagged for reply, flagged in rated if belongs(reply)]
            if flags:
                for flag in FLAGS:
                    given = sum(flag in flagged for flagged in flags)
                    rates.append(FlagRate(variant, flag, kind, len(flags), wilson(given, len(flags))))
    return tuple(rates)
