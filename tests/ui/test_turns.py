"""Running one turn: what is shown when, errors, and one turn at a time."""

import pytest

from pal.engines.base import Cancel, Decoding, Failed
from pal.errors import EngineError, PalError
from pal.persona import Persona
from pal.selection import SelectionSettings
from pal.ui.chat_state import Chat, ChatTurn
from pal.ui.turns import BROKEN, RunningTurns, retry_base, run_turn
from tests.fakes import FakeEngine, fake_responder, read

PERSONA = Persona(("I am a nurse.", "I have a cat."))


def turn(user: str = "Hi", seed: int = 1) -> ChatTurn:
    return ChatTurn(user, PERSONA, Decoding(), seed)


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


def test_the_prior_is_asked_once_and_only_when_it_counts():
    class Encoder:
        asked = 0

        def cosines(self, text, sentences):
            self.asked += 1
            return [0.0, 1.0]

    encoder = Encoder()
    responder = fake_responder(None, stage1=SelectionSettings(prior_weight=50), aligned=SelectionSettings())
    *_, last = run_turn(
        type(responder)(responder.engine, responder.renderer, responder.settings, encoder),
        Chat(),
        turn(),
        Cancel(),
    )
    assert encoder.asked == 1
    assert last.turns[-1].reply("stage1").selection.selected == 1
    assert last.turns[-1].reply("aligned").selection.selected == 0


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
