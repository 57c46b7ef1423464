"""The chat as HTML: what was selected, what continues, bars and percentages."""

import pytest

from pal.chat import wording
from pal.chat.conversation import ChatTurn
from pal.chat.selection import SelectionSettings, choose
from pal.chat.strategies import Selected
from pal.chat.variants import shipped
from pal.chat.wording import percent
from pal.dialogue.persona import Persona
from pal.engines.base import Decoding, Done
from pal.ui.explore_views import newest_turn, option_bars, transcript


def turn(user: str = "Hi", sentence: str = "I am a nurse.", reply: str = "Hello.") -> ChatTurn:
    made = ChatTurn(user, Persona((sentence, "I have a cat.")), Decoding(), 7, shipped())
    made = made.after(Selected("stage1", choose([0.1, 0.83, 0.07]), (0.1, 0.83, 0.07), 1))
    made = made.after(Selected("aligned", choose([0.61, 0.3, 0.09]), (0.61, 0.3, 0.09), 1))
    for variant in ("baseline", "stage1", "aligned"):
        made = made.after(Done(variant, reply, 1, 1, 0.0))
    return made


def test_each_reply_says_what_was_selected_and_how_sure():
    html = newest_turn([turn()], shipped())
    assert 'Selected: <span class="pal-sentence">I am a nurse.</span> <span class="pal-sure">· 83 %' in html
    assert 'Selected: <span class="pal-none">none</span> <span class="pal-sure">· 61 %' in html
    assert "seed 7 · temperature 0.7" in html


def test_the_continuing_reply_is_marked_and_only_the_newest_turn_offers_another():
    newest, older = newest_turn([turn(), turn()], shipped()), transcript([turn()])
    assert newest.count("Continues the chat") == older.count("Continues the chat") == 1
    assert newest.count("Not continued") == older.count("Not continued") == 2
    assert newest.count("data-continue=") == 2
    assert 'data-continue="aligned"' not in newest
    assert "data-continue=" not in older


def test_nothing_is_marked_while_replies_are_still_written():
    growing = ChatTurn("Hi", Persona(("I am a nurse.",)), Decoding(), 1, shipped())
    html = newest_turn([growing], shipped())
    assert "ontinue" not in html
    assert html.count("Selecting …") == 2


def test_bars_give_the_probability_of_each_option_and_mark_the_selected_one():
    last = turn()
    none, nurse, gone = (option_bars(last, option) for option in (0, 1, None))
    assert "width:83.0%" in nurse and "Stage 1, selected: </span>83 %" in nurse
    assert "Aligned: </span>30 %" in nurse
    assert "Aligned, selected: </span>61 %" in none
    assert gone == "" == option_bars(None, 0)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "0 %"), (0.001, "< 1 %"), (0.5, "50 %"), (0.999, "> 99 %"), (1.0, "100 %")],
)
def test_percentages_never_round_to_certainty(probability, text):
    assert percent(probability) == text


def test_the_selection_setting_is_named():
    weighted = SelectionSettings(prior_weight=4)
    assert wording.setting_names({}, shipped()) == "pure PAL"
    assert "weight 4" in wording.setting_names({"stage1": weighted, "aligned": weighted}, shipped())
    both = wording.setting_names({"aligned": weighted}, shipped())
    assert both.startswith("Stage 1: pure PAL; Aligned: PAL + embedding prior")
