"""The top of every page: what it is for, and the way to the other pages."""

from __future__ import annotations

import gradio as gr

from pal.ui.render import escape

PAGES = {"": "Explore", "rate": "Rate", "results": "Results"}  # path, name


def add_banner(current: str, text: str, corner: str = "") -> None:
    """Put the banner into the page that is being built."""
    gr.HTML(banner(current, text, corner), elem_id="pal-top")


def banner(current: str, text: str, corner: str = "") -> str:
    """Title, links and what the page is for; ``corner`` is a small label. All plain text."""
    links = "".join(_link(path, name, path == current) for path, name in PAGES.items())
    label = f'<p class="pal-engine">{escape(corner)}</p>' if corner else ""
    return (
        '<header class="pal-banner"><h1>PAL <span>persona-aware alignment</span></h1>'
        f'<nav aria-label="Pages">{links}</nav>{label}<p class="pal-about">{escape(text)}</p></header>'
    )


def _link(path: str, name: str, current: bool) -> str:
    here = ' aria-current="page"' if current else ""
    return f'<a href="./{path}"{here}>{name}</a>'
