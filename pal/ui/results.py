"""The Results page: the report in ``assets/results`` with its plots, and the leaderboard of the votes."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gradio as gr
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from pal.chat.variants import Variants
from pal.ratings.desk import RatingDesk
from pal.ratings.records import FLAGS
from pal.ratings.statistics import FlagRate, Results, Summary, summary
from pal.settings import REPOSITORY
from pal.ui import pages
from pal.ui.pages import QUIET
from pal.ui.rate_views import letters
from pal.ui.templates import escape, estimate, render, share

FOLDER = REPOSITORY / "assets" / "results"
REPORT = "README.md"
IMAGES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp"}
MAX_IMAGE_BYTES = 2_000_000
INTRODUCTION = "What training changed, measured: on held-out dialogues, on plain questions, and by votes."
TEMPLATES = "results.html"

log = logging.getLogger(__name__)


def add_page(page: gr.Blocks, leaderboard: Leaderboard) -> None:
    """Put Results into ``page``, which is being built. Both parts are made anew for every visit."""
    pages.add_banner("results", INTRODUCTION)
    with gr.Column(elem_id="pal-results", min_width=0):
        votes = gr.HTML("", elem_id="pal-leaderboard")
        report = gr.HTML("", elem_id="pal-report")
    page.load(lambda: (leaderboard.html(), report_html()), outputs=[votes, report], queue=False, **QUIET)


def report_html(folder: Path = FOLDER) -> str:
    """The report with its pictures inside, then a figure for every other picture there.

    Files are read anew, so that new results show without a restart.
    """
    pictures = {path.name: path for path in sorted(folder.glob("*")) if path.suffix in IMAGES}
    try:
        text = (folder / REPORT).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return render(TEMPLATES, "no_report")
    used: set[str] = set()
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("image", _image_rule(pictures, used))
    body = markdown.render(text).replace("<table>", '<div class="results-table"><table>')
    body = body.replace("</table>", "</table></div>")
    others = [path for name, path in pictures.items() if name not in used]
    titles = [path.stem.replace("-", " ").replace("_", " ") for path in others]
    figures = [(_picture(path, title), title) for path, title in zip(others, titles, strict=True)]
    return render(TEMPLATES, "report", Markup(body), figures)


def _image_rule(pictures: Mapping[str, Path], used: set[str]) -> Callable[..., str]:
    """Renders a picture of the folder; any other address stays plain text."""

    def image(renderer: object, tokens: Sequence[Token], index: int, *_: object) -> str:
        token = tokens[index]
        name = str(token.attrs.get("src", "")).removeprefix("./")
        if name not in pictures:
            return escape(f"[{token.content or name}]")
        used.add(name)
        return _picture(pictures[name], token.content)

    return image


def _picture(path: Path, text: str) -> Markup:
    if path.stat().st_size > MAX_IMAGE_BYTES:
        return escape(f"[{path.name} is too large to show]")
    data = base64.b64encode(path.read_bytes()).decode()
    return Markup(render(TEMPLATES, "picture", text, f"data:{IMAGES[path.suffix]};base64,{data}"))


class Leaderboard:
    """The votes' part of the page, made anew when votes have come since the last visit."""

    def __init__(self, desk: RatingDesk | None, threshold: int, variants: Variants):
        self._variants = variants
        self._desk = desk
        self._threshold = threshold
        self._lock = threading.Lock()
        self._cached: tuple[int, str] | None = None  # number of records, panel

    def html(self) -> str:
        """The panel as it is now."""
        if self._desk is None:
            return render(TEMPLATES, "no_votes", "This copy of PAL keeps no ratings.")
        try:
            with self._lock:
                records = self._desk.records()
                if self._cached is None or self._cached[0] != len(records):
                    seen = summary(records, self._threshold, self._desk.campaign)
                    self._cached = (len(records), leaderboard_html(seen, self._variants))
                return self._cached[1]
        except Exception:
            log.exception("the leaderboard failed")
            return render(TEMPLATES, "no_votes", "The votes cannot be read at the moment.")


def leaderboard_html(seen: Summary, variants: Variants) -> str:
    """A summary as a panel; only the number of votes while they are few."""
    if seen.results is None:
        return render(TEMPLATES, "few_votes", seen)
    head = ("", "replies", *FLAGS.values())
    marks, trust = _marks(seen.results.flags, variants), _trust(seen.results)
    return render(TEMPLATES, "leaderboard", seen, variants, head, marks, trust)


def _marks(rates: Sequence[FlagRate], variants: Variants) -> dict[str, list[tuple[str, ...]]]:
    """For each kind of reply a row for each variant: name, replies, share of each mark."""
    rows: dict[str, dict[str, list[str]]] = {}
    for rate in rates:  # every mark of a variant and kind, in the order of FLAGS
        start = [variants.title(rate.variant), str(rate.replies)]
        rows.setdefault(rate.kind, {}).setdefault(rate.variant, start).append(share(rate.rate))
    return {kind: [tuple(row) for row in of_kind.values()] for kind, of_kind in rows.items()}


def _trust(results: Results) -> list[tuple[str, str]]:
    alpha, columns = results.agreement, len(results.positions)
    positions = zip(letters(columns), results.positions, strict=True)
    low, median, high = results.seconds
    return [
        ("Krippendorff's alpha, wins and ties (nominal)", estimate(alpha.nominal)),
        (f"Krippendorff's alpha, ranks (ordinal), {alpha.turns} shared turns", estimate(alpha.ordinal)),
        ("agreement with oneself on a repeated turn", share(results.self_agreement)),
        ("items with known ranking judged so", share(results.gold_accuracy)),
        (
            f"first places by column ({100 / max(columns, 1):.0f} % without bias)",
            ", ".join(f"{letter} {share(position)}" for letter, position in positions),
        ),
        ("seconds for a vote: quartiles", f"{low:.0f} · {median:.0f} · {high:.0f}"),
        ("all replies bad", share(results.all_bad)),
    ]
