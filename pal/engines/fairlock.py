"""A lock that is given in the order it was asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class FairLock:
    """First come, first served: ``threading.Lock`` lets a visitor who has just
    been served overtake those who wait."""

    def __init__(self):
        self._condition = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for one's turn, then hold the lock."""
        ticket = object()
        with self._condition:
            self._queue.append(ticket)
        try:
            with self._condition:
                self._condition.wait_for(lambda: self._queue[0] is ticket)
            yield
        finally:
            with self._condition:
                self._queue.remove(ticket)
                self._condition.notify_all()
