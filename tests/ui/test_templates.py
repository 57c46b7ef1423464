"""Every template of the page: hostile values stay text, and a missing value is an error."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError
from jinja2.runtime import Macro

from pal.chat.conversation import ChatTurn
from pal.chat.responder import Judged
from pal.chat.selection import choose
from pal.chat.strategies import Selected
from pal.chat.variants import Variants, shipped
from pal.dialogue.findings import Finding
from pal.dialogue.persona import Example, Persona
from pal.dialogue.turns import Exchange
from pal.engines.base import Decoding, Delta, Done, Failed
from pal.ratings.ballots import Agreement
from pal.ratings.blind import BlindTurn, Revealed
from pal.ratings.desk import Progress
from pal.ratings.queue import AdminProgress, AnnotatorProgress
from pal.ratings.records import Rating, ReplyRecord
from pal.ratings.statistics import FlagRate, PairResult, Results, Summary, VariantResult
from pal.statistics import Estimate
from pal.ui import admin, explore_views, pages, rate_views, results, templates
from pal.ui.rate_views import Head

HOSTILE = (
    "\"'><img src=x onerror=alert(1)>${alert(2)}{{#each value}}`</textarea></script><script>alert(3)</script>"
)
PERSONA = Persona((f"I {HOSTILE}", "I have a cat."))
VARIANTS = Variants(tuple(replace(variant, title=HOSTILE, caption=HOSTILE) for variant in shipped()))
HALF = Estimate(0.5, 0.4, 0.6)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = ((0.02, 0.05, 0.93), (0.88, 0.1, 0.02))
HEAD = Head(Progress(1, 3), HOSTILE, HOSTILE, new=True)
BLIND = BlindTurn(HOSTILE, PERSONA.sentences, (Exchange(HOSTILE, HOSTILE),), HOSTILE, (HOSTILE,) * 3)


def chat_turns() -> Iterator[ChatTurn]:
    """A turn while it is written, one that is judged, one that failed."""
    turn = ChatTurn(HOSTILE, PERSONA, Decoding(), 7, VARIANTS)
    yield turn.after(Delta("aligned", HOSTILE))
    yield turn.after(Failed("aligned", HOSTILE)).ended(HOSTILE)
    for variant in ("baseline", "stage1", "aligned"):
        turn = turn.after(Done(variant, HOSTILE, 1, 1, 0.0)).after(Judged(variant, ROWS))
    turn = turn.after(Selected("aligned", choose([0.1, 0.8, 0.1]), (0.1, 0.8, 0.1), 1))
    yield turn.after(Selected("stage1", choose([0.8, 0.1, 0.1]), (0.8, 0.1, 0.1), 1))
    wrong = (Finding("number", HOSTILE, 0, True), Finding("name", HOSTILE, 1, False))
    turn = turn.after(Judged("aligned", ((0.1, 0.8, 0.1),) * 2, findings=wrong))
    yield turn.after(Judged("stage1", None, HOSTILE))


def explore() -> Iterator[str]:
    views, turns = explore_views, list(chat_turns())
    yield from (
        views.welcome(VARIANTS),
        views.column_heads(VARIANTS),
        views.legend(None),
        views.transcript(turns),
    )
    yield from (views.changed(), views.setting_line({}, VARIANTS), views.status_line(PERSONA.sentences))
    yield templates.render("explore.html", "setting_line", HOSTILE)
    yield templates.render("explore.html", "status_line", HOSTILE, False)
    for turn in turns:
        yield from (views.newest_turn([turn], VARIANTS), views.announcement(turn), views.legend(turn))
        yield from (views.option_bars(turn, option) for option in range(3))


def page() -> Iterator[str]:
    yield from (
        pages.banner("", HOSTILE, HOSTILE),
        pages.notice_html(HOSTILE),
        pages.notice_html(HOSTILE, "info"),
    )


def rating(**values) -> Rating:
    fields = {"ranks": (2, 1, 2), "flags": (("parrots",), (), ()), "all_bad": False, "skip": False, **values}
    texts = {
        "turn_id": HOSTILE,
        "annotator": HOSTILE,
        "submission": HOSTILE,
        "comment": HOSTILE,
        "consent": HOSTILE,
    }
    return Rating(
        **texts,
        **fields,
        order=("a", "b", "c"),
        correction=True,
        shown_at=NOW,
        submitted_at=NOW,
        supersedes=None,
    )


def rate() -> Iterator[str]:
    own = replace(BLIND, own=True)
    replies = (
        ReplyRecord("aligned", HOSTILE, 0, (0.1, 0.8, 0.1), consistency=ROWS),
        ReplyRecord("stage1", HOSTILE, None, (0.8, 0.1, 0.1)),
        ReplyRecord(HOSTILE, HOSTILE),
    )
    bad = rating(ranks=(), flags=(), all_bad=True)
    yield from (
        rate_views.welcome(3),
        rate_views.closed(HOSTILE),
        rate_views.writing(HEAD, "next", HOSTILE, 3),
    )
    yield from (
        rate_views.interrupted(),
        rate_views.board(HEAD, BLIND),
        rate_views.board(HEAD, own, rating()),
    )
    for turn in (BLIND, own):
        for vote in (rating(), bad):
            yield rate_views.revealed(HEAD, turn, Revealed(HOSTILE, replies), vote, VARIANTS)
    yield from (rate_views.skipped(HEAD, HOSTILE), rate_views.done(HEAD), rate_views.erased(3))
    yield rate_views.own_start(HEAD, [Example(HOSTILE, HOSTILE, PERSONA, ())])
    yield from (
        rate_views.answers(HEAD, [(rating(), BLIND), (bad, own)], 1, 3),
        rate_views.answers(HEAD, [], 0, 0),
    )
    yield from (rate_views.account(HEAD), rate_views.account(HEAD, HOSTILE))


def votes_and_report() -> Iterator[str]:
    one = VariantResult(HOSTILE, HALF, HALF, HALF, HALF)
    pair = PairResult(HOSTILE, HOSTILE, 2, 1, 0, 1, HALF)
    flags = tuple(
        FlagRate(HOSTILE, flag, kind, 2, HALF) for kind in ("all", HOSTILE) for flag in rate_views.FLAG_LABELS
    )
    agreement = Agreement(HALF, HALF, 3)
    counted = Results((one,), (pair,), agreement, HALF, HALF, flags, (HALF,) * 3, (1.0, 2.0, 3.0), HALF)
    seen = Summary(HOSTILE, 9, 3, 9, 1, 0, 0, ((HOSTILE, 2),), counted)
    yield from (
        results.leaderboard_html(seen, VARIANTS),
        results.leaderboard_html(replace(seen, results=None), VARIANTS),
    )
    yield templates.render("results.html", "no_votes", HOSTILE)
    yield templates.render("results.html", "no_report")
    yield templates.render("results.html", "report", HOSTILE, [(HOSTILE, HOSTILE)])
    yield templates.render("results.html", "picture", HOSTILE, HOSTILE)
    somebody = AnnotatorProgress(HOSTILE, 1, 0, 0, NOW)
    yield admin.progress_html(AdminProgress(HOSTILE, 3, 1, 3, 3, 3, ((HOSTILE, 1),), (somebody,)), HOSTILE)


PAGES = {"explore.html": explore, "common.html": page, "rate.html": rate, "results.html": votes_and_report}


class Elements(HTMLParser):
    """The elements of some HTML and the attributes that would run code."""

    def __init__(self):
        super().__init__()
        self.tags, self.handlers = set(), set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.handlers |= {name for name, value in attributes if name.startswith("on")}


def test_every_template_is_tried_here():
    assert set(PAGES) == set(templates.environment().list_templates())


@pytest.mark.parametrize("name", PAGES)
def test_hostile_values_stay_text_in_every_macro(name, monkeypatch):
    module = templates.environment().get_template(name).module
    macros = {macro: function for macro, function in vars(module).items() if isinstance(function, Macro)}
    tried = set()

    def watched(macro: str, *values, **named) -> str:
        tried.add(macro)
        return macros[macro](*values, **named)

    for macro in macros:
        monkeypatch.setattr(module, macro, partial(watched, macro))
    shown = 0
    for text in PAGES[name]():
        elements = Elements()
        elements.feed(text)
        assert "script" not in elements.tags and not elements.handlers, text
        for forbidden in ("<img src=x", "${", "{{", "`", HOSTILE):
            assert forbidden not in text
        shown += html.unescape(text).count("alert(1)")
    assert shown > 3
    source = "".join(path.read_text(encoding="utf-8") for path in templates.FOLDER.glob("*.html"))
    assert tried | {macro for macro in macros if f"{{{{ {macro}(" in source} == set(macros)


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        templates.render("common.html", "notice", "text")
