"""The served page over HTTP, with a fake engine: the endpoint for programs and the page's own events."""

from __future__ import annotations

import threading

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.fakes import FakeConsistency, FakeEngine, fake_responder, read
from tests.ui.visitor import Visitor

NURSE = ["I am a nurse.", "I have a cat."]


def test_the_endpoint_answers_for_all_three_and_can_be_continued(serve):
    engine = FakeEngine(replies=["first", "second"], picks=[1, 0])
    client = Client(serve(engine), verbose=False)
    one = client.predict(NURSE, "What do you do?", api_name="/chat_turn")
    assert one["reply"] == "aligned: first"
    assert one["selected"] == {"stage1": "I am a nurse.", "aligned": None}
    assert one["replies"]["stage1"]["probabilities"] == pytest.approx([0.1, 0.8, 0.1])
    assert one["replies"]["baseline"] == {
        "reply": "baseline: first", "probabilities": None, "error": None, "consistency": None,
        "findings": None,
    }  # fmt: skip
    client.predict(NURSE, "And then?", [one], api_name="/chat_turn")
    prompts = {request.variant: read(request.tokens) for request in engine.select_requests[2:]}
    assert "aligned: first" in prompts["stage1"] and "1: I am a nurse." in prompts["stage1"]
    assert "1: I am a nurse." not in prompts["aligned"]
    assert {request.session for request in engine.select_requests + engine.reply_requests} == {""}, (
        "a program takes no visitor's place in the cache"
    )


def test_the_endpoint_says_what_replies_say_about_each_sentence(serve):
    model = FakeConsistency(lambda sentence, reply: "entailment" if "nurse" in sentence else "neutral")
    client = Client(serve(fake_responder(None, model)), verbose=False)
    nurse, cat = client.predict(NURSE, "Hi", api_name="/chat_turn")["replies"]["aligned"]["consistency"]
    assert nurse == pytest.approx({"contradiction": 0.05, "neutral": 0.05, "entailment": 0.9})
    assert cat["neutral"] == pytest.approx(0.9)


def test_badges_come_with_the_replies_and_the_switch_turns_them_off(serve):
    model = FakeConsistency(lambda sentence, reply: "contradiction")
    visitor = Visitor(serve(fake_responder(None, model)), "one")
    visitor.say("First")
    count = model.asked.count(model.asked[0])
    assert count and "contradicts</b>" in visitor.shown("pal-live")
    visitor.values[visitor.component("pal-judge")] = False
    model.asked.clear()
    visitor.say("Second")
    assert not model.asked and "reply 2" in visitor.shown("pal-live")
    assert "pal-badge" not in visitor.shown("pal-live") and "contradicts</b>" in visitor.shown("pal-past")


def test_without_a_consistency_model_there_is_no_switch(serve):
    visitor = Visitor(serve(), "one")
    assert visitor.components[visitor.component("pal-judge")]["props"]["visible"] is False
    visitor.say("Hi")
    assert "pal-badge" not in visitor.shown("pal-live")


@pytest.mark.parametrize(
    ("persona", "message", "words"),
    [
        ([], "Hi", "persona is empty"),
        ([f"I am number {n}." for n in range(50)], "Hi", "has 50 sentences"),
        (NURSE, " ", "message is empty"),
        (NURSE, "x" * 10_000, "10,000 characters"),
        ("I am a nurse.", "Hi", "list of sentences"),
        ([1, 2], "Hi", "must be text"),
    ],
)
def test_the_endpoint_says_what_is_wrong(serve, persona, message, words):
    engine = FakeEngine()
    client = Client(serve(engine), verbose=False)
    with pytest.raises(AppError, match=words):
        client.predict(persona, message, api_name="/chat_turn")
    assert engine.turns == 0


def test_only_the_chat_endpoint_is_offered(serve):
    api = Client(serve(), verbose=False).view_api(return_format="dict")
    assert list(api["named_endpoints"]) == ["/chat_turn"]
    assert not api["unnamed_endpoints"]


def test_a_turn_on_the_page_shows_three_replies_and_empties_the_box(serve):
    visitor = Visitor(serve(FakeEngine(replies=["hello there"], picks=[2, 0])), "one")
    visitor.say("What do you do?")
    live = visitor.shown("pal-live")
    for name in ("baseline", "stage1", "aligned"):
        assert f"{name}: hello there" in live
    assert live.count("Selected:") == 2 and "· 80 %" in live
    assert visitor.shown("pal-message") == "" and visitor.shown("pal-notice") == ""


