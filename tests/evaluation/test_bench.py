"""The benchmark's report; the measuring itself is a command, never a test."""

import numpy as np
import pytest

from pal.chat.responder import Responder
from pal.chat.variants import shipped
from pal.engines.base import Cancel, Decoding, ReplyRequest
from pal.evaluation import bench
from pal.evaluation.bench import SENTENCES, long_chat, open_responder, summarise
from pal.evaluation.bench_reference import PlainTransformers
from pal.models.consistency import ConsistencyModel
from tests.evaluation.fakes import ScriptedEngine, renderer


def figures(turns, first=0.1, rss=500.0, long=()):
    return {
        "startup": 2.0, "pause": 3.0, "turns": list(turns), "badges": [0.03] * len(turns),
        "first": [first] * len(turns), "tokens": 54 * len(turns),
        "evaluated": [90] * len(turns), "long": {"turns": list(long), "evaluated": [9] * len(long)},
        "peak_rss_mb": rss, "selection": {"stage1": "pure PAL"},
    }  # fmt: skip


def test_medians_ratios_and_memory():
    report = summarise(
        {
            "pal": figures([0.9, 1.0, 1.1], long=[3.0, 1.0, 9.0, 1.1, 1.2]),
            "pal_paused": figures([0.4, 0.5, 0.6], first=0.05, long=[3.0, 1.0, 9.0, 1.1, 1.1]),
            "no_reuse": figures([2.0, 3.0, 4.0]),
            "transformers": figures([10.0, 8.0, 9.0], rss=900.0),
        }
    )
    assert report["turn_seconds"] == 1.0 and report["first_token_seconds"] == 0.1
    assert report["turn_seconds_after_pause"] == 0.5 and report["pause_seconds"] == 3.0
    assert report["first_token_seconds_after_pause"] == 0.05
    assert report["long_chat_last_over_first_after_pause"] == 1.1
    assert report["speedup_vs_transformers"] == 9.0 and report["speedup_vs_no_reuse"] == 3.0
    assert report["tokens_per_second"] == pytest.approx(54, abs=0.1)
    assert report["peak_rss_mb"] == 500.0 and report["transformers_peak_rss_mb"] == 900.0
    assert report["badges_seconds"] == 0.03
    assert report["long_chat_last_over_first"] == 1.2
    assert report["evaluated_prompt_tokens_per_turn"] == 90


def test_a_long_chat_is_compared_by_quarters_without_its_first_turn():
    seconds = [9.0] + [1.0] * 9 + [2.0] * 10 + [3.0] * 10 + [3.6] * 10
    found = long_chat(seconds, [700] + [60] * 39)
    assert found["long_chat_turns"] == 40
    assert found["long_chat_quarters"]["turn_seconds"] == [1.0, 2.0, 3.0, 3.6]
    assert found["long_chat_quarters"]["evaluated_prompt_tokens"] == [60] * 4
    assert found["long_chat_last_over_first"] == 3.6
    assert long_chat([1.0] * 4, [9] * 4) == {}


def test_no_verdict_is_remembered_while_badges_are_measured(monkeypatch):
    """The same conversation again would else be judged in no time."""
    computed = []

    def load(cached):
        model = ConsistencyModel(None, None, None, cached)
        model._compute = lambda pairs: computed.append(pairs) or np.ones((len(pairs), 3))
        return model

    monkeypatch.setattr("pal.engines.open", lambda *args: ScriptedEngine(None))
    monkeypatch.setattr(ConsistencyModel, "load", load)
    judge = open_responder("pal").consistency
    pairs = [(sentence, "I keep two dogs.") for sentence in SENTENCES]
    judge.probabilities(pairs)
    judge.probabilities(pairs)
    assert computed == [pairs, pairs]


def test_what_is_measured_can_be_summarised(monkeypatch):
    engines, pauses = {}, []

    def scripted(mode):
        engine = engines[mode] = ScriptedEngine(lambda variant, prompt, options: (1 / options,) * options)
        return Responder(engine, renderer(), shipped())

    monkeypatch.setattr(bench, "open_responder", scripted)
    monkeypatch.setattr(bench.time, "sleep", pauses.append)
    measured = {
        mode: bench._measure(mode, 1, 9 if "pal" in mode else 0, 2.5 if mode == "pal_paused" else 0.0)
        for mode in bench.MODES
    }
    report = summarise(measured)
    assert len(measured["pal"]["turns"]) == 6 and report["long_chat_turns"] == 9
    assert report["evaluated_prompt_tokens_per_turn"] == 5, "of two selections and three replies"
    assert pauses == [2.5] * 15 and len(engines["pal_paused"].prefills) == 15 * 3
    assert not engines["pal"].prefills


@pytest.mark.slow
def test_the_reference_has_all_that_a_responder_needs():
    reference = PlainTransformers({"stage1": shipped().adapters["stage1"]})
    prompt = reference.renderer.reply_prompt(SENTENCES, (), "Hi", None)
    request = ReplyRequest("stage1", prompt, Decoding(max_tokens=3), 1, "")
    [piece, done] = reference.stream([request], Cancel())
    assert piece.text == done.text and done.generated <= 3
    assert Responder(reference, reference.renderer, shipped().only(["stage1"]))
