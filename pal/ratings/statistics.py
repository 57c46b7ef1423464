"""What the votes say: win rates, strengths, agreement, flags and biases.

python -m pal ratings statistics
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pal.ratings.ballots import (
    Agreement,
    Ballot,
    Ballots,
    agreement,
    campaigns,
    comparisons,
    count,
    gold_accuracy,
    log_strengths,
    self_agreement,
    two_way,
)
from pal.ratings.records import FLAGS, Record, ReplyRecord
from pal.statistics import Estimate, TwoWayBootstrap, mean_of

KINDS: dict[str, Callable[[ReplyRecord], bool]] = {
    "all": lambda reply: True,
    "selected a sentence": lambda reply: reply.selects and reply.selected is not None,
    "selected none": lambda reply: reply.selects and reply.selected is None,
    "entails a sentence": lambda reply: "entailment" in reply.verdicts,
    "contradicts a sentence": lambda reply: "contradiction" in reply.verdicts,
    "neither": lambda reply: set(reply.verdicts) == {"neutral"},
}


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


def flag_rates(
    ballots: Sequence[Ballot], variants: Sequence[str], bootstrap: TwoWayBootstrap
) -> tuple[FlagRate, ...]:
    """One entry per variant, flag and kind of reply that occurs.

    “Selected” is the variant's own selection; “entails” and “contradicts” are
    the consistency model's verdict on the reply and each persona sentence.
    """
    rates = []
    for variant in variants:
        replies = [
            ballot.turn.reply(variant) if variant in ballot.turn.variants else None for ballot in ballots
        ]
        flags = [
            ballot.rating.flags_of(variant) if reply else ()
            for ballot, reply in zip(ballots, replies, strict=True)
        ]
        for kind, belongs in KINDS.items():
            counted = np.array([reply is not None and belongs(reply) for reply in replies])
            if counted.any():
                for flag in FLAGS:
                    given = counted & np.array([flag in own for own in flags])
                    rate = bootstrap.share(given, counted)
                    rates.append(FlagRate(variant, flag, kind, int(counted.sum()), rate))
    return tuple(rates)


@dataclass(frozen=True)
class VariantResult:
    """One row of the leaderboard.

    Attributes:
        win_rate: mean points against the other variants, a tie being 0.5;
            interval by bootstrap over turns and annotators.
        strength: Bradley–Terry log-strength, mean 0; same bootstrap.
        first: share of rankings in which it stood first, alone or tied.
        mean_rank: 1 is best.
    """

    variant: str
    win_rate: Estimate
    strength: Estimate
    first: Estimate
    mean_rank: Estimate


@dataclass(frozen=True)
class PairResult:
    """``one`` against ``other`` over ``votes``; ``win_rate`` is that of ``one``,
    a tie being half a win."""

    one: str
    other: str
    votes: int
    won: int
    tied: int
    lost: int
    win_rate: Estimate


@dataclass(frozen=True)
class Results:
    """Everything that a campaign's votes say. Intervals are by bootstrap over
    turns and annotators, of ``agreement`` over turns.

    Attributes:
        variants: best strength first.
        positions: per column, the share of first places it took, split among
            ties; without position bias all are 1 / columns.
        seconds: (quarter, median, three quarters) of the time to a first vote.
        all_bad: share of rankings in which no reply was acceptable.
    """

    variants: tuple[VariantResult, ...]
    pairs: tuple[PairResult, ...]
    agreement: Agreement
    self_agreement: Estimate
    gold_accuracy: Estimate
    flags: tuple[FlagRate, ...]
    positions: tuple[Estimate, ...]
    seconds: tuple[float, float, float]
    all_bad: Estimate


@dataclass(frozen=True)
class Summary:
    """``results`` is None while there are fewer ``votes`` than ``threshold``.

    ``corrected`` of the votes were changed after the names were revealed. ``others``:
    name and votes of every other campaign, whose replies were of other models or
    settings, so that their votes do not count here.
    """

    campaign: str
    votes: int
    threshold: int
    turns: int
    annotators: int
    skipped: int
    corrected: int
    others: tuple[tuple[str, int], ...]
    results: Results | None

    @property
    def others_in_words(self) -> str:
        """A sentence about ``others``; "" when there are none."""
        if not self.others:
            return ""
        names = ", ".join(f"{name} ({votes})" for name, votes in self.others)
        return f"Votes of other campaigns, on replies of other models or settings, are kept apart: {names}."

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; nan becomes None."""
        return _plain(self)


