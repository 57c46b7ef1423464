"""Relevance of a reply to a message, and the check of the measure."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from transformers import LlamaConfig, LlamaForCausalLM

from pal.dialogue.persona import Persona
from pal.dialogue.turns import Exchange
from pal.errors import DataError
from pal.evaluation.relevance import (
    EmbeddingRelevance,
    LikelihoodRatio,
    Trial,
    at_margin,
    check,
    judge,
    trials,
)
from pal.evaluation.turns import GoldTurn, MeasuredDialogue
from tests.evaluation.fakes import renderer


class WordVectors:
    """Unit vectors over three words."""

    def embed(self, texts):
        words = ("sail", "cook", "read")
        counts = np.array([[text.count(word) for word in words] for text in texts], dtype=float)
        counts = counts.reshape(-1, len(words)) + 1e-9
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def test_relevance_is_the_cosine_of_message_and_reply():
    pairs = [
        ("Do you sail?", "I sail."),
        ("Do you sail?", "I cook."),
        ("Do you sail or cook?", "I sail."),
        ("Do you sail?", " "),
    ]
    found = EmbeddingRelevance(WordVectors()).scores(pairs)
    assert found == pytest.approx([1, 0, 0.5**0.5, 0], abs=1e-6)
    assert EmbeddingRelevance(WordVectors()).scores([]) == []


def test_likelihood_ratio_is_what_the_message_adds_per_token():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=200, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=1024,
    )  # fmt: skip
    model, render = LlamaForCausalLM(config).eval(), renderer()

    def mean(prompt):
        ids = prompt + render.reply("I sail.")[:-1]
        with torch.no_grad():
            rows = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0], dim=-1)
        return np.mean([rows[place, ids[place + 1]].item() for place in range(len(prompt) - 1, len(ids) - 1)])

    expected = mean(render.user("Hi!") + render.reply_header()) - mean(render.reply_header())
    assert LikelihoodRatio(model, render).scores([("Hi!", "I sail.")]) == pytest.approx([expected], abs=1e-5)


def dialogue(name, *exchanges):
    turns = tuple(
        GoldTurn(2 * place + 1, Exchange(user, reply), reply, ())
        for place, (user, reply) in enumerate(exchanges)
    )
    return MeasuredDialogue(name, Persona(("I sail.",)), turns, tuple(range(len(turns))))


def test_a_random_reply_comes_from_another_dialogue_and_the_draw_is_seeded():
    dialogues = [
        dialogue("one", ("Hi!", "one a"), (None, "one b"), ("So?", "one c")),
        dialogue("two", ("Hey!", "two a")),
    ]
    found = trials(dialogues, 0, seed=3)
    assert sorted(trial.true for trial in found) == ["one a", "one c", "two a"]  # nobody spoke before "one b"
    assert all(trial.random[:3] != trial.dialogue for trial in found)
    assert found == trials(dialogues, 0, seed=3)
    assert trials(dialogues, 2, seed=3) == found[:2]
    with pytest.raises(DataError, match="Only one dialogue"):
        trials(dialogues[:1], 0, seed=3)


class Fixed:
    def __init__(self, scores):
        self._scores = scores

    def scores(self, pairs):
        return [self._scores[reply] for _, reply in pairs]


TRIALS = [Trial(dialogue, "u", f"r{n}", f"w{n}") for n, dialogue in enumerate("aabc", 1)]
SCORES = {"r1": 0.9, "r2": 0.4, "r3": 0.5, "r4": 0.2, "w1": 0.1, "w2": 0.4, "w3": 0.6, "w4": 0.1}


def test_accuracy_counts_ties_as_half_and_auc_is_scikit_learns():
    measured, differences = judge(TRIALS, Fixed(SCORES), seed=0)
    assert measured["accuracy"]["value"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    true, drawn = [0.9, 0.4, 0.5, 0.2], [0.1, 0.4, 0.6, 0.1]
    assert measured["auc"]["value"] == pytest.approx(roc_auc_score([1] * 4 + [0] * 4, true + drawn))
    assert differences == pytest.approx([0.8, 0, -0.1, 0.1])
    assert (measured["mean_true"], measured["mean_random"]) == (0.5, 0.3)


def test_the_margin_tells_what_is_decided_and_how_well():
    differences = np.array([0.8, 0.0, -0.2, 0.3])
    assert at_margin(differences, 0.1) == {"value": 0.1, "decided": 0.75, "right": pytest.approx(2 / 3)}
    assert at_margin(differences, 0.9) == {"value": 0.9, "decided": 0.0, "right": None}


def test_every_measure_sees_the_same_pairs_and_the_first_gives_the_margin():
    worse = Fixed({name: -value for name, value in SCORES.items()})
    found = check(TRIALS, {"good": Fixed(SCORES), "bad": worse}, seed=0)
    good, bad = (found["measures"][name]["accuracy"]["value"] for name in ("good", "bad"))
    assert good + bad == pytest.approx(1)
    assert found["pairs"] == 4 and found["margin"]["decided"] == 0.25
