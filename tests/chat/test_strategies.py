"""The heart: strategies as steps, and the responder that runs them over an engine."""

import dataclasses
from dataclasses import dataclass, replace

import pytest

from pal.chat.responder import FAILED, Judged, TurnRequest, turn_seed
from pal.chat.selection import SelectionSettings
from pal.chat.strategies import Generate, Select, Selected
from pal.chat.variants import Variant, Variants, shipped
from pal.dialogue.persona import Persona
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding, Delta, Done, Failed
from pal.errors import EngineError
from tests.fakes import FakeConsistency, FakeEngine, fake_responder, read

PERSONA = Persona(("I am a nurse.", "I have a cat."))
HISTORY = {
    "baseline": (Exchange("Hi!", "Hello!"),),
    "stage1": (Exchange("Hi!", "Hello!", 0),),
    "aligned": (Exchange("Hi!", "Hello!", 1),),
}


def request(**changes) -> TurnRequest:
    return replace(TurnRequest(PERSONA, "And now?", HISTORY, Decoding(), 7, "session"), **changes)


def kinds(events) -> list[tuple[str, str]]:
    return [(type(event).__name__, event.variant) for event in events]


def test_selections_come_first_then_all_replies_then_the_judgements():
    responder = fake_responder(FakeEngine(replies=["one"]), FakeConsistency())
    events = kinds(responder.respond(request(), Cancel()))
    assert events[:2] == [("Selected", "stage1"), ("Selected", "aligned")]
    assert {kind for kind, _ in events[2:8]} == {"Delta"}
    assert events[8:11] == [("Done", name) for name in ("baseline", "stage1", "aligned")]
    assert events[11:] == [("Judged", name) for name in ("baseline", "stage1", "aligned")]


def test_the_engine_gets_all_selections_in_one_call_and_all_replies_in_the_next():
    calls = []

    class Recording(FakeEngine):
        def select(self, requests, cancel):
            calls.append(("select", [request.variant for request in requests]))
            return super().select(requests, cancel)

        def stream(self, requests, cancel):
            calls.append(("stream", [request.variant for request in requests]))
            return super().stream(requests, cancel)

    list(fake_responder(Recording()).respond(request(), Cancel()))
    assert calls == [("select", ["stage1", "aligned"]), ("stream", ["baseline", "stage1", "aligned"])]


def test_each_reply_is_asked_for_with_the_variants_own_selection_and_history():
    engine = FakeEngine(picks=[2, 0])
    list(fake_responder(engine).respond(request(), Cancel()))
    baseline, stage1, aligned = (read(one.tokens) for one in engine.reply_requests)
    assert "persona" not in baseline
    assert stage1.count("1: I am a nurse.") == 1 and stage1.count("2: I have a cat.") == 1
    assert (
        aligned.count("2: I have a cat.") == 1 and aligned.rstrip("\n").count("<|im_start|>persona\n0") == 1
    )
    for selecting, whole in zip(engine.select_requests, (stage1, aligned), strict=True):
        assert whole.startswith(read(selecting.tokens))


def test_the_sampler_starts_elsewhere_on_every_turn_and_alike_for_all_variants():
    histories = [{name: past[:0] for name, past in HISTORY.items()}, HISTORY]
    engine = FakeEngine()
    for history in histories:
        list(fake_responder(engine).respond(request(histories=history), Cancel()))
    seeds = [one.seed for one in engine.reply_requests]
    assert seeds[:3] == [seeds[0]] * 3 and seeds[3:] == [seeds[3]] * 3
    assert seeds[0] != seeds[3]
    assert len({turn_seed(7, [Exchange("a", "b")] * length) for length in range(40)}) == 40


def test_what_fails_to_select_does_not_reply_and_what_fails_to_reply_fails_alone():
    engine = FakeEngine(failing=["baseline"], failing_selection=["stage1"])
    events = list(fake_responder(engine).respond(request(), Cancel()))
    last = {event.variant: event for event in events if isinstance(event, Done | Failed)}
    assert last["stage1"] == Failed("stage1", "selection failed")
    assert last["baseline"] == Failed("baseline", "baseline is out of order")
    assert isinstance(last["aligned"], Done)
    assert [one.variant for one in engine.reply_requests] == ["baseline", "aligned"]


def test_a_request_runs_the_variants_that_have_a_history_in_that_order():
    histories = {name: HISTORY[name] for name in ("aligned", "baseline")}
    engine = FakeEngine()
    list(fake_responder(engine).respond(request(histories=histories), Cancel()))
    assert [one.variant for one in engine.reply_requests] == ["aligned", "baseline"]


def test_only_selecting_stops_at_the_selections():
    engine = FakeEngine(picks=[1, 2])
    events = list(fake_responder(engine).select(request(), Cancel()))
    assert [(event.variant, event.selection.selected) for event in events] == [("stage1", 0), ("aligned", 1)]
    assert not engine.reply_requests


def test_the_prior_is_computed_once_and_changes_the_choice_not_the_models_own_distribution():
    class Encoder:
        calls = 0

        def cosines(self, text, sentences):
            self.calls += 1
            return [0.0, 1.0]

    settings = {"stage1": SelectionSettings(prior_weight=50), "aligned": SelectionSettings(prior_weight=50)}
    encoder = Encoder()
    responder = replace(fake_responder(None, **settings), encoder=encoder)
    events = [event for event in responder.select(request(), Cancel()) if isinstance(event, Selected)]
    assert encoder.calls == 1
    assert {event.selection.selected for event in events} == {1}
    assert {event.model for event in events} == {(0.1, 0.8, 0.1)}


