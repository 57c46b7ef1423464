"""Badges as HTML: words for what is said, dots for what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pal.chat.conversation import ChatTurn, Reply
from pal.chat.responder import Judged
from pal.chat.variants import shipped
from pal.chat.wording import badges
from pal.dialogue.findings import Finding
from pal.dialogue.persona import Persona
from pal.engines.base import Decoding, Done
from pal.ui.explore_views import newest_turn, option_bars
from pal.ui.templates import render

SENTENCES = ("I am a nurse.", "I have a cat.", "I sail.")
ROWS = ((0.02, 0.05, 0.93), (0.1, 0.8, 0.1), (0.88, 0.1, 0.02))


def judged(variant: str = "aligned", rows=ROWS) -> Reply:
    return Reply(variant, "Yes.", done=True, consistency=rows)


def reply_badges(reply: Reply, sentences=SENTENCES) -> str:
    return render("explore.html", "reply_badges", reply, sentences)


def test_a_badge_is_the_likeliest_label_of_its_sentence():
    assert [(badge.sentence, badge.label, badge.probability) for badge in badges(judged(), SENTENCES)] == [
        ("I am a nurse.", "entailment", 0.93),
        ("I have a cat.", "neutral", 0.8),
        ("I sail.", "contradiction", 0.88),
    ]
    assert badges(judged(), SENTENCES)[0].text == "✓ entails: I am a nurse. · 93 %"
    assert badges(Reply("aligned"), SENTENCES) == ()


def test_what_a_reply_says_is_there_in_words_and_not_in_colour_alone():
    html = reply_badges(judged())
    assert html.count("<li") == 4  # two in words, a dot, and the word for the dots
    assert "entails</b> I am a nurse. <em>93 %</em>" in html
    assert "contradicts</b> I sail. <em>88 %</em>" in html
    assert "neutral: I have a cat.</span>" in html
    assert reply_badges(Reply("aligned")) == ""


def test_what_is_wrong_is_said_in_words():
    findings = (
        Finding("number", "says 3, the persona says <5>", 0, True),
        Finding("person", "says of the speaker what the persona says of the brother", 1, False),
    )
    html = reply_badges(replace(judged(), findings=findings))
    assert "contradicts</b> I am a nurse. <em>says 3, the persona says &lt;5&gt;" in html
    assert "differs from</b> I have a cat. <em>says of the speaker what" in html
    assert "neutral: I sail.</span>" in html  # the whole reply's contradiction alone claims nothing
    panel = render(
        "explore.html", "sentence_badge", "Aligned", replace(judged(), findings=findings), SENTENCES, 1
    )
    assert "Aligned: differs from this <em>says of" in panel


def test_a_reply_without_badges_says_why():
    html = reply_badges(replace(judged(), consistency=None, unjudged="Out of order."))
    assert "No badges: Out of order." in html


@pytest.mark.parametrize(
    ("index", "words"),
    [(0, "Aligned: entails this"), (1, "Aligned: neutral"), (2, "Aligned: contradicts this")],
)
def test_the_panel_names_who_says_it(index, words):
    assert words in render("explore.html", "sentence_badge", "Aligned", judged(), SENTENCES, index)


def test_the_panel_follows_the_reply_that_continues_the_chat():
    turn = ChatTurn("Hi", Persona(SENTENCES), Decoding(), 1, shipped())
    for variant in ("baseline", "stage1", "aligned"):
        turn = turn.after(Done(variant, "Yes.", 1, 1, 0.0))
    turn = turn.after(Judged("aligned", ROWS)).after(Judged("baseline", ROWS[::-1]))
    assert "Aligned: entails this" in option_bars(turn, 1)
    assert "Baseline: contradicts this" in option_bars(replace(turn, continued="baseline"), 1)
    assert "pal-badge" not in option_bars(replace(turn, continued="stage1"), 1)
    assert "pal-badge" not in option_bars(turn, 0)
    assert newest_turn([turn], turn.variants).count('class="pal-badges"') == 2
