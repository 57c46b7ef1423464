"""Which stored ratings count, and what each says about two variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pal.ratings.records import Rating, Record, Turn


@dataclass(frozen=True)
class Ballot:
    """A rating that counts, with its turn. ``first``: the annotator's first
    rating of the turn, from which times are taken."""

    rating: Rating
    turn: Turn
    first: Rating

    def points(self, one: str, other: str) -> float:
        """1 when ``one`` is ranked before ``other``, 0.5 for a tie, else 0."""
        difference = self.rating.rank_of(other) - self.rating.rank_of(one)
        return 0.5 if difference == 0 else float(difference > 0)


@dataclass(frozen=True)
class Ballots:
    """A campaign's ratings, one per annotator and turn.

    Attributes:
        ranked: rankings of the models' replies; these are the votes.
        gold: rankings of gold items.
        repeated: (repeat, original) rankings of one annotator.
        skipped: number of skipped turns.
        corrected: number of ``ranked`` that were changed after the reveal.
    """

    ranked: tuple[Ballot, ...]
    gold: tuple[Ballot, ...]
    repeated: tuple[tuple[Ballot, Ballot], ...]
    skipped: int
    corrected: int

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that were compared, in stored order."""
        return tuple(dict.fromkeys(v for ballot in self.ranked for v in ballot.turn.variants))


def campaigns(records: Sequence[Record]) -> tuple[str, ...]:
    """The campaigns of the stored turns, the latest last."""
    latest = {record.campaign: number for number, record in enumerate(records) if isinstance(record, Turn)}
    return tuple(sorted(latest, key=latest.__getitem__))


def count(records: Sequence[Record], campaign: str, *, blind_only: bool = False) -> Ballots:
    """The ratings of a campaign that count.

    Args:
        blind_only: leave corrections out that were made after the names were
            revealed; the vote before the reveal counts then.
    """
    turns = {r.id: r for r in records if isinstance(r, Turn) and r.campaign == campaign}
    chains: dict[tuple[str, str], list[Rating]] = {}
    for record in records:
        if isinstance(record, Rating) and record.turn_id in turns:
            chains.setdefault((record.annotator, record.turn_id), []).append(record)
    counted = {}
    for key, chain in chains.items():
        blind = [rating for rating in chain if not rating.correction]
        counted[key] = Ballot((blind if blind_only else chain)[-1], turns[key[1]], chain[0])
    ballots = [ballot for ballot in counted.values() if not ballot.rating.skip]
    ordinary = [ballot for ballot in ballots if not ballot.turn.gold and ballot.turn.repeat_of is None]
    pairs = [
        (ballot, counted[ballot.rating.annotator, ballot.turn.repeat_of])
        for ballot in ballots
        if ballot.turn.repeat_of is not None and (ballot.rating.annotator, ballot.turn.repeat_of) in counted
    ]
    return Ballots(
        ranked=tuple(ordinary),
        gold=tuple(ballot for ballot in ballots if ballot.turn.gold),
        repeated=tuple(pair for pair in pairs if not pair[1].rating.skip),
        skipped=len(counted) - len(ballots),
        corrected=sum(ballot.rating.correction for ballot in ordinary),
    )
