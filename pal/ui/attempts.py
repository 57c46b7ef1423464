"""Limits how often somebody may try a password or start as a new annotator."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import gradio as gr

from pal.errors import PalError


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