def test_only_replies_that_were_written_are_judged():
    model = FakeConsistency()
    responder = fake_responder(FakeEngine(failing=["stage1"]), model)
    judged = [event for event in responder.respond(request(), Cancel()) if isinstance(event, Judged)]
    assert [event.variant for event in judged] == ["baseline", "aligned"]
    assert not [
        event for event in responder.respond(request(judge=False), Cancel()) if isinstance(event, Judged)
    ]


def test_a_cancelled_turn_ends_with_what_was_written_and_is_not_judged():
    model, cancel, events = FakeConsistency(), Cancel(), []
    for event in fake_responder(FakeEngine(replies=["one two three"]), model).respond(request(), cancel):
        events.append(event)
        if isinstance(event, Delta):
            cancel.set()
    assert [event.variant for event in events if isinstance(event, Done)] == list(HISTORY)
    assert not model.asked


@dataclass(frozen=True)
class DraftThenReply:
    """Post Persona Alignment in short: a draft nobody sees, a selection, the reply."""

    name = "draft"
    selects = True

    def steps(self, situation):
        draft = yield Generate([ord(letter) for letter in "draft?"], shown=False)
        options = yield Select([ord(letter) for letter in draft.text], [1, 2])
        yield Selected(situation.variant, None, options.probabilities, options.evaluated)
        yield Generate([ord(letter) for letter in "reply?"])


@dataclass(frozen=True)
class Broken:
    name = "broken"
    selects = False

    def steps(self, situation):
        raise ValueError("a mistake in a strategy")
        yield


def with_fourth(strategy) -> Variants:
    return Variants((*shipped(), Variant("fourth", "Fourth", None, strategy)))


def test_a_strategy_of_several_steps_runs_beside_the_others():
    engine = FakeEngine(replies=["first round", "second round"])
    responder = fake_responder(engine, variants=with_fourth(DraftThenReply()))
    events = list(responder.respond(request(histories=HISTORY | {"fourth": ()}), Cancel()))
    [selected] = [event for event in events if isinstance(event, Selected) and event.variant == "fourth"]
    shown = [event for event in events if event.variant == "fourth" and isinstance(event, Delta | Done)]
    assert shown[-1].text == "fourth: second round" and "first" not in "".join(one.text for one in shown)
    assert events.index(selected) < events.index(shown[0])
    assert [type(event).__name__ for event in events if event.variant == "fourth"].count("Done") == 1
    assert read(engine.select_requests[-1].tokens) == "fourth: first round"
    only = list(responder.select(request(histories={"fourth": ()}), Cancel()))
    assert kinds(only) == [("Selected", "fourth")]


def test_a_strategy_can_retrieve_with_what_it_drafted():
    class Encoder:
        def cosines(self, text, sentences):
            return [float("cat" in text and "cat" in sentence) for sentence in sentences]

    @dataclass(frozen=True)
    class Retrieve(DraftThenReply):
        def steps(self, situation):
            draft = yield Generate([1], shown=False)
            assert situation.cosines(draft.text) == [0.0, 1.0] and situation.cosines("Hi") == [0.0, 0.0]
            yield Generate([2])

    responder = fake_responder(FakeEngine(replies=["my cat", "purrs"]), variants=with_fourth(Retrieve()))
    events = list(replace(responder, encoder=Encoder()).respond(request(histories={"fourth": ()}), Cancel()))
    assert isinstance(events[-1], Done) and events[-1].text == "fourth: purrs"


def test_a_draft_that_fails_ends_its_variant():
    engine = FakeEngine(failing=["fourth"])
    responder = fake_responder(engine, variants=with_fourth(DraftThenReply()))
    events = list(responder.respond(request(histories=HISTORY | {"fourth": ()}), Cancel()))
    assert [event for event in events if event.variant == "fourth"] == [
        Failed("fourth", "fourth is out of order")
    ]


def test_a_mistake_in_a_strategy_is_its_own_variants_failure(caplog):
    responder = fake_responder(variants=with_fourth(Broken()))
    events = list(responder.respond(request(histories=HISTORY | {"fourth": ()}), Cancel()))
    assert [event for event in events if event.variant == "fourth"] == [Failed("fourth", FAILED)]
    assert sum(isinstance(event, Done) for event in events) == 3
    assert "a mistake in a strategy" in caplog.text


def test_an_encoder_that_fails_leaves_the_baseline_its_reply():
    class Encoder:
        def cosines(self, text, sentences):
            raise EngineError("no encoder")

    responder = replace(fake_responder(None, stage1=SelectionSettings(prior_weight=1)), encoder=Encoder())
    events = list(responder.respond(request(), Cancel()))
    assert Failed("stage1", "no encoder") in events
    assert {event.variant for event in events if isinstance(event, Done)} == {"baseline", "aligned"}


def test_an_engine_that_breaks_is_heard_of():
    class Gone(FakeEngine):
        def select(self, requests, cancel):
            raise EngineError("The engine is closed.")

    with pytest.raises(EngineError, match="closed"):
        list(fake_responder(Gone()).respond(request(), Cancel()))


def test_strategies_and_variants_are_values():
    assert shipped() == shipped()
    assert dataclasses.replace(shipped()["aligned"], title="x") != shipped()["aligned"]


def test_who_leaves_a_turn_closes_what_the_engine_writes():
    closed = []

    class Watched(FakeEngine):
        def stream(self, requests, cancel):
            try:
                yield from super().stream(requests, cancel)
            finally:
                closed.append(len(requests))

    events = fake_responder(Watched()).respond(request(), Cancel())
    while not isinstance(next(events), Delta):
        pass
    events.close()
    assert closed == [3]
