"""Likelihood of gold replies on a tiny random model with real adapters."""

import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from pal.dialogue.persona import Persona
from pal.dialogue.turns import Exchange
from pal.evaluation.perplexity import GoldReplyScorer, reply_log_probabilities
from pal.evaluation.turns import GoldTurn, MeasuredDialogue
from tests.evaluation.fakes import renderer


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=200, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=1024,
    )  # fmt: skip
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    return get_peft_model(LlamaForCausalLM(config), lora).eval()


DIALOGUE = MeasuredDialogue(
    "d",
    Persona(("I sail.", "I cook.")),
    (
        GoldTurn(1, Exchange("Hi!", "Hello."), "hello .", ()),
        GoldTurn(3, Exchange("What do you do?", "I sail a lot."), "i sail a lot .", (0,)),
    ),
    (0, 1),
)


def test_log_probabilities_are_those_of_the_whole_sequence(model):
    ids = [5, 9, 1, 40, 3, 77]
    with torch.no_grad():
        full = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0], dim=-1)
    expected = [full[place, ids[place + 1]].item() for place in (1, 4)]
    assert reply_log_probabilities(model, ids, [1, 4]) == pytest.approx(expected, abs=1e-5)


def test_each_reply_is_scored_after_its_own_prompt(model):
    render = renderer()
    history = [Exchange("Hi!", "Hello.", None)]
    prompt = render.reply_prompt(DIALOGUE.persona.sentences, history, "What do you do?", 1)
    reply = render.reply("I sail a lot.")[:-1]  # up to the end token
    values = reply_log_probabilities(
        model, prompt + reply, range(len(prompt) - 1, len(prompt) + len(reply) - 1)
    )
    _, second = GoldReplyScorer(model, render).score(DIALOGUE, [None, 1])
    assert second.tokens == len("I sail a lot.") + 1
    assert second.log_probability == pytest.approx(math.fsum(values), abs=1e-3)


def test_selection_and_persona_turns_change_the_likelihood(model):
    scorer = GoldReplyScorer(model, renderer())
    first, other, wrong, plain = (
        scorer.score(DIALOGUE, selections)[1].log_probability
        for selections in ([None, 0], [None, 1], [0, 1], None)
    )
    assert len({round(value, 4) for value in (first, other, wrong, plain)}) == 4
