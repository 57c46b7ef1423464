"""Turns to rate: made ahead of time, on the models that the page serves."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from pal.chat.conversation import MAX_SEED, MAX_TURNS
from pal.chat.responder import Responder, TurnRequest
from pal.chat.session import RunningTurns
from pal.chat.variants import Variants, shipped
from pal.dialogue.persona import Persona
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding
from pal.errors import Cancelled, PalError
from pal.ratings.blind import BlindTurn, Revealed
from pal.ratings.desk import RatingDesk, open_desk
from pal.ratings.generate import campaign_name, generate_turn, provenance
from pal.ratings.items import Item
from pal.ratings.records import Turn
from pal.settings import Settings

MOST_AHEAD = 16  # turns that wait to be shown or made, over all visitors
# (request, item id or None, owner or None, cancel) → the finished turn
MakeTurn = Callable[[TurnRequest, str | None, str | None, Cancel], Turn]
log = logging.getLogger(__name__)


def first_request(persona: Persona, message: str, session: str, variants: Variants) -> TurnRequest:
    """The first turn of a chat. ``session`` names its cache in the engine."""
    return _request(persona, message, {name: () for name in variants.names}, session)


def next_request(
    turn: BlindTurn, names: Revealed, column: int, message: str, session: str, variants: Variants
) -> TurnRequest:
    """The turn after ``turn``, which the reply of ``column`` continues. Texts are
    shared; every variant keeps its own earlier selections.

    Raises:
        PalError: there is no such column, or the chat is as long as a chat may be.
    """
    if column >= len(names.columns):
        raise PalError("There is no such reply. Reload the page.")
    if len(turn.history) + 1 >= MAX_TURNS:
        raise PalError(f"This chat has {MAX_TURNS} turns, the most that fit. Start a new one.")
    said = names.columns[column].text.strip()
    histories = {}
    for reply in names.columns:
        earlier = (*reply.earlier, *[None] * len(turn.history))
        past = [
            Exchange(exchange.user, exchange.reply, selected)
            for exchange, selected in zip(turn.history, earlier, strict=False)
        ]
        histories[reply.variant] = (*past, Exchange(turn.user, said, reply.selected))
    in_order = {name: histories[name] for name in variants.names if name in histories}
    return _request(Persona(turn.persona), message, in_order, session)


def _request(
    persona: Persona, message: str, histories: dict[str, tuple[Exchange, ...]], session: str
) -> TurnRequest:
    return TurnRequest(persona, message, histories, Decoding(), secrets.randbelow(MAX_SEED), session)


@dataclass
class _Ahead:
    """One item's turn in the making; ``visitors`` are those it is made for."""

    future: Future[Turn]
    cancel: Cancel
    visitors: set[str] = field(default_factory=set)


class TurnMaker:
    """One turn ahead at a time in the background, at most ``MOST_AHEAD`` in all.
    Safe to call from many threads."""

    def __init__(self, make: MakeTurn, most_ahead: int = MOST_AHEAD):
        self._make = make
        self._most = most_ahead
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="rate-ahead")
        self._lock = threading.Lock()
        self._ahead: dict[str, _Ahead] = {}
        self._stopped = False
        self.running = RunningTurns()

    def ahead(self, visitor: str, item: Item, request: TurnRequest) -> None:
        """Make an item's turn in the background, unless there is one or no room."""
        with self._lock:
            job = self._ahead.get(item.id)
            if job is None:
                if self._stopped or not self._room():
                    return
                cancel = Cancel(background=True)
                future = self._pool.submit(self._make, request, item.id, None, cancel)
                job = self._ahead[item.id] = _Ahead(future, cancel)
            job.visitors.add(visitor)

    def _room(self) -> bool:
        """Room for one more; the oldest turn that nobody came for makes it."""
        if len(self._ahead) < self._most:
            return True
        unclaimed = next((item for item, job in self._ahead.items() if job.future.done()), None)
        return self._ahead.pop(unclaimed, None) is not None

    def item(self, visitor: str, item: Item, request: TurnRequest) -> Turn:
        """The item's turn: the one made ahead, or made now.

        Raises:
            PalError: this visitor waits for another turn already, or left.
        """
        with self._lock:
            job = self._ahead.pop(item.id, None)
        if job is not None and not job.future.cancel():
            job.cancel.background = False  # somebody waits for it now
            with self.running.turn(visitor, job.cancel):
                turn = _result(job)
            _check(job.cancel)
            if turn is not None:
                return turn
        return self.now(visitor, request, item.id, None)

    def now(self, visitor: str, request: TurnRequest, item: str | None, owner: str | None) -> Turn:
        """A turn made in this thread; ends early when the visitor leaves.

        Raises:
            PalError: this visitor waits for another turn already, or left, or the app stops.
        """
        with self.running.turn(visitor) as cancel:
            if self._stopped:
                raise Cancelled("PAL is being stopped. Come back in a minute.")
            turn = self._make(request, item, owner, cancel)
        _check(cancel)
        return turn

    def leave(self, visitor: str) -> None:
        """Stop what is made for nobody but this visitor."""
        self.running.stop(visitor)
        with self._lock:
            for item_id, job in list(self._ahead.items()):
                job.visitors.discard(visitor)
                if not job.visitors:
                    job.cancel.set()
                    job.future.cancel()
                    del self._ahead[item_id]

    def stop(self) -> None:
        """Cancel everything, and make nothing any more. Does not wait."""
        with self._lock:
            self._stopped = True
            jobs, self._ahead = list(self._ahead.values()), {}
        for job in jobs:
            job.cancel.set()
        self.running.stop_all()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """``stop``, and wait until the background uses the engine no more."""
        self.stop()
        self._pool.shutdown(wait=True)


def _result(job: _Ahead) -> Turn | None:
    """The turn, or None when it cannot be shown: not made, or a variant failed."""
    try:
        turn = job.future.result()
    except (CancelledError, PalError):
        return None
    return None if turn.failed else turn


def _check(cancel: Cancel) -> None:
    if cancel.is_set:
        raise Cancelled("Stopped, because the page was left.")


@dataclass(frozen=True)
class RatingHost:
    """The desk and what makes its turns. Both None: nothing can be rated, and
    ``closed`` says why. ``variants`` are those that the maker runs."""

    desk: RatingDesk | None = None
    maker: TurnMaker | None = None
    closed: str = "This copy of PAL keeps no ratings."
    variants: Variants = field(default_factory=shipped)

    def close(self) -> None:
        """Stop making turns, finish the backup and close the store. Afterwards
        nothing here uses the engine, so it may be closed."""
        if self.maker is not None:
            self.maker.stop()
        if self.desk is not None:
            self.desk.close()
        if self.maker is not None:
            self.maker.close()


def open_host(settings: Settings, responder: Responder) -> RatingHost:
    """Opens the store; a store that cannot be opened closes the page, not the app."""
    try:
        made_by = provenance(responder.engine)
        desk = open_desk(settings, campaign_name(made_by, Decoding(), responder.settings))
    except (PalError, OSError) as error:
        log.error("no rating: %s", error)
        return RatingHost(closed=str(error))

    def make(request: TurnRequest, item: str | None, owner: str | None, cancel: Cancel) -> Turn:
        return generate_turn(
            responder,
            request,
            made_by,
            desk.campaign,
            item=item,
            owner=owner,
            cancel=cancel,
        )

    return RatingHost(desk, TurnMaker(make), variants=responder.variants)