def summary(
    records: Sequence[Record],
    threshold: int,
    campaign: str | None = None,
    *,
    blind_only: bool = False,
    samples: int = 500,
    seed: int = 0,
) -> Summary:
    """The statistics of one campaign's votes; repeats and gold items are not votes.

    Args:
        records: everything stored, in order of writing.
        threshold: votes below which nothing but their number is told.
        campaign: None for the latest.
        blind_only: count the vote before the reveal where it was corrected later.
        samples: resamples of the bootstrap.
    """
    known = campaigns(records)
    campaign = campaign or (known[-1] if known else "")
    ballots = count(records, campaign, blind_only=blind_only)
    votes = len(ballots.ranked)
    enough = votes >= max(threshold, 1)
    return Summary(
        campaign=campaign,
        votes=votes,
        threshold=threshold,
        turns=len({ballot.turn.id for ballot in ballots.ranked}),
        annotators=len({ballot.rating.annotator for ballot in ballots.ranked}),
        skipped=ballots.skipped,
        corrected=ballots.corrected,
        others=tuple((name, len(count(records, name).ranked)) for name in known if name != campaign),
        results=_results(ballots, samples, seed) if enough else None,
    )


def _results(ballots: Ballots, samples: int, seed: int) -> Results:
    votes, variants = ballots.ranked, ballots.variants
    bootstrap = two_way(votes, samples, seed)
    return Results(
        variants=_leaderboard(votes, variants, bootstrap),
        pairs=tuple(_pair(votes, *pair, bootstrap) for pair in itertools.combinations(variants, 2)),
        agreement=agreement(votes, min(samples, 200)),
        self_agreement=self_agreement(ballots.repeated),
        gold_accuracy=gold_accuracy(ballots.gold),
        flags=flag_rates(votes, variants, bootstrap),
        positions=position_shares(votes, bootstrap),
        seconds=tuple(map(float, np.percentile([v.first.seconds for v in votes], [25, 50, 75]))),
        all_bad=bootstrap.share([vote.rating.all_bad for vote in votes]),
    )


def _leaderboard(
    votes: Sequence[Ballot], variants: Sequence[str], bootstrap: TwoWayBootstrap
) -> tuple[VariantResult, ...]:
    points = comparisons(votes, variants)
    strengths = bootstrap.estimates(lambda weights: log_strengths(np.tensordot(weights, points, axes=1)))
    met = points + points.transpose(0, 2, 1)
    rows = []
    for index, variant in enumerate(variants):
        ranks = [vote.rating.rank_of(variant) for vote in votes]
        rows.append(
            VariantResult(
                variant,
                bootstrap.share(points[:, index].sum(axis=1), met[:, index].sum(axis=1)),
                strengths[index],
                bootstrap.share([rank == 1 for rank in ranks]),
                bootstrap.estimate(mean_of(ranks)),
            )
        )
    return tuple(sorted(rows, key=_best_first))


def _best_first(row: VariantResult) -> tuple[float, float]:
    strength = row.strength.value
    return (0.0 if math.isnan(strength) else -strength, -row.win_rate.value)


def _pair(votes: Sequence[Ballot], first: str, second: str, bootstrap: TwoWayBootstrap) -> PairResult:
    both = [{first, second} <= set(vote.turn.variants) for vote in votes]
    points = [vote.points(first, second) if met else 0.0 for vote, met in zip(votes, both, strict=True)]
    counts = Counter(point for point, met in zip(points, both, strict=True) if met)
    return PairResult(
        first, second, sum(both), counts[1.0], counts[0.5], counts[0.0], bootstrap.share(points, both)
    )


def position_shares(votes: Sequence[Ballot], bootstrap: TwoWayBootstrap) -> tuple[Estimate, ...]:
    """Share of the first places that each column took; tied columns share one.
    Votes that tie all columns say nothing and are left out."""
    ranks = [vote.rating.ranks for vote in votes]
    decided = [len(set(given)) > 1 for given in ranks]
    columns = max((len(given) for given, counts in zip(ranks, decided, strict=True) if counts), default=0)
    shares = []
    for column in range(columns):
        taken = [
            (given[column] == 1) / given.count(1) if counts and column < len(given) else 0.0
            for given, counts in zip(ranks, decided, strict=True)
        ]
        shares.append(bootstrap.share(taken, decided))
    return tuple(shares)


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
