"""The Results page: what was measured, and above a number of votes the leaderboard."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from pal.ui import navigation, results_files
from pal.ui.explore import QUIET

INTRODUCTION = "What training changed, measured: on held-out dialogues, on plain questions, and by votes."


def add_page(page: gr.Blocks, leaderboard: Callable[[], str]) -> None:
    """Put Results into ``page``, which is being built. Both parts are made anew
    for every visit."""
    navigation.add_banner("results", INTRODUCTION)
    with gr.Column(elem_id="pal-results", min_width=0):
        votes = gr.HTML("", elem_id="pal-leaderboard")
        report = gr.HTML("", elem_id="pal-report")
    page.load(lambda: (leaderboard(), results_files.report()), outputs=[votes, report], queue=False, **QUIET)
