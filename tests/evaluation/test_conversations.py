"""Whole conversations: own histories, and what a visitor notices."""

import argparse
import json
from contextlib import contextmanager

import numpy as np
import pytest

from pal.chat.responder import Responder
from pal.chat.variants import shipped
from pal.commands import evaluate_conversations
from pal.errors import DataError, EngineError
from pal.evaluation.conversations import CONVERSATIONS, read_conversations
from pal.evaluation.persona_metrics import asks, echoes, evades, repeats_itself
from tests.evaluation.fakes import ScriptedEngine, WordEncoder, renderer, text_of


@pytest.mark.parametrize(
    ("reply", "earlier", "repeats"),
    [
        ("I am not sure. I am not sure!", (), True),
        ("I have a dog.", ("Hello. I have a dog, and you?",), False),
        ("Well, I don't know. I have a dog.", ("Hello. I have a DOG!",), True),
        ("Yes, I do. Yes, I do.", (), True),
        ("Oh no. Oh no.", (), False),
        ("I have two dogs. I have three cats.", ("I like it.",), False),
    ],
)
def test_a_statement_that_comes_again_is_a_repetition(reply, earlier, repeats):
    assert repeats_itself(reply, earlier) is repeats


def test_echoes_evasions_and_questions():
    assert echoes("I would be afraid of hitting them too.", "I would be afraid of hitting them with my car!")
    assert not echoes("I would be afraid.", "I would be afraid of hitting them with my car!")
    assert evades("Hm, I'm not sure.") and evades("I do not know.") and evades("No idea, and you?")
    assert not evades("I know it well. Sure!")
    assert asks("Fine. And you?") and not asks("Fine.")


def test_our_conversations_can_be_read_and_a_broken_one_is_named(tmp_path):
    assert len(read_conversations(CONVERSATIONS)) == 60
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "a", "persona": ["I sail."]}\n')
    with pytest.raises(DataError, match="line 1"):
        read_conversations(path)


class Judge:
    """“sail” entails, anything else is neutral."""

    def probabilities(self, pairs):
        return np.array([[0.1, 0.2, 0.7] if "sail" in reply else [0.1, 0.8, 0.1] for _, reply in pairs])


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Runs the command on two conversations with scripted models."""
    path = tmp_path / "conversations.jsonl"
    rows = [
        {"id": name, "persona": ["I sail at weekends.", "I have a parrot."], "turns": ["Hi!", "What else?"]}
        for name in ("one", "two")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(**options):
        engine = ScriptedEngine(
            lambda variant, prompt, count: (0.2, 0.7, 0.1),
            lambda variant, prompt: "I sail at weekends." if variant == "aligned" else "I am not sure.",
            **options,
        )

        @contextmanager
        def opened(settings, variants):
            yield Responder(engine, renderer(), variants, encoder=WordEncoder())

        monkeypatch.setattr(evaluate_conversations, "opened", opened)
        monkeypatch.setattr("pal.models.consistency.ConsistencyModel.load", Judge)
        parser = argparse.ArgumentParser()
        evaluate_conversations.add_arguments(parser)
        arguments = ["--data", str(path), "--out", str(tmp_path / "out.json"), "--selection", "pure"]
        assert evaluate_conversations.run(parser.parse_args(arguments)) == 0
        return json.loads((tmp_path / "out.json").read_text()), engine

    return run


def test_each_variant_goes_on_from_its_own_replies_and_signs_are_counted(held):
    results, engine = held()
    assert results["counts"] == {"conversations": 2, "turns": 4}
    signs = {
        variant: {name: one["value"] for name, one in found.items()}
        for variant, found in results["signs"].items()
    }
    assert signs["aligned"] == {
        "entails": 1, "contradicts": 0, "parrots": 1, "evades": 0, "repeats_itself": 0.5, "echoes": 0,
        "asks": 0, "words": 4,
    }  # fmt: skip
    assert signs["baseline"]["evades"] == 1 and signs["baseline"]["entails"] == 0
    turn = results["conversations"][0]["turns"][1]
    assert turn["user"] == "What else?"
    assert turn["replies"]["aligned"] == {"selected": 0, "reply": "I sail at weekends.", "verdicts": [1, 1]}
    assert turn["replies"]["baseline"]["selected"] is None
    second = {
        one.variant: text_of(one.tokens) for one in engine.replies if "What else?" in text_of(one.tokens)
    }
    assert "not sure" in second["stage1"] and "not sure" not in second["aligned"]


def test_every_turn_is_a_draw_of_its_own_and_the_same_for_all_variants(held):
    engine = held()[1]
    draws = {
        variant: [one.seed for one in engine.replies if one.variant == variant] for variant in shipped().names
    }
    assert len(set(draws["baseline"])) == 4
    assert draws["baseline"] == draws["stage1"] == draws["aligned"]


def test_a_failing_variant_is_named(held):
    with pytest.raises(EngineError, match="stage1 failed on one: no memory"):
        held(fails="stage1")
