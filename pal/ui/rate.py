"""The Rate page: one HTML part that its script fills with life, and its events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from pal.chat.variants import Variants
from pal.errors import PalError
from pal.settings import REPOSITORY
from pal.ui import pages, rate_views
from pal.ui.pages import QUIET, notice_html
from pal.ui.rate_actions import Payload, RateActions

SCRIPT = REPOSITORY / "assets" / "rate.js"
BROKEN = "Something went wrong here. What you marked is kept in this browser: try again."
SETTLED = "() => window.palRateSettled?.()"
MAKES_TURNS = ("begin", "next", "say")  # wait in the same line as the turns of Explore
AT_ONCE = ("vote", "correct", "answers", "own", "account", "data", "erase")

Step = Callable[[Payload, gr.Request], Iterator[str]]

log = logging.getLogger(__name__)


def add_page(
    page: gr.Blocks, variants: Variants, actions: RateActions | None, closed: str, turns_at_once: int
) -> None:
    """Put Rate into ``page``, which is being built. ``actions`` None: it only says
    why, ``closed``, nothing can be rated."""
    pages.add_banner("rate", rate_views.introduction(len(variants)))
    first = rate_views.welcome(len(variants)) if actions else rate_views.closed(closed)
    board = gr.HTML(
        first, elem_id="pal-rate", js_on_load=SCRIPT.read_text(encoding="utf-8") if actions else None
    )
    with gr.Column(elem_id="pal-rate-notes"):
        gr.HTML('<p id="pal-rate-said" role="alert"></p>')
        notice = gr.HTML("", elem_id="pal-rate-notice")
    if actions is None:
        return
    for name in MAKES_TURNS:
        step = _stream(getattr(actions, name), board, notice)
        line = {"concurrency_id": "turn", "concurrency_limit": turns_at_once}
        getattr(board, name)(step, outputs=[board, notice], **line, **QUIET).then(fn=None, js=SETTLED)
    for name in AT_ONCE:
        step = _answer(getattr(actions, name), board, notice)
        getattr(board, name)(step, outputs=[board, notice], queue=False, **QUIET).then(fn=None, js=SETTLED)
    page.unload(actions.leave)


def _stream(step: Step, board: gr.HTML, notice: gr.HTML) -> Callable[..., Iterator[dict[Any, Any]]]:
    """An event that shows views as they come; an error is told below them."""

    def handle(request: gr.Request, event: gr.EventData) -> Iterator[dict[Any, Any]]:
        shown = None
        try:
            for shown in step(Payload(event._data), request):
                yield {board: shown, notice: ""}
        except Exception as error:
            again = {board: rate_views.interrupted()} if shown else {}
            yield {**again, notice: notice_html(_words(error))}

    return handle


def _answer(step: Step, board: gr.HTML, notice: gr.HTML) -> Callable[..., dict[Any, Any]]:
    """An event with one view, or an error that leaves the view as it is."""

    def handle(request: gr.Request, event: gr.EventData) -> dict[Any, Any]:
        try:
            return {board: next(step(Payload(event._data), request)), notice: ""}
        except Exception as error:
            return {notice: notice_html(_words(error))}

    return handle


def _words(error: Exception) -> str:
    """An error in words for the annotator."""
    if isinstance(error, PalError):
        return str(error)
    log.error("an event of the Rate page failed", exc_info=error)
    return BROKEN