@pytest.mark.parametrize("message", ["", "   ", "x" * 10_000])
def test_a_bad_message_says_what_is_wrong_and_loses_nothing(serve, message):
    engine = FakeEngine()
    visitor = Visitor(serve(engine), "one")
    visitor.say("First.")
    visitor.say(message)
    assert "The message" in visitor.shown("pal-notice") and 'role="alert"' in visitor.shown("pal-notice")
    assert visitor.shown("pal-message") == message
    assert "reply 1" in visitor.shown("pal-live")
    assert engine.turns == 1
    visitor.say("Second.")
    assert visitor.shown("pal-notice") == ""
    assert "reply 1" in visitor.shown("pal-past") and "reply 2" in visitor.shown("pal-live")


def test_fifty_sentences_as_text_are_refused_and_stay_in_the_box(serve):
    visitor = Visitor(serve(), "one")
    many = "\n".join(f"I am number {n}." for n in range(50))
    visitor.values[visitor.component("pal-persona-text")] = many
    visitor.fire("pal-use-text")
    assert "has 50 sentences" in visitor.shown("pal-text-notice")
    assert visitor.shown("pal-persona-text") == many
    visitor.values[visitor.component("pal-persona-text")] = "I sing.\nI dance."
    visitor.fire("pal-use-text")
    assert visitor.shown("pal-text-notice") == "" == visitor.shown("pal-persona-text")
    assert "2 of 9 sentences" in visitor.shown("pal-status")


def test_hostile_text_stays_text(serve):
    visitor = Visitor(serve(), "one")
    visitor.say("<img src=x onerror=alert(1)> ${alert(2)} ![](http://example.org/a.png)")
    live = visitor.shown("pal-live")
    assert "<img" not in live and "${" not in live
    assert "&lt;img src=x onerror=alert(1)&gt;" in live and "![](http://example.org/a.png)" in live


def test_two_visitors_never_see_each_other(serve):
    engine = FakeEngine()
    url = serve(engine)
    anna, ben = Visitor(url, "anna"), Visitor(url, "ben")
    anna.say("Anna's secret")
    ben.say("Ben's word")
    anna.say("Anna again")
    assert "secret" not in ben.shown("pal-live") + ben.shown("pal-past")
    assert "Ben" not in anna.shown("pal-live") + anna.shown("pal-past")
    sessions = {request.session for request in engine.select_requests}
    assert len(sessions) == 2 and not sessions & {"anna", "ben"}
    for request in engine.reply_requests:
        assert not ("Anna" in read(request.tokens) and "Ben" in read(request.tokens))


def test_a_failing_variant_does_not_block_the_others(serve):
    visitor = Visitor(serve(FakeEngine(failing=["aligned"])), "one")
    visitor.say("Hi")
    live = visitor.shown("pal-live")
    assert "aligned is out of order" in live
    assert "baseline: reply 1" in live and "stage1: reply 1" in live
    visitor.say("And now?")
    assert "stage1: reply 1" in visitor.shown("pal-past")


def test_stop_ends_the_turn_and_keeps_what_was_written(serve):
    engine = FakeEngine(replies=["never finished"], gate=threading.Event())
    visitor = Visitor(serve(engine), "one")
    talking = threading.Thread(target=visitor.say, args=("Hi",))
    talking.start()
    assert engine.waiting.wait(60)
    Visitor(str(visitor.http.base_url), "one").fire("pal-stop")
    talking.join(60)
    assert not talking.is_alive() and engine.cancelled.is_set()
    live = visitor.shown("pal-live")
    assert "aligned:" in live and "finished" not in live and "stopped" in live


def test_a_message_during_a_turn_is_answered_and_not_dropped(serve):
    engine = FakeEngine(gate=threading.Event())
    visitor, again = (Visitor(url, "one") for url in [serve(engine)] * 2)
    for event in (("pal-send", "click"), ("pal-message", "submit")):
        assert visitor.dependency(*event)["trigger_mode"] == "multiple"
    talking = threading.Thread(target=visitor.say, args=("Hi",))
    talking.start()
    assert engine.waiting.wait(60)
    again.values[again.component("pal-message")] = "And now?"
    again.http.post("/gradio_api/queue/join", json=again.body("pal-send", "click")).raise_for_status()
    talking.join(60)  # hears of both, and stops listening when one has ended
    assert "still being written" in visitor.shown("pal-notice") and engine.turns == 1
    engine.gate.set()


def test_what_cannot_be_done_is_not_offered(serve):
    visitor = Visitor(serve(), "one")

    def offered() -> set[str]:
        names = ("pal-retry", "pal-undo", "pal-clear")
        return {name for name in names if visitor.components[visitor.component(name)]["props"]["interactive"]}

    assert offered() == set()
    visitor.say("Hi")
    assert offered() == {"pal-retry", "pal-undo", "pal-clear"}
    visitor.fire("pal-clear")
    assert offered() == {"pal-undo"}
    visitor.fire("pal-undo")
    visitor.fire("pal-undo")
    assert offered() == set()


