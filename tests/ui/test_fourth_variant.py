"""A variant that a host adds is a column everywhere, without a line of code for it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from gradio_client import Client

from pal.chat.strategies import SelectThenGenerate
from pal.chat.variants import Variant, Variants, shipped
from pal.ratings.records import Rating
from tests.fakes import FakeConsistency, FakeEngine, fake_responder
from tests.ui.rating import TEXTS, Annotator, Maker, host
from tests.ui.visitor import Visitor

FOURTH = Variant("mine", "My <own>", None, SelectThenGenerate(), "Trained at home & away.")
FOUR = Variants((*shipped(), FOURTH))
TITLE = "My &lt;own&gt;"


@pytest.fixture
def visitor(serve):
    model = FakeConsistency(lambda sentence, reply: "entailment")
    engine = FakeEngine(replies=["hello"], picks=[1, 2, 2])
    return Visitor(serve(fake_responder(engine, model, FOUR)), "one")


def test_explore_has_a_column_bars_a_key_and_badges_for_it(visitor):
    assert TITLE in visitor.shown("pal-heads") and "Trained at home &amp; away." in visitor.shown("pal-heads")
    assert "all four models" in visitor.shown("pal-live")
    assert "compare the four replies" in visitor.shown("pal-top")
    continued = visitor.components[visitor.component("pal-continued")]["props"]["choices"]
    assert [FOURTH.title, "mine"] in [list(choice) for choice in continued]
    visitor.say("Hi")
    [column] = re.findall(r'<article class="pal-reply pal-mine.*?</article>', visitor.shown("pal-live"))
    assert "mine: hello" in column and "Selected:" in column and "entails</b>" in column
    assert f'<b class="pal-key pal-mine">{TITLE}</b>' in visitor.shown("pal-legend")
    assert visitor.shown("pal-none-row").count('class="pal-bar pal-') == 3
    visitor.fire("pal-live", data={"variant": "mine"})
    assert f"{TITLE}: entails this" in "".join(map(str, visitor.values.values()))


def test_the_endpoint_answers_for_it(serve):
    client = Client(serve(fake_responder(variants=FOUR)), verbose=False)
    result = client.predict(["I am a nurse."], "Hi", api_name="/chat_turn")
    assert result["replies"]["mine"]["reply"] == "mine: reply 1" and "mine" in result["selected"]


def test_it_is_rated_blind_with_the_others_and_named_afterwards(serve, tmp_path):
    rating = replace(host(tmp_path, make=Maker({**TEXTS, "mine": "My horse is old."})), variants=FOUR)
    visitor = Annotator(serve(fake_responder(variants=FOUR), rating), "one")
    assert "<b>C</b> and <b>D</b>" in visitor.view and "four models" in visitor.view
    visitor.start()
    assert visitor.view.count("data-column=") == 4 and "fourth" in visitor.view
    assert "mine" not in visitor.view
    visitor.vote((1, 2, 3, 4))
    assert "fourth" in visitor.view and "My <own>" in visitor.view and "My horse is old." in visitor.view
    [vote] = [record for record in rating.desk.records() if isinstance(record, Rating)]
    assert set(vote.order) == set(FOUR.names) and vote.ranks == (1, 2, 3, 4)
