"""The llama.cpp engine on the real base with three random adapters."""

import math
import threading
import urllib.error
import urllib.request

import pytest
import torch
from peft import PeftModel

from pal.dialogue.prompt import CONTEXT_TOKENS
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding, Delta, Done, Failed, Options, ReplyRequest, SelectRequest
from pal.engines.llamacpp import LlamaCppEngine
from pal.errors import CheckpointError, EngineError
from pal.models import bases
from pal.models.adapters import adapter_hash, peft_to_gguf
from tests.support.adapters import write_random_adapter

PERSONA = ["I am a nurse.", "I have two cats.", "I love hiking."]
GREEDY = Decoding(temperature=0.0, repeat_penalty=1.0, max_tokens=6)
VARIANTS = ("baseline", "stage1", "aligned")


@pytest.fixture(scope="module")
def base(base_gguf):
    return bases.load_base_model()


@pytest.fixture(scope="module")
def adapters(base, tmp_path_factory):
    folders = {}
    for seed, variant in enumerate(VARIANTS):
        folders[variant] = write_random_adapter(base, tmp_path_factory.mktemp(variant), seed)
    return folders


@pytest.fixture(scope="module")
def loras(adapters):
    return {variant: peft_to_gguf(folder, folder / "lora.gguf") for variant, folder in adapters.items()}


@pytest.fixture(scope="module")
def engine(base_gguf, loras):
    engine = LlamaCppEngine(base_gguf, loras)
    yield engine
    engine.close()


@pytest.fixture
def small(base_gguf, loras):
    """A function that opens small engines of one variant, closed after the test."""
    opened = []

    def build(slots=1, lora=loras["stage1"], **options):
        opened.append(LlamaCppEngine(base_gguf, {"stage1": lora}, slots=slots, **options))
        return opened[-1]

    yield build
    for engine in opened:
        engine.close()


def reply(engine, tokens, variant="stage1", session="s", decoding=GREEDY, seed=1, cancel=None):
    """The Done or Failed of one reply."""
    request = ReplyRequest(variant, tokens, decoding, seed, session)
    *deltas, last = engine.stream([request], cancel or Cancel())
    assert all(isinstance(event, Delta) for event in deltas)
    if isinstance(last, Done):
        assert "".join(delta.text for delta in deltas).strip() == last.text
    return last


def selection(engine, tokens, options, variant="stage1", session="s"):
    (answer,) = engine.select([SelectRequest(variant, tokens, options, session)], Cancel())
    assert isinstance(answer, Options), answer
    return answer


def test_the_engine_names_itself(engine):
    assert (engine.identity.engine, engine.identity.quantisation, engine.variants) == (
        "llama.cpp",
        "Q4_1",
        VARIANTS,
    )


def test_selection_agrees_with_transformers(engine, adapters, base, renderer):
    prompt = renderer.selection_prompt(PERSONA, [], "What do you do for a living?")
    options = renderer.option_ids(3)
    for variant in ("baseline", "aligned"):
        got = selection(engine, prompt, options, variant, "compare").probabilities
        model = PeftModel.from_pretrained(base, str(adapters[variant])).eval()
        with torch.no_grad():
            logits = model(torch.tensor([prompt])).logits[0, -1]
        model.unload()
        expected = logits[options].softmax(-1).tolist()
        assert sum(got) == pytest.approx(1, abs=1e-6)
        # 8-bit activations move log-probabilities by about 0.1 on this model
        assert [math.log(p) for p in got] == pytest.approx([math.log(p) for p in expected], abs=0.6)


@pytest.mark.parametrize("count", [2, 5, 10])
def test_probabilities_are_the_softmax_over_the_options_alone(engine, renderer, count):
    prompt = renderer.selection_prompt(PERSONA, [], "Do you have any pets?")
    options = renderer.option_ids(count - 1)
    got = selection(engine, prompt, options, session=f"{count} all").probabilities
    assert len(got) == count and sum(got) == pytest.approx(1, abs=1e-6)
    pair = selection(engine, prompt, options[:2], session=f"{count} pair").probabilities
    assert pair[0] / pair[1] == pytest.approx(got[0] / got[1], rel=1e-3)
    turned = selection(engine, prompt, options[::-1], session=f"{count} turned").probabilities
    assert turned == pytest.approx(got[::-1], abs=1e-4)


