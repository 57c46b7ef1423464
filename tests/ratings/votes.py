"""Made-up votes, without a store: for statistics and exports."""

from __future__ import annotations

from datetime import timedelta

from pal.ratings.blind import new_order
from pal.ratings.records import Consent, Rating, Record, Turn, new_id
from tests.ratings import scene


def rating(of: Turn, who: str, ranks: dict[str, int], seconds: float = 10, **values) -> Rating:
    """A rating with ranks by variant; ``flags`` by variant too."""
    order = values.pop("order", None) or new_order(of, who)
    flags = values.pop("flags", {})
    return Rating(
        **{
            "turn_id": of.id,
            "annotator": who,
            "submission": new_id(),
            "order": order,
            "ranks": tuple(ranks[variant] for variant in order) if ranks else (),
            "flags": tuple(tuple(flags.get(variant, ())) for variant in order),
            "all_bad": False,
            "skip": not ranks,
            "comment": "",
            "correction": False,
            "shown_at": of.created_at,
            "submitted_at": of.created_at + timedelta(seconds=seconds),
            "consent": "consent",
            **values,
        }
    )


def ranks(baseline: int, stage1: int, aligned: int) -> dict[str, int]:
    """Ranks by variant."""
    return {"baseline": baseline, "stage1": stage1, "aligned": aligned}


def campaign(*rankings: dict[str, int], who: str = "ann") -> list[Record]:
    """One annotator's consent, and a turn with a rating for each ranking."""
    records: list[Record] = [Consent(who, "1", id="consent")]
    for number, ranking in enumerate(rankings):
        turn = scene.turn(scene.item(number))
        records += [turn, rating(turn, who, ranking)]
    return records
