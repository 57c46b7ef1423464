"""Running one turn: what is shown when, errors, and one turn at a time."""

import dataclasses

import pytest

from pal.chat.conversation import Chat, ChatTurn
from pal.chat.responder import UNJUDGED
from pal.chat.selection import SelectionSettings
from pal.chat.session import BROKEN, RunningTurns, prefill, retry_base, run_turn
from pal.chat.variants import shipped
from pal.dialogue.persona import Persona
from pal.engines.base import Cancel, Decoding, Failed
from pal.errors import EngineError, PalError
from tests.fakes import FakeConsistency, FakeEngine, fake_responder, read

PERSONA = Persona(("I am a nurse.", "I have a cat."))


def turn(user: str = "Hi", seed: int = 1) -> ChatTurn:
    return ChatTurn(user, PERSONA, Decoding(), seed, shipped())


def ticking(step: float):
    """A clock that advances by ``step`` seconds each time it is read."""
    now = [0.0]

    def clock() -> float:
        now[0] += step
        return now[0]

    return clock


def test_a_turn_shows_selections_then_text_and_ends_whole():
    engine = FakeEngine(replies=["one two three"], picks=[2, 0])
    grown = list(run_turn(fake_responder(engine), Chat(), turn(), Cancel(), ticking(1.0)))
    first, last = grown[0].turns[-1], grown[-1].turns[-1]
    assert not first.done and all(not reply.text for reply in first.replies)
    assert last.done
    assert last.reply("stage1").selection.selected == 1
    assert last.reply("aligned").selection.selected is None
    assert last.reply("baseline").selection is None
    assert [reply.text for reply in last.replies] == [f"{name}: one two three" for name in engine.variants]


def test_text_is_throttled_but_nothing_is_lost():
    def run(step: float) -> list[Chat]:
        engine = FakeEngine(replies=[" ".join("abcdefghij")])
        return list(run_turn(fake_responder(engine), Chat(), turn(), Cancel(), ticking(step)))

    fast, slow = run(0.001), run(1.0)
    assert len(fast) < len(slow) / 2
    assert fast[-1].turns == slow[-1].turns


def test_a_failing_variant_shows_its_error_and_the_others_answer():
    engine = FakeEngine(failing=["stage1"], failing_selection=["aligned"])
    *_, last = run_turn(fake_responder(engine), Chat(), turn(), Cancel())
    shown = last.turns[-1]
    assert shown.reply("baseline").usable
    assert shown.reply("stage1").error == "stage1 is out of order"
    assert shown.reply("aligned").error == "selection failed"
    assert shown.continuing.variant == "baseline"


@pytest.mark.parametrize(
    ("error", "shown"),
    [(EngineError("The engine is gone."), "The engine is gone."), (ValueError("x"), BROKEN)],
)
def test_an_engine_that_breaks_ends_the_turn_with_a_message(error, shown):
    class Broken(FakeEngine):
        def stream(self, requests, cancel):
            yield Failed("baseline", "own trouble")
            raise error

    *_, last = run_turn(fake_responder(Broken()), Chat(), turn(), Cancel())
    replies = last.turns[-1]
    assert replies.done
    assert replies.reply("baseline").error == "own trouble"
    assert replies.reply("aligned").error == shown


def test_a_cancelled_turn_keeps_what_was_written():
    cancel = Cancel()
    grown = run_turn(fake_responder(FakeEngine(replies=["a b c d"])), Chat(), turn(), cancel, ticking(1.0))
    for chat in grown:
        if chat.turns[-1].reply("aligned").text:
            cancel.set()
    last = chat.turns[-1]
    assert last.stopped and last.done
    assert last.reply("aligned").text == "aligned:"


def test_the_next_turn_sends_the_shared_history_and_own_selections():
    engine = FakeEngine(replies=["first"], picks=[1, 2])
    responder = fake_responder(engine)
    *_, chat = run_turn(responder, Chat().named(), turn("One"), Cancel())
    list(run_turn(responder, chat, turn("Two"), Cancel()))
    prompts = {request.variant: read(request.tokens) for request in engine.select_requests[2:]}
    assert "aligned: first" in prompts["stage1"] and "stage1: first" not in prompts["stage1"]
    assert "1: I am a nurse." in prompts["stage1"] and "2: I have a cat." not in prompts["stage1"]
    assert "2: I have a cat." in prompts["aligned"]
    assert {request.session for request in engine.select_requests} == {chat.session}


def test_after_a_turn_the_engine_is_given_what_the_next_one_begins_with():
    engine = FakeEngine(replies=["first"], picks=[1, 2])
    responder = fake_responder(engine)
    *_, chat = run_turn(responder, Chat().named(), turn("One"), Cancel())
    [requests] = engine.prefills
    list(run_turn(responder, chat, turn("Two"), Cancel()))
    following = {request.variant: read(request.tokens) for request in engine.select_requests[2:]}
    following["baseline"] = read(engine.reply_requests[3].tokens)
    for request in requests:
        start = read(request.tokens)
        assert start.endswith("aligned: first<|im_end|>\n") and following[request.variant].startswith(start)
        assert request.session == chat.session
    assert [request.variant for request in requests] == list(shipped().names)