def test_select_answers_every_request(engine, renderer):
    prompt = renderer.selection_prompt(PERSONA, [], "Hello!")
    asks = [SelectRequest(variant, prompt, renderer.option_ids(3), "all") for variant in VARIANTS]
    answers = list(engine.select(asks, Cancel()))
    assert [answer.variant for answer in answers] == list(VARIANTS)
    assert len({answer.probabilities for answer in answers}) == 3, "three adapters, three distributions"


def test_replies_of_all_variants_stream_from_one_generator(engine, renderer):
    prompt = renderer.reply_prompt(PERSONA, [], "Hello!", 0)
    requests = [ReplyRequest(variant, prompt, GREEDY, 1, "stream") for variant in VARIANTS]
    events = list(engine.stream(requests, Cancel()))
    done = {event.variant: event for event in events if isinstance(event, Done)}
    assert set(done) == set(VARIANTS)
    for variant, event in done.items():
        pieces = [e.text for e in events if isinstance(e, Delta) and e.variant == variant]
        assert len(pieces) > 1 and "".join(pieces).strip() == event.text
        assert "<|im_end|>" not in event.text
        assert 1 <= event.generated <= GREEDY.max_tokens
        assert event.evaluated == len(prompt)
    assert len({event.text for event in done.values()}) > 1, "the adapters make no difference"


def test_the_reply_ends_with_the_turn(small, renderer):
    history = [Exchange("Say yes.", "Yes."), Exchange("Say yes.", "Yes."), Exchange("Say yes.", "Yes.")]
    prompt = renderer.reply_prompt(PERSONA, history, "Say yes.", selects=False)
    answer = reply(small(lora=None), prompt, decoding=Decoding(0.0, 1.0, 1.0, 20))
    assert answer.text == "Yes." and answer.generated < 20


def test_the_seed_decides_the_sample(engine, renderer):
    prompt = renderer.reply_prompt(PERSONA, [], "Tell me something.", 0)
    wild = Decoding(temperature=1.5, top_p=1.0, repeat_penalty=1.0, max_tokens=6)
    first = reply(engine, prompt, decoding=wild, seed=7).text
    assert reply(engine, prompt, decoding=wild, seed=7).text == first
    assert {reply(engine, prompt, decoding=wild, seed=seed).text for seed in (8, 9)} != {first}
    assert reply(engine, prompt, decoding=GREEDY, seed=1) is not None


def test_the_repeat_penalty_is_used(engine, renderer):
    prompt = renderer.reply_prompt(PERSONA, [], "Hello!", 0)
    strong = Decoding(temperature=0.0, repeat_penalty=5.0, max_tokens=6)
    assert reply(engine, prompt, decoding=strong).text != reply(engine, prompt, decoding=GREEDY).text


def test_pieces_never_break_a_character(small, tokenizer):
    prompt = tokenizer.encode("😀 😁 😂 😀 😁 😂 😀 😁 😂 😀 😁 😂 😀 😁")
    base_engine = small(lora=None)
    texts = []
    for count in range(1, 5):
        events = base_engine.stream(
            [ReplyRequest("stage1", prompt, Decoding(0.0, 1.0, 1.0, count), 1, "s")], Cancel()
        )
        texts += [event.text for event in events]
    assert any(ord(character) > 0xFFFF for text in texts for character in text), "no emoji: vacuous"
    assert not any("\ufffd" in text for text in texts)


def test_a_turn_costs_only_its_new_tokens(engine, renderer):
    options, history = renderer.option_ids(3), []
    before: list[int] = []
    for user in ("Hello!", "Any pets?", "Do you like the mountains?"):
        ask = renderer.selection_prompt(PERSONA, history, user)
        assert ask[: len(before)] == before
        assert selection(engine, ask, options, session="reuse").evaluated <= len(ask) - len(before) + 1
        prompt = renderer.reply_prompt(PERSONA, history, user, 1)
        answer = reply(engine, prompt, session="reuse")
        assert 0 < answer.evaluated <= len(prompt) - len(ask) + 1
        history.append(Exchange(user, answer.text, 1))
        before = prompt  # at least this much is cached now


