"""The Rate page over HTTP: consent, blindness, votes, corrections, own chats, own data."""

from __future__ import annotations

import base64
import json
import re
import threading

import httpx
import pytest

from pal.ratings.records import Consent, Rating, Turn
from pal.ui.rate_maker import RatingHost
from tests.fakes import FakeEngine
from tests.ui.rating import TEXTS, Annotator, Maker, host

NAMES = ("baseline", "stage1", "stage 1", "aligned", "order", "seed", "probabilit", "selected", "adapter")


def ratings(rating: RatingHost) -> list[Rating]:
    return [record for record in rating.desk.records() if isinstance(record, Rating)]


def test_nothing_is_stored_before_consent_and_consent_comes_first(serve, tmp_path):
    rating = host(tmp_path)
    visitor = Annotator(serve(rating=rating), "one")
    assert visitor.phase == "welcome" and "I have read this and agree" in visitor.view
    assert "Nobody has started" in visitor.do("begin", code="k7qd-m2xv-9rtb-wf4h")
    for event in ("next", "vote", "correct", "own", "say", "answers", "account", "data", "erase"):
        assert "Agree to the notice first" in visitor.do(event, turn="x", message="Hi", persona="I sail.")
    assert rating.desk.records() == []
    visitor.start()
    assert [type(record) for record in rating.desk.records()] == [Consent, Turn]


def test_before_the_vote_no_answer_tells_which_model_wrote_what(serve, tmp_path):
    rating = host(tmp_path, overlap=20)
    url = serve(rating=rating)
    orders = set()
    for number in range(12):
        visitor = Annotator(url, f"visitor-{number}")
        visitor.start()
        said = "\n".join(visitor.heard).lower()
        assert all(text.lower() in said for text in TEXTS.values())
        assert not [name for name in NAMES if name in said]
        turn = next(record for record in rating.desk.records() if isinstance(record, Turn))
        for secret in (turn.order_seed, turn.seed, *turn.provenance.adapters.values()):
            assert len(str(secret)) < 3 or str(secret) not in said
        orders.add(tuple(visitor.texts()))
    assert len(orders) > 2
    config = httpx.get(url + "config", params={"page": "rate"}).json()
    assert not any(text in json.dumps(config) for text in TEXTS.values())
    assert not config.get("run_history")
    rate = [one for one in config["components"] if str(one["props"].get("elem_id")).startswith("pal-rate")]
    assert rate and not any(name in json.dumps(one).lower() for one in rate for name in NAMES[:4])


def test_replies_arrive_together_and_only_when_all_are_done(serve, tmp_path):
    make = Maker(gate=threading.Event())
    visitor = Annotator(serve(rating=host(tmp_path, make=make)), "one")
    starting = threading.Thread(target=visitor.start)
    starting.start()
    assert make.waiting.wait(60)
    make.gate.set()
    starting.join(60)
    parts = [line for line in visitor.heard if any(text in line for text in TEXTS.values())]
    assert all(all(text in line for text in TEXTS.values()) for line in parts)
    earlier = visitor.heard[: visitor.heard.index(parts[0])]
    assert any("Three replies are being written" in line for line in earlier)


def test_texts_differ_by_nothing_but_their_words(serve, tmp_path):
    texts = {"baseline": "  It’s “late” … ", "stage1": 'It\'s "late" ...', "aligned": 'It\'s\n"late"  ...'}
    visitor = Annotator(serve(rating=host(tmp_path, make=Maker(texts))), "one").start()
    assert visitor.texts() == ['It\'s "late" ...'] * 3


def test_a_vote_is_stored_for_the_models_behind_the_columns_and_then_reveals_them(serve, tmp_path):
    rating = host(tmp_path)
    visitor = Annotator(serve(rating=rating), "one").start()
    shown = visitor.texts()
    visitor.vote([2, 1, 1], flags=[["contradicts"], [], ["uses_persona"]], comment=" fine ")
    assert visitor.phase == "revealed" and visitor.texts() == shown
    (stored,) = ratings(rating)
    assert [TEXTS[variant] for variant in stored.order] == shown
    assert stored.ranks == (2, 1, 1) and stored.comment == "fine"
    assert stored.flags == (("contradicts",), (), ("uses_persona",))
    for name, variant in (("Baseline", "baseline"), ("Stage 1", "stage1"), ("Aligned", "aligned")):
        assert f"{'ABC'[stored.order.index(variant)]} · {name}" in visitor.view
    assert "Your vote: <b>best (tie) · uses persona</b>" in visitor.view
    assert 'Selected: <span class="pal-sentence">I am a nurse.</span>' in visitor.view
    assert "agrees with “I am a nurse.” · 70 %" in visitor.view
    assert "1 of " in visitor.view and "saved · no backup" in visitor.view


