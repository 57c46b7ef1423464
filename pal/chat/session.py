"""From settings to a responder that is ready to answer, and from a message to the chat as it grows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pal import engines
from pal.chat.conversation import Chat, ChatTurn
from pal.chat.responder import ConsistencyScorer, Judged, Responder, TurnRequest
from pal.chat.selection import SelectionSettings
from pal.chat.variants import Variants, read_variants
from pal.engines.base import Cancel, Delta, Engine
from pal.errors import CheckpointError, PalError
from pal.settings import Settings

SECONDS_BETWEEN_UPDATES = 0.1
BROKEN = "Something went wrong here. Your message is kept: try Retry."

log = logging.getLogger(__name__)


def build_responder(settings: Settings, engine: Engine | None = None) -> Responder:
    """Engine, renderer, encoder and consistency model for all variants; fetches what is
    missing, so the first call on a machine may take minutes. Close it with
    ``responder.engine.close()``. ``engine`` None loads the one the settings name.

    Raises:
        CheckpointError: base, encoder or an adapter is missing and cannot be got.
        DataError: the selection file or the file of variants cannot be used.
    """
    variants = read_variants(settings)
    selection = selection_settings(settings, variants)
    encoder = None
    if any(setting.prior_weight for setting in selection.values()):
        from pal.models.encoder import MiniLMEncoder, fetch_encoder

        encoder = MiniLMEncoder(fetch_encoder())
    engine = engine or engines.open(settings, variants.adapters)
    return Responder(engine, engine.renderer, variants, selection, encoder, consistency_model(settings))


def consistency_model(settings: Settings, folder: Path | None = None) -> ConsistencyScorer | None:
    """The model behind the badges; None when the settings turn it off. One
    that is missing or cannot be used is logged, once, and also gives None.
    ``folder`` None is the repository's."""
    if not settings.consistency:
        return None
    from pal.models.consistency import FOLDER, ConsistencyModel

    try:
        return ConsistencyModel.load(folder or FOLDER)
    except CheckpointError as error:
        log.warning("Replies are shown without badges. %s", error)
        return None


def selection_settings(settings: Settings, variants: Variants) -> Mapping[str, SelectionSettings]:
    """Selection settings per variant; pure PAL while the repository has none tuned.

    Raises:
        DataError: the selection file is not there although it was asked for,
            or cannot be used.
    """
    from pal.chat.selection import PURE, read_selection

    untuned = settings.selection == Settings().selection and not settings.selection.is_file()
    return read_selection(PURE if untuned else settings.selection, variants.selecting).used


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

    def stop_all(self) -> None:
        """Cancel every visitor's turn."""
        with self._lock:
            cancels = list(self._cancels.values())
        for cancel in cancels:
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
    replaced: ChatTurn | None = None,
) -> Iterator[Chat]:
    """The chat with ``turn`` as its last turn, again and again until all its
    replies have ended and, with ``judge``, are judged. Text comes at most every
    ``SECONDS_BETWEEN_UPDATES``; everything else at once. ``replaced`` is the turn
    that this one retries: it comes back when no variant replies. At the end the
    engine is given what the next turn will begin with.

    Raises:
        PalError: the chat is full, and nothing was run; or a retry gave no reply.
    """
    request = TurnRequest(
        turn.persona,
        turn.user,
        chat.histories(turn.persona, turn.variants),
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
    if replaced is not None and turn.continuing is None:
        yield chat.with_last(replaced)
        prefill(responder, chat.with_last(replaced))
        reason = next((reply.error for reply in turn.replies if reply.error), "it was stopped")
        raise PalError(f"The retry gave no reply ({reason}). The earlier replies are back.")
    prefill(responder, chat.with_last(turn))


def prefill(responder: Responder, chat: Chat) -> None:
    """Let the engine compute what the chat's next turn begins with, if that turn
    has the persona and the variants of the last one, while the visitor reads and types."""
    if not chat.session or not chat.turns:
        return
    last = chat.turns[-1]
    responder.prefill(last.persona, chat.histories(last.persona, last.variants), chat.session)


def retry_base(chat: Chat) -> tuple[Chat, ChatTurn]:
    """The chat before its last turn, and that turn, to run again.

    Raises:
        PalError: nothing was said yet.
    """
    if not chat.turns:
        raise PalError("There is nothing to retry: say something first.")
    last = chat.turns[-1]
    return chat.undo()[0], last