def test_a_retry_that_fails_and_another_continuation_are_prefilled_anew():
    engine = FakeEngine(replies=["first"])
    responder = fake_responder(engine)
    *_, chat = run_turn(responder, Chat().named(), turn("One"), Cancel())
    prefill(responder, chat.continue_with("stage1"))
    assert "stage1: first" in read(engine.prefills[1][2].tokens)
    engine.failing = set(shipped().names)
    with pytest.raises(PalError, match="earlier replies are back"):
        list(run_turn(responder, chat.undo()[0], turn("One"), Cancel(), replaced=chat.turns[-1]))
    assert engine.prefills[2] == engine.prefills[0]
    prefill(responder, Chat())
    assert len(engine.prefills) == 3


def test_the_prior_is_asked_once_and_only_when_it_counts():
    class Encoder:
        asked = 0

        def cosines(self, text, sentences):
            self.asked += 1
            return [0.0, 1.0]

    encoder = Encoder()
    responder = fake_responder(None, stage1=SelectionSettings(prior_weight=50), aligned=SelectionSettings())
    *_, last = run_turn(
        dataclasses.replace(responder, encoder=encoder),
        Chat(),
        turn(),
        Cancel(),
    )
    assert encoder.asked == 1
    assert last.turns[-1].reply("stage1").selection.selected == 1
    assert last.turns[-1].reply("aligned").selection.selected == 0


def test_replies_are_judged_once_all_text_is_written():
    model = FakeConsistency(lambda sentence, reply: "entailment" if "cat" in sentence else "neutral")
    grown = list(run_turn(fake_responder(FakeEngine(), model), Chat(), turn(), Cancel(), ticking(1.0)))
    written = next(number for number, chat in enumerate(grown) if chat.turns[-1].done)
    judged = [[reply.consistency is not None for reply in chat.turns[-1].replies] for chat in grown]
    assert not any(any(replies) for replies in judged[: written + 1])
    assert judged[-1] == [True, True, True]
    last = grown[-1].turns[-1]
    assert [reply.text for reply in last.replies] == [
        reply.text for reply in grown[written].turns[-1].replies
    ]
    assert last.reply("stage1").consistency[0] == pytest.approx((0.05, 0.9, 0.05))
    assert last.reply("stage1").consistency[1] == pytest.approx((0.05, 0.05, 0.9))
    assert ("I have a cat.", last.reply("stage1").text) in model.asked


@pytest.mark.parametrize(
    ("error", "shown"), [(PalError("The model is gone."), "The model is gone."), (ValueError("x"), UNJUDGED)]
)
def test_a_failing_consistency_model_takes_no_reply_away(error, shown):
    model = FakeConsistency()
    model.error = error
    *_, last = run_turn(fake_responder(FakeEngine(replies=["one two"]), model), Chat(), turn(), Cancel())
    ended = last.turns[-1]
    assert ended.done and not ended.stopped
    assert [reply.text for reply in ended.replies] == [
        f"{name}: one two" for name in ("baseline", "stage1", "aligned")
    ]
    assert all(reply.error is None and reply.usable for reply in ended.replies)
    assert {reply.unjudged for reply in ended.replies} == {shown}
    assert {reply.consistency for reply in ended.replies} == {None}


def test_only_written_replies_are_judged_and_none_when_nobody_wants_it():
    model = FakeConsistency()
    responder = fake_responder(FakeEngine(failing=["stage1"]), model)
    *_, last = run_turn(responder, Chat(), turn(), Cancel())
    judged = {reply.variant for reply in last.turns[-1].replies if reply.consistency is not None}
    assert judged == {"baseline", "aligned"}
    model.asked.clear()
    *_, last = run_turn(responder, Chat(), turn(), Cancel(), judge=False)
    assert not model.asked and last.turns[-1].reply("aligned").consistency is None


def test_stop_ends_the_judging_and_a_reply_that_was_whole_by_then_is_not_called_stopped():
    cancel, model = Cancel(), FakeConsistency()
    grown = run_turn(fake_responder(FakeEngine(), model), Chat(), turn(), cancel, ticking(1.0))
    for chat in grown:
        if chat.turns[-1].reply("baseline").consistency is not None:
            cancel.set()
    ended = chat.turns[-1]
    assert {reply for _, reply in model.asked} == {"baseline: reply 1"}
    assert ended.reply("aligned").consistency is None
    assert ended.done and not ended.stopped
    cancelled = Cancel()
    cancelled.set()
    *_, last = run_turn(fake_responder(FakeEngine(), model), Chat(), turn(), cancelled)
    assert last.turns[-1].stopped and {reply for _, reply in model.asked} == {"baseline: reply 1"}


def test_a_visitor_runs_one_turn_at_a_time_and_stops_only_the_own():
    running = RunningTurns()
    mine, yours = running.begin("me"), running.begin("you")
    with pytest.raises(PalError, match="still being written"):
        running.begin("me")
    running.stop("me")
    running.stop("nobody")
    assert mine.is_set and not yours.is_set
    running.end("me")
    assert len(running) == 1
    assert not running.begin("me").is_set


def test_retry_needs_something_to_retry():
    with pytest.raises(PalError, match="nothing to retry"):
        retry_base(Chat())