def test_the_same_submission_twice_is_one_rating(serve, tmp_path):
    rating = host(tmp_path)
    visitor = Annotator(serve(rating=rating), "one").start()
    body = {"turn": visitor.data("turn"), "submission": "a" * 16, "ranks": [1, 2, 3]}
    for _ in range(3):
        visitor.do("vote", **body)
        assert visitor.phase == "revealed" and not visitor.notice
    assert len(ratings(rating)) == 1


def test_after_the_reveal_only_a_correction_counts_and_the_first_vote_stays_on_record(serve, tmp_path):
    rating = host(tmp_path)
    visitor = Annotator(serve(rating=rating), "one").start()
    turn = visitor.data("turn")
    visitor.vote([1, 2, 3], flags=[["parrots"], [], []])
    assert "your vote stands" in visitor.vote([3, 2, 1], turn=turn)
    assert len(ratings(rating)) == 1
    visitor.do("correct", turn=turn)
    marks = json.loads(visitor.data("marks"))
    assert marks == {"ranks": [1, 2, 3], "flags": [["parrots"], [], []], "bad": False, "comment": ""}
    visitor.vote([3, 2, 1], correction=True)
    first, second = ratings(rating)
    assert second.supersedes == first.id and second.correction and not first.correction
    assert [rating.ranks for rating in rating.desk.votes(first.annotator)] == [(3, 2, 1)]
    assert "corrected" in visitor.do("answers")


def test_the_answer_before_can_be_opened_again_and_again_further_back(serve, tmp_path):
    visitor = Annotator(serve(rating=host(tmp_path)), "one").start()
    assert "no earlier answer" in visitor.do("correct", before=visitor.data("turn"))
    turns = []
    for _ in range(2):
        turns.append(visitor.data("turn"))
        visitor.vote()
        visitor.do("next")
    visitor.do("correct", before=visitor.data("turn"))
    assert visitor.data("turn") == turns[1]
    visitor.do("correct", before=turns[1])
    assert visitor.data("turn") == turns[0]
    visitor.do("next")
    assert visitor.data("turn") not in turns


def test_the_queue_ends_at_one_hundred_percent(serve, tmp_path):
    rating = host(tmp_path, items=4)
    visitor = Annotator(serve(rating=rating), "one").start()
    votes = 0
    while visitor.phase == "rate":
        visitor.vote((), bad=True) if votes == 1 else visitor.vote(
            (), skip=True
        ) if votes == 2 else visitor.vote()
        assert visitor.phase == ("skipped" if votes == 2 else "revealed")
        visitor.do("next")
        votes += 1
    assert visitor.phase == "done" and "100 %" in visitor.view
    stored = ratings(rating)
    assert [one.all_bad for one in stored].count(True) == 1 and [one.skip for one in stored].count(True) == 1


def test_a_gold_item_looks_like_any_other_until_the_vote(serve, tmp_path):
    visitor = Annotator(serve(rating=host(tmp_path, items=1, gold=1)), "one").start()
    looks = set()
    while visitor.phase == "rate":
        plain = re.sub(r'<p class="rate-new.*?</p>', "", visitor.view)
        looks.add(re.sub(r"<(p|li)[^>]*>[^<]*<|data-turn=\S+|\d+", "", plain))
        gold = set(visitor.texts()) == {"Good.", "Fair.", "Bad."}
        assert "gold" not in visitor.view.lower()
        visitor.vote()
        assert ("Written by hand" in visitor.view) is gold
        visitor.do("next")
    assert len(looks) == 1


