"""Runs one turn and gives back the chat as it grows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pal.engines.base import Cancel, Delta
from pal.errors import PalError
from pal.respond import Judged, Responder, TurnRequest
from pal.ui.chat_state import Chat, ChatTurn

SECONDS_BETWEEN_UPDATES = 0.1
BROKEN = "Something went wrong here. Your message is kept: try Retry."

log = logging.getLogger(__name__)


class RunningTurns:
    """At most one running turn for each visitor, each with its Cancel."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancels: dict[str, Cancel] = {}

    def begin(self, visitor: str, cancel: Cancel | None = None) -> Cancel:
        """Cancel of a new turn: the given one, or a new one.

        Raises:
            PalError: this visitor's last turn is still running.
        """
        with self._lock:
            if visitor in self._cancels:
                raise PalError("The last replies are still being written: wait, or press Stop.")
            self._cancels[visitor] = cancel = cancel or Cancel()
            return cancel

    def end(self, visitor: str) -> None:
        """Forget a finished turn."""
        with self._lock:
            self._cancels.pop(visitor, None)

    @contextmanager
    def turn(self, visitor: str, cancel: Cancel | None = None) -> Iterator[Cancel]:
        """``begin`` and ``end`` around a turn."""
        cancel = self.begin(visitor, cancel)
        try:
            yield cancel
        finally:
            self.end(visitor)

    def stop(self, visitor: str) -> None:
        """Cancel the visitor's turn, if one runs."""
        with self._lock:
            cancel = self._cancels.get(visitor)
        if cancel is not None:
            cancel.set()

    def __len__(self) -> int:
        return len(self._cancels)


def run_turn(
    responder: Responder,
    chat: Chat,
    turn: ChatTurn,
    cancel: Cancel,
    clock: Callable[[], float] = time.monotonic,
    *,
    judge: bool = True,
) -> Iterator[Chat]:
    """The chat with ``turn`` as its last turn, again and again until all its
    replies have ended and, with ``judge``, are judged. Text comes at most every
    ``SECONDS_BETWEEN_UPDATES``; everything else at once.

    Raises:
        PalError: the chat is full; nothing was run.
    """
    request = TurnRequest(
        turn.persona,
        turn.user,
        chat.histories(turn.persona),
        turn.decoding,
        turn.seed,
        chat.session,
        judge=judge,
    )
    chat = chat.with_turn(turn)
    yield chat
    shown, stopped = clock(), False
    try:
        for event in responder.respond(request, cancel):
            turn = turn.after(event)
            stopped = stopped if isinstance(event, Judged) else cancel.is_set
            if isinstance(event, Delta) and clock() - shown < SECONDS_BETWEEN_UPDATES:
                continue
            yield chat.with_last(turn)
            shown = clock()
        turn = turn.ended(stopped=stopped)
    except PalError as error:
        turn = turn.ended(None if cancel.is_set else str(error), stopped=cancel.is_set)
    except Exception:
        log.exception("a turn failed")
        turn = turn.ended(BROKEN)
    yield chat.with_last(turn)


def retry_base(chat: Chat) -> tuple[Chat, ChatTurn]:
    """The chat before its last turn, and that turn, to run again.

    Raises:
        PalError: nothing was said yet.
    """
    if not chat.turns:
        raise PalError("There is nothing to retry: say something first.")
    last = chat.turns[-1]
    return chat.undo()[0], last
