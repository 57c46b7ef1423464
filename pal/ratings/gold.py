"""Gold items: fixed replies whose right ranking is known."""

from __future__ import annotations

from datetime import datetime

from pal import __version__
from pal.engines.base import Decoding
from pal.ratings.items import Item
from pal.ratings.records import Provenance, Rating, ReplyRecord, Turn

FIXED = "fixed replies"


def gold_turn(item: Item, campaign: str, decoding: Decoding, moment: datetime) -> Turn:
    """The turn of a gold item, with its replies as variants ``gold1``, ``gold2``, …"""
    return Turn(
        persona=item.persona,
        history=item.history,
        user=item.user,
        replies=tuple(
            ReplyRecord(f"gold{number}", reply.text, quality=reply.quality)
            for number, reply in enumerate(item.replies, 1)
        ),
        seed=0,
        decoding=decoding,
        provenance=Provenance({}, FIXED, "none", __version__),
        campaign=campaign,
        item=item.id,
        created_at=moment,
    )


def agrees_with_gold(rating: Rating, turn: Turn) -> bool | None:
    """True when the best reply was ranked first alone and the worst last alone;
    None when it was skipped."""
    if rating.skip:
        return None
    quality = {reply.variant: reply.quality for reply in turn.replies}
    by_quality = sorted(quality, key=lambda variant: quality[variant])
    worst, best = by_quality[0], by_quality[-1]
    ranks = {variant: rating.rank_of(variant) for variant in quality}
    return all(
        (ranks[best] < rank if quality[variant] < quality[best] else True)
        and (ranks[worst] > rank if quality[variant] > quality[worst] else True)
        for variant, rank in ranks.items()
    )
