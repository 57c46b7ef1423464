"""What is computed while a visitor reads and types, on the real base with random adapters."""

import time

import pytest

from pal.chat.conversation import Chat, ChatTurn
from pal.chat.responder import Responder
from pal.chat.session import run_turn
from pal.chat.variants import shipped
from pal.dialogue.persona import Persona
from pal.dialogue.prompt import Renderer
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding, Done, Options, PrefillRequest, ReplyRequest, SelectRequest
from pal.engines.llamacpp import LlamaCppEngine
from pal.engines.llamacpp_server import PROMPT_BATCH
from pal.models import bases
from pal.models.adapters import peft_to_gguf
from tests.support.adapters import write_random_adapter

PERSONA = Persona(("I am a nurse.", "I have two cats.", "I love hiking."))
GREEDY = Decoding(temperature=0.0, max_tokens=5)
MESSAGES = ("Hello, how are you?", "What do you do?", "Do you have any pets?")
LONG = "Once upon a time there was a river. " * 40


@pytest.fixture(scope="module")
def loras(base_gguf, tmp_path_factory):
    base = bases.load_base_model()
    loras = {}
    for seed, variant in enumerate(shipped().names):
        folder = write_random_adapter(base, tmp_path_factory.mktemp(variant), seed)
        loras[variant] = peft_to_gguf(folder, folder / "lora.gguf")
    return loras


@pytest.fixture(scope="module")
def engine(base_gguf, loras):
    engine = LlamaCppEngine(base_gguf, loras, slots=2, threads=1)
    yield engine
    engine.close()


@pytest.fixture
def small(base_gguf, loras):
    engine = LlamaCppEngine(base_gguf, {"stage1": loras["stage1"]}, slots=1, parked_bytes=0, threads=1)
    yield engine
    engine.close()


class Recording:
    """An engine that notes what each answer was and took; with ``pause``, visitors let it prefill."""

    def __init__(self, engine, pause):
        self.engine, self.pause = engine, pause
        self.evaluated, self.answers = [], []

    def select(self, requests, cancel):
        yield from self._noted(self.engine.select(requests, cancel))

    def stream(self, requests, cancel):
        yield from self._noted(self.engine.stream(requests, cancel))

    def _noted(self, events):
        for event in events:
            if isinstance(event, Options | Done):
                self.evaluated.append(event.evaluated)
                self.answers.append(event.probabilities if isinstance(event, Options) else event.text)
            yield event

    def prefill(self, requests):
        if self.pause:
            self.engine.prefill(requests)
            wait_for_rest(self.engine)


def wait_for_rest(engine):
    for _ in range(3000):
        if not engine._idle._chats:
            return
        time.sleep(0.01)
    raise AssertionError("the prefill did not end")


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.002)
    raise AssertionError("it did not happen")


def talk(engine, renderer, pause, messages=MESSAGES):
    """Answers and prompt tokens of each turn of one chat."""
    recording = Recording(engine, pause)
    responder = Responder(recording, renderer, shipped())
    chat, turns = Chat().named(), []
    for message in messages:
        recording.evaluated, recording.answers = [], []
        *_, chat = run_turn(responder, chat, ChatTurn(message, PERSONA, GREEDY, 1, shipped()), Cancel())
        turns.append((recording.answers, sum(recording.evaluated)))
    return turns


def test_a_pause_changes_no_answer_and_leaves_only_the_message_to_compute(engine, renderer):
    without, with_pause = talk(engine, renderer, False), talk(engine, renderer, True)
    assert [answers for answers, _ in with_pause] == [answers for answers, _ in without]
    for message, (_, evaluated), (_, before) in zip(MESSAGES[1:], with_pause[1:], without[1:], strict=True):
        own = len(renderer.user(message) + renderer.selection_header() + renderer.reply_header())
        chosen = max(len(renderer.choice(PERSONA.sentences, index)) for index in (None, 0, 1, 2))
        assert evaluated <= 3 * own + 2 * chosen
        assert evaluated < before


def select(engine, tokens, renderer, session):
    request = SelectRequest("stage1", tokens, renderer.option_ids(3), session)
    (answer,) = engine.select([request], Cancel())
    return answer


def long_start(renderer):
    return renderer.coming_context([LONG[:500], LONG[:500]], [])


