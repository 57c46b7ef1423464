"""A page over a fake engine, served on a free port."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gradio as gr
import pytest

from pal.chat.responder import Responder
from pal.settings import Settings
from pal.ui import site
from pal.ui.rate_maker import RatingHost
from tests.fakes import FakeEngine, fake_responder


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serves a page for an engine; gives its address. Closed after the test."""
    pages: list[gr.Blocks] = []

    def start(
        engine: FakeEngine | Responder | None = None, rating: RatingHost | None = None, **settings
    ) -> str:
        responder = engine if isinstance(engine, Responder) else fake_responder(engine)
        page = site.launch(responder, Settings(port=0, **settings), rating, quiet=True)
        pages.append(page)
        return page.local_url

    yield start
    for page in pages:
        page.close()
