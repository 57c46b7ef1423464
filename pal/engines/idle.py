"""Prompts computed ahead while no turn runs.

A chat's next prompt begins with what is already known: the persona and the
finished exchanges. Computed while the visitor reads and types, only the message
is left to compute when it is sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pal.engines.base import PrefillRequest

QUIET_SECONDS = 0.1  # without a turn before work begins: a turn pauses between its selections and its replies

Stopped = Callable[[], bool]
Compute = Callable[[Sequence[PrefillRequest], Stopped], Sequence[PrefillRequest]]


class IdlePrefill:
    """Computes ahead for one chat at a time, the one that asked first, in a thread of its own.

    Args:
        compute: computes requests of one chat until ``stopped()``, and returns
            those that were stopped before their end. It must not raise.
    """

    def __init__(self, compute: Compute):
        self._compute = compute
        self._changed = threading.Condition()
        self._chats: dict[str, tuple[PrefillRequest, ...]] = {}
        self._open = self._begun = 0  # turns
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pal-prefill", daemon=True)
        self._thread.start()

    def add(self, requests: Sequence[PrefillRequest]) -> None:
        """Compute them later; they replace what their chats had asked for before."""
        with self._changed:
            for session in dict.fromkeys(request.session for request in requests):
                self._chats.pop(session, None)
                self._chats[session] = tuple(item for item in requests if item.session == session)
            self._changed.notify_all()

    @contextmanager
    def turn(self, sessions: Sequence[str]) -> Iterator[None]:
        """Around a turn, or a part of one, that somebody waits for: nothing is
        computed ahead meanwhile, and what was wanted for its chats is dropped."""
        with self._changed:
            self._open += 1
            self._begun += 1
            for session in sessions:
                self._chats.pop(session, None)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _next(self) -> tuple[str, tuple[PrefillRequest, ...]] | None:
        """The chat whose time has come, once no turn has run for a while; None at the end."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._closed or (self._chats and not self._open))
                begun = self._begun
                self._changed.wait_for(
                    lambda begun=begun: self._closed or self._begun != begun, QUIET_SECONDS
                )
                if self._closed:
                    return None
                if self._begun == begun and self._chats:
                    return next(iter(self._chats.items()))

    def _run(self) -> None:
        while (chat := self._next()) is not None:
            session, requests = chat

            def stopped(session=session, requests=requests) -> bool:
                return self._closed or self._open > 0 or self._chats.get(session) is not requests

            unfinished = tuple(self._compute(requests, stopped))
            with self._changed:
                if self._chats.get(session) is requests:
                    if unfinished:
                        self._chats[session] = unfinished
                    else:
                        del self._chats[session]

    def close(self) -> None:
        """Stop, and wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
