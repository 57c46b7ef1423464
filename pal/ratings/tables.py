"""Progress and statistics as tables in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pal.evaluation.bootstrap import Estimate
from pal.ratings.overview import AdminProgress
from pal.ratings.statistics import Results, Summary


def show(tables: Sequence[Table | str]) -> None:
    """Print them."""
    console = Console(markup=False)
    for table in tables:
        console.print(table)


def interval(estimate: Estimate, digits: int = 3) -> str:
    """Such as ``0.610 (0.552–0.667)``; – where there is no value."""
    if math.isnan(estimate.value):
        return "–"
    value = f"{estimate.value:.{digits}f}"
    if math.isnan(estimate.low):
        return value
    return f"{value} ({estimate.low:.{digits}f}–{estimate.high:.{digits}f})"


def progress_tables(progress: AdminProgress) -> list[Table | str]:
    """One row per annotator, and the campaign's counts."""
    people = _table("annotator", "rated", "skipped", "corrected", "last")
    for one in progress.annotators:
        last = one.last.isoformat(timespec="minutes") if one.last else "–"
        people.add_row(one.annotator[:8], str(one.rated), str(one.skipped), str(one.corrected), last)
    return [
        f"Campaign {progress.campaign}: {progress.ratings} votes; {progress.full} of {progress.items} items "
        "have all their votes.",
        people,
    ]


def statistics_tables(found: Summary) -> list[Table | str]:
    """The leaderboard and everything beside it, or how many votes are missing."""
    head = (
        f"Campaign {found.campaign or '–'}: {found.votes} votes on {found.turns} turns by {found.annotators} "
        f"annotators; {found.skipped} skipped, {found.corrected} corrected after the reveal."
    )
    if found.results is None:
        return [head, f"Statistics are shown from {max(found.threshold, 1)} votes on."]
    return [head, *_results(found.results)]


def _results(results: Results) -> list[Table | str]:
    board = _table("model", "win rate", "Bradley-Terry", "first", "mean rank")
    for row in results.variants:
        board.add_row(
            row.variant, *map(interval, (row.win_rate, row.strength, row.first)), interval(row.mean_rank, 2)
        )
    pairs = _table("pair", "won", "tied", "lost", "win rate")
    for pair in results.pairs:
        counts = map(str, (pair.won, pair.tied, pair.lost))
        pairs.add_row(f"{pair.one} / {pair.other}", *counts, interval(pair.win_rate))
    flags = _table("model", "flag", "replies that", "rated", "flagged")
    for rate in results.flags:
        flags.add_row(rate.variant, rate.flag, rate.kind, str(rate.replies), interval(rate.rate))
    checks = _table("check", "value")
    for name, value in (
        (f"alpha, nominal ({results.agreement.turns} turns)", interval(results.agreement.nominal)),
        ("alpha, ordinal", interval(results.agreement.ordinal)),
        ("self-agreement", interval(results.self_agreement)),
        ("gold items right", interval(results.gold_accuracy)),
        ("all bad", interval(results.all_bad)),
        *((f"first places, column {n}", interval(share)) for n, share in enumerate(results.positions, 1)),
        ("seconds a vote (quartiles)", " / ".join(f"{seconds:.0f}" for seconds in results.seconds)),
    ):
        checks.add_row(name, value)
    return [board, pairs, checks, flags]


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table
