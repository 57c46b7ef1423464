"""The votes' part of the Results page: strengths, win rates, marks, agreement."""

from __future__ import annotations

import logging
import math
import threading

from pal.chat.variants import Variants
from pal.ratings.desk import RatingDesk
from pal.ratings.records import FLAGS
from pal.ratings.statistics import FlagRate, PairResult, Results, Summary, VariantResult, summary
from pal.statistics import Estimate
from pal.ui.rate_render import COLUMNS
from pal.ui.render import escape

log = logging.getLogger(__name__)


class Leaderboard:
    """Made anew when votes have come since the last visit; counting takes a moment."""

    def __init__(self, desk: RatingDesk | None, threshold: int, variants: Variants):
        self._variants = variants
        self._desk = desk
        self._threshold = threshold
        self._lock = threading.Lock()
        self._made: tuple[int, str] | None = None  # number of records, page

    def html(self) -> str:
        """The panel as it is now."""
        if self._desk is None:
            return _panel("<p>This copy of PAL keeps no ratings.</p>")
        try:
            with self._lock:
                records = self._desk.records()
                if self._made is None or self._made[0] != len(records):
                    told = render(summary(records, self._threshold, self._desk.campaign), self._variants)
                    self._made = (len(records), told)
                return self._made[1]
        except Exception:
            log.exception("the leaderboard failed")
            return _panel("<p>The votes cannot be read at the moment.</p>")


def render(seen: Summary, variants: Variants) -> str:
    """A summary as HTML; only the number of votes while they are few."""
    others = f'<p class="pal-hint">{escape(seen.others_in_words)}</p>' if seen.others else ""
    if seen.results is None:
        missing, share = seen.threshold - seen.votes, 100 * seen.votes // max(seen.threshold, 1)
        return _panel(
            f"<p>{seen.votes} of {seen.threshold} votes so far: the leaderboard appears with "
            f'{missing} more. <a href="./rate">Rate some replies</a>.</p>'
            f'<div class="results-count"><u style="width:{share}%"></u></div>{others}'
        )
    results = seen.results
    counted = (
        f"{seen.votes} blind votes; {count(seen.annotators, 'annotator')}, {count(seen.turns, 'turn')}; "
        f"{seen.skipped} skipped, {seen.corrected} corrected after the names were shown. A tie is half "
        "a win. Intervals: 95 %, bootstrap over turns and annotators."
    )
    return _panel(
        f'<p class="pal-hint">{counted}</p>{others}{_standing(results.variants, variants)}'
        f"<h3>Against each other</h3>{_pairs(results.pairs, variants)}"
        f"<h3>Marks</h3>{_flags(results.flags, variants)}<h3>How far to trust it</h3>{_trust(results)}"
    )


def _panel(body: str) -> str:
    return f'<section class="results pal-panel"><h2>Votes of annotators</h2>{body}</section>'


def count(number: int, noun: str) -> str:
    """“1 turn”, “2 turns”."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def estimate(value: Estimate, *, share: bool = False) -> str:
    """“0.62 (0.55–0.69)”, or in per cent."""
    if math.isnan(value.value):
        return "–"
    if share:
        return f"{value.value:.0%} ({value.low:.0%}–{value.high:.0%})".replace("%", " %")
    return f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """``rows`` are HTML already."""
    top = "<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>" if any(head) else ""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="results-table"><table>{top}{body}</table></div>'


def _standing(rows: tuple[VariantResult, ...], variants: Variants) -> str:
    return _table(
        ("", "win rate", "", "Bradley–Terry strength", "stood first", "mean rank"),
        [
            (
                f'<b class="pal-key pal-{escape(row.variant)}">{escape(variants.title(row.variant))}</b>',
                estimate(row.win_rate, share=True),
                _whisker(row.win_rate, row.variant),
                estimate(row.strength),
                estimate(row.first, share=True),
                estimate(row.mean_rank),
            )
            for row in rows
        ],
    )


def _whisker(value: Estimate, variant: str) -> str:
    """The interval on a line from 0 to 1, with a tick at chance."""
    if math.isnan(value.value):
        return ""
    low, width, dot = 100 * value.low, 100 * (value.high - value.low), 100 * value.value
    return (
        f'<span class="results-whisker pal-{escape(variant)}" aria-hidden="true"><s></s>'
        f'<u style="left:{low:.1f}%;width:{width:.1f}%"></u><i style="left:{dot:.1f}%"></i></span>'
    )


def _pairs(pairs: tuple[PairResult, ...], variants: Variants) -> str:
    return _table(
        ("", "win rate of the first", "won", "tied", "lost"),
        [
            (
                f"{escape(variants.title(pair.one))} against {escape(variants.title(pair.other))}",
                estimate(pair.win_rate, share=True),
                str(pair.won),
                str(pair.tied),
                str(pair.lost),
            )
            for pair in pairs
        ],
    )


def _flags(rates: tuple[FlagRate, ...], variants: Variants) -> str:
    kinds = list(dict.fromkeys(rate.kind for rate in rates))
    cells = {(rate.variant, rate.kind, rate.flag): rate.rate for rate in rates}
    counts = {(rate.variant, rate.kind): rate.replies for rate in rates}

    def rows(kind: str) -> list[tuple[str, ...]]:
        return [
            (
                escape(variants.title(variant)),
                str(replies),
                *(estimate(cells[variant, kind, flag], share=True) for flag in FLAGS),
            )
            for (variant, of), replies in counts.items()
            if of == kind
        ]

    head = ("", "replies", *FLAGS.values())
    parts = "".join(f"<h4>Replies that: {escape(kind)}</h4>{_table(head, rows(kind))}" for kind in kinds[1:])
    details = f"<details><summary>By selection and consistency</summary>{parts}</details>" if parts else ""
    return _table(head, rows(kinds[0])) + details if kinds else ""


def _trust(results: Results) -> str:
    alpha = results.agreement
    columns = ", ".join(
        f"{COLUMNS[number]} {estimate(share, share=True)}" for number, share in enumerate(results.positions)
    )
    low, median, high = results.seconds
    rows = [
        ("Krippendorff's alpha, wins and ties (nominal)", estimate(alpha.nominal)),
        (f"Krippendorff's alpha, ranks (ordinal), {alpha.turns} shared turns", estimate(alpha.ordinal)),
        ("agreement with oneself on a repeated turn", estimate(results.self_agreement, share=True)),
        ("items with known ranking judged so", estimate(results.gold_accuracy, share=True)),
        ("first places by column (33 % without bias)", columns),
        ("seconds for a vote: quartiles", f"{low:.0f} · {median:.0f} · {high:.0f}"),
        ("all replies bad", estimate(results.all_bad, share=True)),
    ]
    return _table(("", ""), rows)
