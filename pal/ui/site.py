"""All pages as one site, and its server."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from pal.chat.responder import Responder
from pal.dialogue.persona import Example, load_examples
from pal.settings import Settings
from pal.ui import admin, explore, pages, rate, results
from pal.ui.pages import Attempts
from pal.ui.rate_actions import RateActions
from pal.ui.rate_maker import RatingHost
from pal.ui.results import Leaderboard

SPARE_THREADS = 16  # for clicks that are no turns


def build(
    responder: Responder, examples: Sequence[Example], settings: Settings, rating: RatingHost
) -> gr.Blocks:
    """The pages as Gradio blocks; ``launch`` runs them."""
    keep = (3600, 3600)  # seconds that an export stays in Gradio's cache
    with gr.Blocks(title="PAL", analytics_enabled=False, fill_width=True, delete_cache=keep) as site:
        explore.add_page(site, responder, examples, settings.turns_at_once)
    actions = None
    if rating.desk is not None:
        starts = Attempts(each=100, together=1000)  # a whole class may share one address
        actions = RateActions(rating.desk, rating.maker, examples, starts, rating.variants)
    with site.route("Rate", "rate"):
        rate.add_page(site, rating.variants, actions, rating.closed, settings.turns_at_once)
    with site.route("Results", "results"):
        results.add_page(site, Leaderboard(rating.desk, settings.rating_threshold, rating.variants))
    if rating.desk is not None and settings.admin_password:
        with site.route("Admin", "admin"):
            admin.add_page(rating.desk, settings.admin_password)
    return site


def launch(
    responder: Responder, settings: Settings, rating: RatingHost | None = None, *, quiet: bool = False
) -> gr.Blocks:
    """Serve the site and return at once; its ``close`` ends that. ``quiet``: do not print the address."""
    site = build(responder, load_examples(), settings, rating or RatingHost())
    site.queue(max_size=settings.queue_size, default_concurrency_limit=settings.turns_at_once)
    site.launch(
        server_name=settings.host,
        server_port=settings.port or None,
        theme=pages.theme(),
        css_paths=list(pages.STYLES),
        footer_links=["api"],
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        max_threads=settings.turns_at_once + SPARE_THREADS,
        mcp_server=False,
        max_file_size="1mb",
        prevent_thread_lock=True,
        quiet=quiet,
    )
    return site
