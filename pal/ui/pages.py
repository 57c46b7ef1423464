"""What all pages share: the theme, the banner, settings of events, limits on attempts."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import gradio as gr

from pal.errors import PalError
from pal.settings import REPOSITORY
from pal.ui.templates import render

STYLES = tuple(REPOSITORY / "assets" / name for name in ("style.css", "rate.css", "results.css"))
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
QUIET = {"show_progress": "hidden", "api_visibility": "private"}
PAGES = {"": "Explore", "rate": "Rate", "results": "Results"}  # path, name


def theme() -> gr.themes.Base:
    """Gradio's plain theme with local fonts and a quiet accent."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=FONT,
        font_mono=MONO,
    )


class TooManyAttempts(PalError):
    """Too many attempts; a later one is possible."""


class Attempts:
    """Counts the attempts of each visitor and of all together, in windows of time.

    A visitor is an address, which a client behind no proxy could forge: hence the
    limit for all together.

    Args:
        each, together: how many in ``seconds``.
    """

    def __init__(
        self, each: int, together: int, seconds: float = 600, clock: Callable[[], float] = time.monotonic
    ):
        self._each, self._together, self._seconds, self._clock = each, together, seconds, clock
        self._lock = threading.Lock()
        self._began = clock()
        self._made: Counter[str] = Counter()

    def check(self, visitor: str) -> None:
        """Before an attempt.

        Raises:
            TooManyAttempts: there were too many in this window.
        """
        with self._lock:
            left = self._began + self._seconds - self._clock()
            if left <= 0:
                self._made.clear()
                self._began, left = self._clock(), self._seconds
            if self._made[visitor] >= self._each or self._made.total() >= self._together:
                minutes = int(-(-left // 60))
                raise TooManyAttempts(f"Too many attempts. Try again in {minutes} min.")

    def count(self, visitor: str) -> None:
        """After an attempt that counts."""
        with self._lock:
            self._made[visitor] += 1


def address(request: gr.Request) -> str:
    """Where a visitor comes from: the address that the proxy adds, else the peer's."""
    forwarded = request.headers.get("x-forwarded-for", "")
    peer = request.client.host if request.client else ""
    return forwarded.split(",")[-1].strip()[:100] or peer or "unknown"


def add_banner(current: str, text: str, corner: str = "") -> None:
    """Put the banner into the page that is being built."""
    gr.HTML(banner(current, text, corner), elem_id="pal-top")


def banner(current: str, text: str, corner: str = "") -> str:
    """Title, links and what the page is for; ``corner`` is a small label."""
    return render("common.html", "banner", PAGES, current, text, corner)


def notice_html(text: str, kind: str = "problem") -> str:
    """A message to the visitor, "" for none; read out at once when it is a problem."""
    return render("common.html", "notice", text, kind)
