"""Preference pairs from votes, in the form that ``pal train align --pairs`` reads."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from pal.ratings.ballots import Ballot, count
from pal.ratings.blind import shown_text
from pal.ratings.records import Record, ReplyRecord, Turn
from pal.training.pairs import Pair


def vote_pairs(records: Sequence[Record], campaign: str, *, blind_only: bool = False) -> Iterator[Pair]:
    """A pair for each reply that an annotator ranked before another of its turn.

    Annotators who disagree give opposite pairs: alignment then sees both. Gold
    items, repeats and pairs without two different texts give none.
    """
    for ballot in count(records, campaign, blind_only=blind_only).ranked:
        for one, other in itertools.permutations(ballot.turn.variants, 2):
            if ballot.rating.rank_of(one) < ballot.rating.rank_of(other):
                chosen, rejected = ballot.turn.reply(one), ballot.turn.reply(other)
                if _differ(chosen, rejected):
                    yield _pair(ballot, chosen, rejected)


def _differ(chosen: ReplyRecord, rejected: ReplyRecord) -> bool:
    texts = chosen.text.strip(), rejected.text.strip()
    return all(texts) and shown_text(texts[0]) != shown_text(texts[1])


def _pair(ballot: Ballot, chosen: ReplyRecord, rejected: ReplyRecord) -> Pair:
    turn = ballot.turn
    prompted = chosen if chosen.selects else rejected
    return Pair(
        id=f"{ballot.rating.id}:{chosen.variant}>{rejected.variant}",
        dialogue=turn.id,
        persona=turn.persona.sentences,
        history=_remembered(turn, prompted),
        user=turn.user,
        selected=prompted.selected,
        chosen=chosen.text.strip(),
        rejected=rejected.text.strip(),
    )


def _remembered(turn: Turn, reply: ReplyRecord):
    """The history with the selections of the variant whose prompt is used: the
    chosen one's, or the rejected one's when the chosen one selects nothing."""
    earlier = reply.earlier or (None,) * len(turn.history)
    return tuple(
        dataclasses.replace(exchange, selected=selected)
        for exchange, selected in zip(turn.history, earlier, strict=True)
    )
