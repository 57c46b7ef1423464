"""The measured results in ``assets/results`` as HTML: the report, and plots it does not show."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gradio as gr
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pal.settings import REPOSITORY
from pal.ui import pages
from pal.ui.pages import QUIET
from pal.ui.render import escape

FOLDER = REPOSITORY / "assets" / "results"
REPORT = "README.md"
IMAGES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp"}
MOST_BYTES = 2_000_000  # of one picture
INTRODUCTION = "What training changed, measured: on held-out dialogues, on plain questions, and by votes."


def report_html(folder: Path = FOLDER) -> str:
    """The report with its pictures inside, then a figure for every other picture
    there. Files are read anew, so that new results show without a restart."""
    pictures = {path.name: path for path in sorted(folder.glob("*")) if path.suffix in IMAGES}
    try:
        text = (folder / REPORT).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        told = "No results have been written yet: <code>python -m pal report</code>."
        return f'<p class="pal-panel pal-hint">{told}</p>'
    used: set[str] = set()
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("image", _image_rule(pictures, used))
    body = markdown.render(text).replace("<table>", '<div class="results-table"><table>')
    body = body.replace("</table>", "</table></div>")
    rest = "".join(_figure(path) for name, path in pictures.items() if name not in used)
    return f'<div class="results-report pal-panel">{body}<div class="results-plots">{rest}</div></div>'


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


def _figure(path: Path) -> str:
    title = path.stem.replace("-", " ").replace("_", " ")
    return f"<figure>{_picture(path, title)}<figcaption>{escape(title)}</figcaption></figure>"


def _picture(path: Path, text: str) -> str:
    if path.stat().st_size > MOST_BYTES:
        return escape(f"[{path.name} is too large to show]")
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(text)}" src="data:{IMAGES[path.suffix]};base64,{data}">'


def add_page(page: gr.Blocks, leaderboard: Callable[[], str]) -> None:
    """Put Results into ``page``, which is being built. Both parts are made anew
    for every visit."""
    pages.add_banner("results", INTRODUCTION)
    with gr.Column(elem_id="pal-results", min_width=0):
        votes = gr.HTML("", elem_id="pal-leaderboard")
        report = gr.HTML("", elem_id="pal-report")
    page.load(lambda: (leaderboard(), report_html()), outputs=[votes, report], queue=False, **QUIET)