def test_a_history_that_has_to_forget_is_rebuilt_in_the_pause(small, tokenizer):
    sentences, message = PERSONA.sentences, "Do you like number 9?"
    history = [Exchange(f"Do you like number {n}?", f"I do like {n} very much.", 0) for n in range(7)]
    roomy = Renderer(tokenizer)
    short = Renderer(tokenizer, context=len(roomy.selection_prompt(sentences, history[:6], message)))
    before, after = (short.selection_prompt(sentences, history[:count], message) for count in (6, 7))
    assert len(after) < len(before)
    answers = []
    for session in ("without", "with"):
        select(small, before, short, session)
        if session == "with":
            small.prefill([PrefillRequest("stage1", short.coming_context(sentences, history), session)])
            wait_for_rest(small)
        answers.append(select(small, after, short, session))
    own = len(short.user(message) + short.selection_header())
    assert answers[1].evaluated == own and answers[0].evaluated > 3 * own
    assert answers[1].probabilities == answers[0].probabilities


@pytest.fixture
def batches(small):
    """The chat of every batch that the small engine computed, as they come."""
    server, seen = small._servers["stage1"], []
    complete = server._complete

    def watched(session, request, stopped, take):
        def noted(answer):
            seen.append(session.name)
            take(answer)

        complete(session, request, stopped, noted)

    server._complete = watched
    return seen


def test_a_turn_of_another_chat_goes_first_and_the_rest_is_computed_afterwards(small, renderer, batches):
    hello, start = renderer.selection_prompt(PERSONA.sentences, [], "Hello!"), long_start(renderer)
    select(small, hello, renderer, "reads")
    batches.clear()
    small.prefill([PrefillRequest("stage1", start, "reads")])
    wait_for(lambda: batches)
    before = len(batches)
    select(small, hello, renderer, "")
    ahead = next(index for index, name in enumerate(batches) if name != "reads") - before
    assert ahead <= 2 < len(start) // PROMPT_BATCH - 2, "the batch under way"
    assert small._idle._chats, "it waits for quiet"
    wait_for_rest(small)
    assert select(small, start + hello, renderer, "reads").evaluated <= len(hello)


def test_a_newer_turn_or_history_of_the_chat_drops_the_older_one(small, renderer):
    hello, start = renderer.selection_prompt(PERSONA.sentences, [], "Hello!"), long_start(renderer)
    select(small, hello, renderer, "me")
    small.prefill([PrefillRequest("stage1", start, "me")])
    select(small, hello, renderer, "me")
    assert not small._idle._chats
    small.prefill([PrefillRequest("stage1", start, "me")])
    other = renderer.coming_context(["I sail."], [])
    small.prefill([PrefillRequest("stage1", other, "me")])
    wait_for_rest(small)
    assert select(small, other + hello, renderer, "me").evaluated <= len(hello)


def test_no_live_chat_makes_room(small, renderer):
    hello, start = renderer.selection_prompt(PERSONA.sentences, [], "Hello!"), long_start(renderer)
    select(small, hello, renderer, "gone")
    select(small, hello, renderer, "live")
    small.prefill([PrefillRequest("stage1", start, "gone"), PrefillRequest("stage1", start, "never seen")])
    wait_for_rest(small)
    assert select(small, hello, renderer, "live").evaluated == 1


def test_closing_does_not_wait_for_what_is_computed_ahead(small, renderer, batches):
    hello, start = renderer.selection_prompt(PERSONA.sentences, [], "Hello!"), long_start(renderer)
    select(small, hello, renderer, "me")
    batches.clear()
    small.prefill([PrefillRequest("stage1", start, "me")])
    wait_for(lambda: batches)
    small.close()
    assert len(batches) < len(start) // PROMPT_BATCH
    small.prefill([PrefillRequest("stage1", start, "me")])


def test_what_cannot_be_prefilled_is_left_to_the_turn(small, renderer):
    hello = renderer.selection_prompt(PERSONA.sentences, [], "Hello!")
    select(small, hello, renderer, "me")
    small.prefill([PrefillRequest("stage1", [5] * 5000, "me"), PrefillRequest("nobody", hello, "me")])
    wait_for_rest(small)
    request = ReplyRequest("stage1", hello, GREEDY, 1, "me")
    assert isinstance(list(small.stream([request], Cancel()))[-1], Done)
