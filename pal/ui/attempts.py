"""Limits how often a secret may be tried: annotator ids and the host's password."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import gradio as gr

from pal.errors import PalError


class TooManyAttempts(PalError):
    """Too many wrong tries; a later one is possible."""


class Attempts:
    """Counts wrong tries of each visitor and of all together, in windows of time.

    A visitor is an address, which a client behind no proxy could forge: hence the
    limit for all together.
    """

    def __init__(
        self,
        each: int = 10,
        together: int = 200,
        seconds: float = 600,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._each, self._together, self._seconds, self._clock = each, together, seconds, clock
        self._lock = threading.Lock()
        self._began = clock()
        self._wrong: Counter[str] = Counter()

    def check(self, visitor: str) -> None:
        """Before a try.

        Raises:
            TooManyAttempts: too many wrong ones in this window.
        """
        with self._lock:
            left = self._began + self._seconds - self._clock()
            if left <= 0:
                self._wrong.clear()
                self._began, left = self._clock(), self._seconds
            if self._wrong[visitor] >= self._each or self._wrong.total() >= self._together:
                minutes = int(left // 60) + 1
                raise TooManyAttempts(f"Too many wrong tries. Try again in {minutes} min.")

    def wrong(self, visitor: str) -> None:
        """After a wrong try."""
        with self._lock:
            self._wrong[visitor] += 1


def address(request: gr.Request) -> str:
    """Where a visitor comes from: the address that the proxy adds, else the peer's."""
    forwarded = request.headers.get("x-forwarded-for", "")
    peer = request.client.host if request.client else ""
    return forwarded.split(",")[-1].strip()[:100] or peer or "unknown"
