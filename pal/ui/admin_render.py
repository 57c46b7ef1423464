"""Progress for the host, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pal.ratings.overview import AdminProgress
from pal.ui.leaderboard import count
from pal.ui.render import escape


def progress(seen: AdminProgress, status: str) -> str:
    """The campaign in numbers, then a row for each annotator and each item."""
    share = 100 * seen.full // seen.items if seen.items else 100
    annotators = [
        (one.annotator[:12], one.rated, one.skipped, one.corrected, one.last.strftime("%Y-%m-%d %H:%M"))
        for one in seen.annotators
    ]
    items = [(item, f"{votes} of {seen.overlap}") for item, votes in seen.votes]
    return (
        f'<div class="results"><h2>Campaign {escape(seen.campaign)}</h2>'
        f"<p>{seen.full} of {seen.items} items have {seen.overlap} votes ({share} %) · "
        f"{count(seen.ratings, 'vote')} · {count(seen.turns, 'turn')} · "
        f"{count(len(seen.annotators), 'annotator')} · "
        f"{escape(status)}</p>"
        f"<h3>Annotators</h3>{table(('id (hash)', 'rated', 'skipped', 'corrected', 'last, UTC'), annotators)}"
        f"<details><summary>Items</summary>{table(('item', 'votes'), items)}</details></div>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of plain values."""

    def line(cells: Sequence[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div class="results-table"><table>{line(head, "th")}{body}</table></div>'
