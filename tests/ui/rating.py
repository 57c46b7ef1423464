"""An annotator over HTTP, and turns whose texts name no model."""

from __future__ import annotations

import html
import re
import secrets
import threading
from pathlib import Path

from pal.chat.responder import TurnRequest
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel
from pal.ratings.records import ReplyRecord, Turn, now
from pal.ui.rate_maker import RatingHost, TurnMaker
from tests.ratings import scene
from tests.ui.visitor import Visitor

TEXTS = {"baseline": "I like tea.", "stage1": "My cats like milk.", "aligned": "We sail at dawn."}


class Maker:
    """Makes turns with ``texts``; ``gate``: not before it opens or the turn is cancelled."""

    def __init__(self, texts=TEXTS, gate: threading.Event | None = None):
        self.texts, self.gate, self.failing = dict(texts), gate, ()
        self.requests: list[TurnRequest] = []
        self.items: list[str | None] = []
        self.waiting, self.cancelled = threading.Event(), threading.Event()
        self.running = 0

    def __call__(self, request: TurnRequest, item: str | None, owner: str | None, cancel: Cancel) -> Turn:
        self.requests.append(request)
        self.running += 1
        self.items.append(item)
        self.waiting.set()
        while self.gate is not None and not self.gate.wait(0.005):
            if cancel.is_set:
                self.cancelled.set()
                break
        self.running -= 1
        flat = tuple([1 / (len(request.persona) + 1)] * (len(request.persona) + 1))
        replies = tuple(
            ReplyRecord(
                variant,
                text,
                selected=None if variant == "baseline" else 0,
                probabilities=None if variant == "baseline" else flat,
                earlier=tuple(exchange.selected for exchange in request.histories[variant]),
                consistency=((0.1, 0.2, 0.7),) * len(request.persona),
                error=f"{variant} is out of order" if variant in self.failing else None,
            )
            for variant, text in self.texts.items()
        )
        return scene.turn(
            persona=request.persona,
            history=tuple(Exchange(past.user, past.reply) for past in request.histories["aligned"]),
            user=request.user,
            replies=replies,
            item=item,
            owner=owner,
        )


def host(folder: Path, items: int = 3, make: Maker | None = None, gold: int = 0, **queue) -> RatingHost:
    """Rating over a store in ``folder`` with a few items."""
    some = [scene.item(number) for number in range(items)]
    some += [scene.item(number, gold=True) for number in range(gold)]
    desk = scene.desk(f"sqlite:///{folder / 'ratings.sqlite3'}", some, now, **queue)
    return RatingHost(desk, TurnMaker(make or Maker()))


class Annotator(Visitor):
    """The Rate page as its script uses it."""

    code = ""

    def do(self, name: str, **data) -> str:
        """Fire one event; the view that is shown afterwards, or the notice."""
        self.values[self.component("pal-rate-notice")] = ""
        self.fire("pal-rate", name, {"code": self.code, **data})
        told = re.search(r'data-code=\\"([a-z0-9-]+)', "\n".join(self.heard))
        self.code = self.code or (told[1] if told else "")
        return self.notice or self.view

    @property
    def view(self) -> str:
        return html.unescape(self.shown("pal-rate"))

    @property
    def notice(self) -> str:
        return html.unescape(self.shown("pal-rate-notice"))

    def data(self, name: str) -> str:
        """One of the view's ``data-*`` attributes."""
        found = re.search(rf'data-{name}="([^"]*)"', self.shown("pal-rate").split(">")[0])
        return html.unescape(found[1]) if found else ""

    @property
    def phase(self) -> str:
        return self.data("phase")

    def texts(self) -> list[str]:
        """The replies in the order shown."""
        return re.findall(r'<h3>[ABC][^<]*</h3><p class="pal-text">([^<]*)</p>', self.view)

    def start(self) -> Annotator:
        """Agree, and get the first item."""
        self.do("begin", agree=True)
        assert self.phase == "rate", self.notice
        return self

    def vote(self, ranks=(1, 2, 3), **data) -> str:
        """Vote on what is shown; ``data`` as the script sends it."""
        body = {"turn": self.data("turn"), "submission": secrets.token_hex(8), "ranks": list(ranks)}
        return self.do("vote", **{**body, **data})