def test_a_skip_reveals_nothing(serve, tmp_path):
    visitor = Annotator(serve(rating=host(tmp_path)), "one").start()
    before = len(visitor.heard)
    visitor.vote((), skip=True)
    assert visitor.data("auto") == "next"
    assert not any(name in line.lower() for line in visitor.heard[before:] for name in NAMES[:4])


def test_an_id_resumes_where_it_left_off_even_after_a_restart(serve, tmp_path):
    rating = host(tmp_path)
    visitor = Annotator(serve(rating=rating), "one").start()
    visitor.vote()
    visitor.do("next")
    turn, texts, code = visitor.data("turn"), visitor.texts(), visitor.code
    rating.close()
    again = host(tmp_path, make=Maker({variant: "other" for variant in TEXTS}))
    later = Annotator(serve(rating=again), "two")
    later.do("begin", code=code.upper().replace("-", " "))
    assert (later.data("turn"), later.texts()) == (turn, texts)
    later.vote()
    assert later.phase == "revealed" and len(ratings(again)) == 2


def test_replies_shown_before_a_restart_can_be_rated_after_it(serve, tmp_path):
    rating = host(tmp_path)
    visitor = Annotator(serve(rating=rating), "one").start()
    rating.close()
    reopened = host(tmp_path)
    after = Annotator(serve(rating=reopened), "one")
    after.code = visitor.code
    after.vote(turn=visitor.data("turn"))
    assert after.phase == "revealed" and len(ratings(reopened)) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"turn": "f" * 32}, "not known as yours"),
        ({"turn": 7}, "must be text"),
        ({"ranks": [1, 2]}, "Rank all 3 replies"),
        ({"ranks": [1, 2, 9]}, "from 1 to 3"),
        ({"ranks": "123"}, "short list"),
        ({"ranks": [True, 2, 3]}, "short list"),
        ({"flags": [["made_up"], [], []]}, "no flag"),
        ({"flags": {"0": "x"}}, "short list"),
        ({"comment": "x" * 3000}, "3,000 characters"),
        ({"submission": "<script>"}, "usable id"),
        ({"skip": "yes"}, "true or false"),
        ({"code": "k7qd-m2xv-9rtb-wf4h"}, "Nobody has started"),
        ({"code": None}, "must be text"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_stored(serve, tmp_path, data, words):
    rating = host(tmp_path)
    visitor = Annotator(serve(rating=rating), "one").start()
    shown = visitor.view
    assert words in visitor.vote(**data)
    assert ratings(rating) == [] and visitor.view == shown


def test_nobody_rates_what_was_shown_to_somebody_else(serve, tmp_path):
    rating = host(tmp_path)
    url = serve(rating=rating)
    anna = Annotator(url, "anna").start()
    anna.do("say", message="Hi", persona="I sail.")
    ben = Annotator(url, "ben").start()
    assert "not known as yours" in ben.vote(turn=anna.data("turn"))
    assert "nothing to correct" in ben.do("correct", turn=anna.data("turn"))
    ben.do("begin", open=anna.data("turn"))
    assert ben.data("turn") != anna.data("turn")
    assert ratings(rating) == []


def test_an_own_chat_goes_on_with_the_chosen_reply_and_each_model_keeps_its_selection(serve, tmp_path):
    make = Maker()
    rating = host(tmp_path, make=make)
    visitor = Annotator(serve(rating=rating), "one").start()
    assert "Nora" in visitor.do("own")
    visitor.do("say", message="Do you sail?", persona="I am a nurse.\nI sail.")
    first, texts = visitor.data("turn"), visitor.texts()
    assert "shown after your vote" in visitor.do("say", message="And?", turn=first, column=0)
    visitor.vote([2, 1, 2], turn=first)
    assert re.search(r'value="1" checked', visitor.view)
    visitor.do("say", message="Where?", turn=first, column=1)
    history = make.requests[-1].histories
    assert make.requests[-1].user == "Where?" and make.items[-1] is None
    said = [(exchange.user, exchange.reply) for exchange in history["stage1"]]
    assert said == [("Do you sail?", texts[1])]
    assert history["stage1"][0].selected == 0 and history["baseline"][0].selected is None
    own = [record for record in rating.desk.records() if isinstance(record, Turn) and record.owner]
    assert len(own) == 2 and "Where?" in visitor.view
    reopened = Annotator(str(visitor.http.base_url), "two")
    reopened.do("begin", code=visitor.code, open=visitor.data("turn"))
    assert reopened.data("turn") == visitor.data("turn") and "Do you sail?" in reopened.view


def test_bad_own_messages_say_what_is_wrong(serve, tmp_path):
    make = Maker()
    visitor = Annotator(serve(rating=host(tmp_path, make=make)), "one").start()
    asked = len(make.requests)
    assert "message is empty" in visitor.do("say", message=" ", persona="I sail.")
    assert "persona is empty" in visitor.do("say", message="Hi", persona="")
    assert "20,001 characters" in visitor.do("say", message="x" * 20_001, persona="I sail.")
    assert len(make.requests) <= asked + 2  # those made ahead


def test_a_failing_model_stores_nothing_to_rank_and_the_next_item_comes(serve, tmp_path):
    make = Maker()
    make.failing = ("stage1",)
    rating = host(tmp_path, make=make)
    visitor = Annotator(serve(rating=rating), "one")
    visitor.do("begin", agree=True)
    assert visitor.phase == "interrupted" and "Try again" in visitor.view
    assert "A model gave no reply" in visitor.notice
    assert not any("stage1" in line for line in visitor.heard)
    first, make.failing = make.requests[0].user, ()
    visitor.do("next")
    assert visitor.phase == "rate" and first not in visitor.view
    make.failing = ("aligned",)
    visitor.do("say", message="Hi", persona="I sail.")
    assert visitor.phase == "interrupted" and "nothing to rank" in visitor.notice


def test_hostile_text_stays_text(serve, tmp_path):
    hostile = "<img src=x onerror=alert(1)>${alert(2)}</textarea>"
    make = Maker({variant: hostile for variant in TEXTS})
    visitor = Annotator(serve(rating=host(tmp_path, make=make)), "one").start()
    visitor.do("say", message=hostile, persona=hostile)
    visitor.vote()
    visitor.do("correct", turn=visitor.data("rated"))
    visitor.vote(comment=hostile, correction=True)
    visitor.do("correct", turn=visitor.data("rated"))
    visitor.do("answers")
    for line in visitor.heard:
        assert "<img" not in line and "${" not in line


def test_my_data_can_be_taken_and_deleted_by_id(serve, tmp_path):
    rating = host(tmp_path)
    visitor = Annotator(serve(rating=rating), "one").start()
    visitor.vote(comment="mine")
    assert visitor.code in visitor.do("account")
    view = visitor.do("data")
    link = re.search(r'href="data:application/json;base64,([^"]+)"', view)[1]
    data = json.loads(base64.b64decode(link))
    assert data["ratings"][0]["comment"] == "mine"
    assert "not your annotator id" in visitor.do("erase", confirm="something")
    assert ratings(rating)
    assert "deleted" in visitor.do("erase", confirm=visitor.code) and visitor.phase == "erased"
    assert ratings(rating) == []
    assert "was deleted" in visitor.do("next")


def test_votes_do_not_wait_in_the_line_of_the_turns(serve, tmp_path):
    visitor = Annotator(serve(rating=host(tmp_path)), "one")
    assert not visitor.dependency("pal-rate", "vote")["queue"]
    assert visitor.dependency("pal-rate", "say")["queue"]


def test_a_visitor_who_leaves_stops_what_is_made_for_them(serve, tmp_path):
    make = Maker(gate=threading.Event())
    visitor = Annotator(serve(rating=host(tmp_path, make=make)), "one")
    with httpx.Client(base_url=visitor.http.base_url) as heartbeat:
        stream = heartbeat.stream("GET", "/gradio_api/heartbeat/one")
        stream.__enter__()
        threading.Thread(target=visitor.do, args=("begin",), kwargs={"agree": True}, daemon=True).start()
        assert make.waiting.wait(60)
    assert make.cancelled.wait(60)


def test_without_a_store_rate_says_why_and_explore_works(serve):
    visitor = Annotator(serve(FakeEngine(), RatingHost(closed="The store is locked.")), "one")
    assert "The store is locked." in visitor.view and visitor.phase == "closed"
    visitor.say("Hi")
    assert "aligned: reply 1" in visitor.shown("pal-live")