def play(engine, renderer, session, persona, users):
    """Two turns of all variants, greedy: everything that came out."""
    out = []
    histories = {variant: [] for variant in VARIANTS}
    for user in users:
        asks = [
            SelectRequest(
                v, renderer.selection_prompt(persona, histories[v], user), renderer.option_ids(2), session
            )
            for v in VARIANTS
        ]
        picks = {}
        for answer in engine.select(asks, Cancel()):
            picks[answer.variant] = max(range(3), key=answer.probabilities.__getitem__)
            out.append((session, answer.variant, answer.probabilities, answer.evaluated))
        chosen = {variant: pick - 1 if pick else None for variant, pick in picks.items()}
        requests = [
            ReplyRequest(v, renderer.reply_prompt(persona, histories[v], user, chosen[v]), GREEDY, 1, session)
            for v in VARIANTS
        ]
        for event in engine.stream(requests, Cancel()):
            if isinstance(event, Done):
                out.append((session, event.variant, event.text, event.evaluated))
                histories[event.variant].append(Exchange(user, event.text, chosen[event.variant]))
    return out


@pytest.mark.parametrize("parallel", [False, True], ids=["in turn", "side by side"])
def test_interleaved_sessions_answer_as_if_alone(base_gguf, loras, renderer, parallel):
    """Same start of the prompt, three adapters, sessions at once: no cache and
    no adapter may leak (probabilities are compared exactly)."""
    users = ("Hello!", "What do you do?")
    personas = {
        "a": ["I am a nurse.", "I have two cats."],
        "b": ["I am a nurse.", "I have three dogs."],
        "c": ["I drive a truck.", "I have two cats."],
    }
    alone = {}
    for session, persona in personas.items():
        engine = LlamaCppEngine(base_gguf, loras, slots=1)
        alone[session] = play(engine, renderer, session, persona, users)
        engine.close()
    engine = LlamaCppEngine(base_gguf, loras, slots=3, parallel=parallel)
    together = {}
    threads = [
        threading.Thread(
            target=lambda s=session, p=persona: together.update({s: play(engine, renderer, s, p, users)})
        )
        for session, persona in personas.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.close()
    for session in personas:
        assert len(alone[session]) == 12
        assert sorted(together[session], key=str) == sorted(alone[session], key=str)


@pytest.mark.parametrize("parked_bytes", [0, 2**28], ids=["forgotten", "parked"])
def test_the_least_recently_used_session_makes_room(small, renderer, parked_bytes):
    engine = small(slots=2, parked_bytes=parked_bytes)
    options = renderer.option_ids(3)
    prompts = {
        name: renderer.selection_prompt(PERSONA, [], f"Hello, I am {name}!") for name in ("Ann", "Bob", "Cid")
    }

    def evaluated(name):
        return selection(engine, prompts[name], options, session=name).evaluated

    assert evaluated("Ann") == len(prompts["Ann"])
    assert evaluated("Bob") == len(prompts["Bob"])
    assert evaluated("Ann") == 1  # cached; llama.cpp computes the last token again
    assert evaluated("Cid") == len(prompts["Cid"])  # Bob's slot, but nothing of Bob's cache
    assert evaluated("Ann") == 1
    assert evaluated("Bob") == (1 if parked_bytes else len(prompts["Bob"]))


def test_a_parked_chat_answers_as_if_it_had_stayed(small, renderer):
    options = renderer.option_ids(3)
    ask = renderer.selection_prompt(PERSONA, [], "Do you have any pets?")
    prompt = renderer.reply_prompt(PERSONA, [], "Do you have any pets?", 1)
    stays, goes = small(slots=1), small(slots=1)
    for engine in (stays, goes):
        selection(engine, ask, options, session="me")
    selection(goes, renderer.selection_prompt(["I fly."], [], "Hello!"), options[:2], session="another")
    there, back = reply(stays, prompt, session="me"), reply(goes, prompt, session="me")
    assert (back.text, back.evaluated) == (there.text, there.evaluated)
    assert back.evaluated <= len(prompt) - len(ask) + 1


def test_parked_chats_have_a_budget_and_are_deleted_at_the_end(small, renderer, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engine = small(slots=1, parked_bytes=2 * 2**20)
    options = renderer.option_ids(3)
    prompt = renderer.selection_prompt(PERSONA, [], "Hello!")  # about 50 tokens of 23 kB
    for number in range(5):
        selection(engine, prompt, options, session=f"chat {number}")
    files = list(tmp_path.glob("*/*.kv"))
    assert 0 < sum(path.stat().st_size for path in files) <= 2 * 2**20 and len(files) < 4
    assert selection(engine, prompt, options, session="chat 3").evaluated == 1
    assert selection(engine, prompt, options, session="chat 0").evaluated == len(prompt)
    engine.close()
    assert not list(tmp_path.iterdir())


def test_turns_on_their_own_take_no_chats_place(small, renderer):
    """Programs and background work beside a full house of visitors."""
    engine, options = small(slots=1, parked_bytes=0), renderer.option_ids(3)
    ask = renderer.selection_prompt(PERSONA, [], "Hello!")
    prompt = renderer.reply_prompt(PERSONA, [], "Hello!", 0)
    selection(engine, ask, options, session="visitor")
    for _ in range(3):
        cancel = Cancel()
        (answer,) = engine.select([SelectRequest("stage1", ask, options, "")], cancel)
        assert answer.evaluated == len(ask), "nothing is reused from one such turn to the next"
        *_, done = engine.stream([ReplyRequest("stage1", prompt, GREEDY, 1, "")], cancel)
        assert done.evaluated <= len(prompt) - len(ask) + 1, "but within the turn"
    assert selection(engine, ask, options, session="visitor").evaluated == 1


def test_more_sessions_than_slots_wait_and_are_all_served(small, renderer):
    engine = small(slots=1)
    prompts = [renderer.reply_prompt([f"I have {n} cats."], [], "Hello!", 0) for n in range(2, 8)]
    expected = [reply(engine, prompt, session=f"alone {n}").text for n, prompt in enumerate(prompts)]
    got = [None] * len(prompts)

    def visit(number):
        got[number] = reply(engine, prompts[number], session=f"session {number}").text

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected


def test_stop_gives_what_was_written_and_frees_the_model(engine, renderer):
    prompt = renderer.reply_prompt(PERSONA, [], "Tell me a long story.", 0)
    long = Decoding(temperature=0.0, repeat_penalty=1.0, max_tokens=200)
    cancel = Cancel()
    requests = [ReplyRequest(variant, prompt, long, 1, "stop") for variant in VARIANTS]
    events = []
    for event in engine.stream(requests, cancel):
        events.append(event)
        if len(events) == 2:
            cancel.set()
    done = {event.variant: event for event in events if isinstance(event, Done)}
    assert set(done) == set(VARIANTS)
    pieces = [event.text for event in events if isinstance(event, Delta)]
    assert done["baseline"].text == "".join(pieces).strip() != ""
    assert done["baseline"].generated == len(pieces) < 200
    assert done["stage1"].text == done["aligned"].text == ""
    assert isinstance(reply(engine, prompt, "baseline", "after"), Done)


def test_stop_during_a_long_prompt_ends_at_once(engine, renderer):
    cancel = Cancel()
    prompt = renderer.reply_prompt(PERSONA, [], "Once upon a time there was a river. " * 40, 0)
    request = ReplyRequest("stage1", prompt, GREEDY, 1, "long")
    threading.Timer(0.05, cancel.set).start()
    (last,) = engine.stream([request], cancel)
    assert last == Done("stage1", "", 0, 0, last.seconds)
    asked = SelectRequest("stage1", prompt, renderer.option_ids(3), "long")
    assert list(engine.select([asked], cancel)) == [Failed("stage1", "Stopped before it had selected.")]
    again = reply(engine, renderer.reply_prompt(PERSONA, [], "Hello!", 0), session="long")
    assert again.text


def test_leaving_the_generator_stops_the_work(engine, renderer):
    prompt = renderer.reply_prompt(PERSONA, [], "Tell me a long story.", 0)
    events = engine.stream(
        [ReplyRequest(v, prompt, Decoding(0.0, 1.0, 1.0, 200), 1, "left") for v in VARIANTS], Cancel()
    )
    next(events)
    events.close()
    after = reply(engine, prompt, "baseline", "left", Decoding(0.0, 1.0, 1.0, 1))
    assert after.evaluated == 1, "its slot still holds the prompt, and is free"
    assert reply(engine, prompt, "aligned", "left").evaluated == len(prompt), "it had not come so far"


def test_a_failing_variant_fails_alone(engine, renderer):
    prompt = renderer.reply_prompt(PERSONA, [], "Hello!", 0)
    requests = [
        ReplyRequest("baseline", [5] * 5000, GREEDY, 1, "fail"),
        ReplyRequest("nobody", prompt, GREEDY, 1, "fail"),
        ReplyRequest("stage1", [10**9], GREEDY, 1, "fail"),
        ReplyRequest("aligned", prompt, GREEDY, 1, "fail"),
    ]
    last = {e.variant: e for e in engine.stream(requests, Cancel()) if not isinstance(e, Delta)}
    assert "5,000 tokens" in last["baseline"].message and "Shorten" in last["baseline"].message
    assert "“nobody”" in last["nobody"].message and "baseline, stage1, aligned" in last["nobody"].message
    assert isinstance(last["stage1"], Failed) and "invalid" in last["stage1"].message
    assert isinstance(last["aligned"], Done)


def test_a_full_context_still_answers(engine, tokenizer):
    filler = tokenizer.encode(" and so on") * CONTEXT_TOKENS
    decoding = Decoding(temperature=0.0, max_tokens=40)
    assert reply(engine, filler[:CONTEXT_TOKENS], decoding=decoding, session="full").generated >= 1
    longest = engine._servers["stage1"]._context - 1
    assert reply(engine, filler[:longest], decoding=decoding, session="full").generated <= 1


def test_an_adapter_of_none_is_the_plain_base(small, base, renderer):
    prompt = renderer.selection_prompt(PERSONA, [], "Hello!")
    options = renderer.option_ids(3)
    plain = selection(small(lora=None), prompt, options).probabilities
    tuned = selection(small(), prompt, options).probabilities
    with torch.no_grad():
        expected = base(torch.tensor([prompt])).logits[0, -1][options].log_softmax(-1).tolist()

    def distance(probabilities):
        return max(abs(math.log(p) - e) for p, e in zip(probabilities, expected, strict=True))

    assert distance(plain) < distance(tuned) / 2


def test_each_variant_has_the_adapter_of_its_folder(adapters, renderer, small, tmp_path, monkeypatch):
    monkeypatch.setattr("pal.models.adapters.cache_dir", lambda: tmp_path / "cache")
    prompt, options = renderer.selection_prompt(PERSONA, [], "Hello!"), renderer.option_ids(3)
    expected = selection(small(), prompt, options).probabilities
    engine = LlamaCppEngine.from_adapters({"stage1": adapters["stage1"], "base": None}, slots=1)
    assert selection(engine, prompt, options).probabilities == expected
    assert engine.variants == ("stage1", "base")
    assert engine.identity.adapters == {"stage1": adapter_hash(adapters["stage1"]), "base": ""}
    engine.close()


def test_missing_and_damaged_files_are_named(tmp_path, base_gguf):
    with pytest.raises(CheckpointError, match="stage1"):
        LlamaCppEngine.from_adapters({"stage1": tmp_path / "stage1"})
    broken = tmp_path / "broken.Q4_1.gguf"
    broken.write_bytes(base_gguf.read_bytes()[:100_000])
    with pytest.raises(EngineError, match="broken"):
        LlamaCppEngine(broken, {"stage1": None})
    with pytest.raises(EngineError, match="no-lora.gguf"):
        LlamaCppEngine(base_gguf, {"stage1": tmp_path / "no-lora.gguf"})


def test_a_closed_engine_says_so(small, renderer):
    engine = small()
    prompt = renderer.reply_prompt(PERSONA, [], "Tell me a long story.", 0)
    events = engine.stream([ReplyRequest("stage1", prompt, Decoding(0.0, 1.0, 1.0, 200), 1, "s")], Cancel())
    next(events)
    engine.close()
    (last,) = [event for event in events if not isinstance(event, Delta)]
    assert last.generated < 200
    with pytest.raises(EngineError, match="closed"):
        list(engine.stream([], Cancel()))
    engine.close()


def test_the_library_port_is_useless_to_others(small):
    engine = small()
    address = engine._servers["stage1"]._server.listening_address
    assert address.startswith("http://127.0.0.1:")
    body = b'{"prompt": "Hello", "n_predict": 1}'
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{address}/completion", data=body), timeout=30)
    assert refused.value.code == 401