def test_a_sentence_that_changed_since_the_last_reply_says_so(serve):
    visitor = Visitor(serve(), "one")
    visitor.say("Hi")
    visitor.values[visitor.component("pal-persona-text")] = "- I sing.\n2. I dance."
    visitor.fire("pal-use-text")
    shown = [str(value) for value in visitor.values.values()]
    assert "I sing." in shown and "I dance." in shown
    assert sum("Changed since the last reply" in value for value in shown) == 2


def test_nobody_stops_another_visitors_turn(serve):
    engine = FakeEngine(replies=["all the way"], gate=threading.Event())
    visitor = Visitor(serve(engine), "one")
    talking = threading.Thread(target=visitor.say, args=("Hi",))
    talking.start()
    assert engine.waiting.wait(60)
    Visitor(str(visitor.http.base_url), "two").fire("pal-stop")
    engine.gate.set()
    talking.join(60)
    assert "aligned: all the way" in visitor.shown("pal-live")


def test_a_visitor_who_leaves_frees_the_engine(serve):
    engine = FakeEngine(gate=threading.Event())
    visitor = Visitor(serve(engine), "one")
    with httpx.Client(base_url=visitor.http.base_url) as heartbeat:
        stream = heartbeat.stream("GET", "/gradio_api/heartbeat/one")
        stream.__enter__()
        threading.Thread(target=visitor.say, args=("Hi",), daemon=True).start()
        assert engine.waiting.wait(60)
    assert engine.cancelled.wait(60)


def test_a_full_queue_turns_the_next_visitor_away_and_loses_nobody(serve):
    engine = FakeEngine(gate=threading.Event())
    url = serve(engine, turns_at_once=1, queue_size=1)
    talking, waiting, late = (Visitor(url, name) for name in ("talking", "waiting", "late"))
    first = threading.Thread(target=talking.say, args=("Hi",))
    first.start()
    assert engine.waiting.wait(60)
    waiting.values[waiting.component("pal-message")] = "Me too"
    join = "/gradio_api/queue/join"
    assert waiting.http.post(join, json=waiting.body("pal-send", "click")).status_code == 200
    assert late.http.post(join, json=late.body("pal-send", "click")).status_code == 503
    engine.gate.set()
    waiting.listen(waiting.dependency("pal-send", "click"))
    first.join(60)
    assert "aligned: reply" in talking.shown("pal-live")
    assert "aligned: reply" in waiting.shown("pal-live")


def test_undo_retry_clear_and_continue(serve):
    engine = FakeEngine(replies=["one", "two", "two again", "three"])
    visitor = Visitor(serve(engine), "one")
    visitor.say("First")
    visitor.say("Second")
    seed = visitor.values[visitor.component("pal-seed")]
    visitor.fire("pal-retry")
    assert "two again" in visitor.shown("pal-live") and "two<" not in visitor.shown("pal-live")
    assert "one" in visitor.shown("pal-past")
    assert visitor.values[visitor.component("pal-seed")] != seed
    visitor.fire("pal-live", data={"variant": "baseline"})
    assert visitor.values[visitor.component("pal-continued")] == "baseline"
    visitor.say("Third")
    third = [read(request.tokens) for request in engine.reply_requests[-3:]]
    assert all("aligned: one" in prompt and "baseline: two again" in prompt for prompt in third)
    visitor.fire("pal-undo")
    assert visitor.shown("pal-message") == "Third" and "two again" in visitor.shown("pal-live")
    visitor.fire("pal-clear")
    assert "two again" not in visitor.shown("pal-live") and visitor.shown("pal-past") == ""
    visitor.fire("pal-undo")
    assert "two again" in visitor.shown("pal-live") and visitor.shown("pal-message") == "Third"


def test_a_retry_without_any_reply_brings_the_earlier_replies_back(serve):
    engine = FakeEngine(replies=["good"])
    visitor = Visitor(serve(engine), "one")
    visitor.say("First")
    engine.failing = {"baseline", "stage1", "aligned"}
    visitor.fire("pal-retry")
    assert "aligned: good" in visitor.shown("pal-live")
    assert "out of order" in visitor.shown("pal-notice")


def test_nothing_is_asked_of_another_machine_and_no_log_is_kept(serve):
    url = serve()
    page = httpx.get(url).text
    for host in ("googleapis", "gstatic", "cdnjs", "jsdelivr", "unpkg"):
        assert host not in page
    config = httpx.get(url + "config").json()
    assert not config.get("run_history") and not config.get("analytics_enabled", False)
    assert httpx.get(url + "monitoring").status_code != 200
