"""Turns made ahead: shared by item, bounded, and stopped with their last visitor."""

from __future__ import annotations

import threading

import pytest

from pal.chat.responder import TurnRequest
from pal.chat.variants import shipped
from pal.engines.base import Decoding
from pal.errors import Cancelled, PalError
from pal.ui.rate_maker import TurnMaker
from tests.ratings import scene
from tests.ui.rating import Maker, host


def request(number: int):
    item = scene.item(number)
    histories = dict.fromkeys(shipped().names, item.history)
    return item, TurnRequest(item.persona, item.user, histories, Decoding(), 1, "session")


@pytest.fixture
def maker():
    made = []

    def start(make: Maker, most: int = 16) -> TurnMaker:
        made.append(TurnMaker(make, most))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_a_turn_made_ahead_is_taken_and_not_made_again(maker):
    make = Maker()
    turns = maker(make)
    turns.ahead("anna", *request(1))
    assert make.waiting.wait(60)
    taken = turns.item("anna", *request(1))
    assert taken.item == "item-1" and make.items == ["item-1"]
    turns.item("anna", *request(1))
    assert make.items == ["item-1"] * 2


def test_a_turn_ahead_waits_in_line_but_a_visitor_does_not(maker):
    gate = threading.Event()
    make = Maker(gate=gate)
    turns = maker(make)
    turns.ahead("anna", *request(1))
    assert make.waiting.wait(60)
    turns.ahead("anna", *request(2))  # behind item 1, which does not end
    taken = []
    asking = threading.Thread(target=lambda: taken.append(turns.item("anna", *request(2))))
    asking.start()
    while make.items != ["item-1", "item-2"]:
        assert asking.is_alive()
    gate.set()
    asking.join(60)
    assert taken[0].item == "item-2"


def test_what_is_made_ahead_goes_last_in_the_engine_until_somebody_waits_for_it(maker):
    gate, cancels = threading.Event(), []
    make = Maker(gate=gate)

    def watched(asked, item, owner, cancel):
        cancels.append(cancel)
        return make(asked, item, owner, cancel)

    turns = maker(watched)
    turns.ahead("anna", *request(1))
    assert make.waiting.wait(60)
    assert cancels[0].background
    asking = threading.Thread(target=turns.item, args=("anna", *request(1)))
    asking.start()
    while cancels[0].background:
        assert asking.is_alive()
    gate.set()
    asking.join(60)


def test_an_item_takes_no_chats_place_in_the_engines_cache(tmp_path):
    desk = host(tmp_path).desk
    assert desk.request(scene.item(1), 7, shipped().names).session == ""


def test_leaving_stops_only_what_nobody_else_waits_for(maker):
    gate = threading.Event()
    make = Maker(gate=gate)
    turns = maker(make)
    for visitor in ("anna", "ben"):
        turns.ahead(visitor, *request(1))
    assert make.waiting.wait(60)
    turns.leave("anna")
    assert not make.cancelled.wait(0.1)
    turns.leave("ben")
    assert make.cancelled.wait(60)


def test_whoever_leaves_while_waiting_gets_nothing_made(maker):
    make = Maker(gate=threading.Event())
    turns = maker(make)
    refused = []

    def ask() -> None:
        with pytest.raises(Cancelled):
            turns.item("anna", *request(1))
        refused.append(True)

    asking = threading.Thread(target=ask)
    asking.start()
    assert make.waiting.wait(60)
    turns.leave("anna")
    asking.join(60)
    assert refused and make.items == ["item-1"]


def test_one_visitor_waits_for_one_turn_at_a_time(maker):
    gate = threading.Event()
    make = Maker(gate=gate)
    turns = maker(make)
    asking = threading.Thread(target=turns.item, args=("anna", *request(1)))
    asking.start()
    assert make.waiting.wait(60)
    with pytest.raises(PalError, match="still being written"):
        turns.item("anna", *request(2))
    gate.set()
    asking.join(60)


def test_no_more_than_a_few_are_made_ahead(maker):
    gate = threading.Event()
    make = Maker(gate=gate)
    turns = maker(make, most=2)
    for number in range(5):
        turns.ahead("anna", *request(number))
    gate.set()
    turns.close()
    assert set(make.items) <= {"item-0", "item-1"}


def test_a_closed_host_uses_the_engine_no_more(tmp_path):
    make = Maker(gate=threading.Event())  # never opens: a turn ends when it is cancelled
    rating = host(tmp_path, make=make)
    rating.maker.ahead("anna", *request(1))
    assert make.waiting.wait(60)
    ben = ("ben", request(2)[1], None, None)
    asking = threading.Thread(target=lambda: pytest.raises(Cancelled, rating.maker.now, *ben))
    asking.start()
    while len(make.items) < 2:
        assert asking.is_alive()
    rating.close()
    assert make.cancelled.is_set() and make.running == 0
    with pytest.raises(Cancelled, match="being stopped"):
        rating.maker.now("cleo", request(3)[1], None, None)
    rating.maker.ahead("cleo", *request(3))
    assert len(make.items) == 2


def test_a_failed_turn_made_ahead_is_made_again(maker):
    make = Maker()
    make.failing = ("aligned",)
    turns = maker(make)
    turns.ahead("anna", *request(1))
    assert make.waiting.wait(60)
    while make.running:
        pass
    make.failing = ()
    assert not turns.item("anna", *request(1)).failed
