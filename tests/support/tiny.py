"""A random language model that trains in milliseconds, and a tokenizer of characters. Tests only."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pal.dialogue.prompt import CHATML, Renderer

_CONTROL = {CHATML.start: 1, CHATML.end: 2}
_FIRST = 3  # id of the first printable character


class CharacterTokenizer:
    """One token for each ASCII character, and the two control tokens."""

    size = _FIRST + 128

    def encode(self, text: str) -> list[int]:
        return [_FIRST + min(ord(character), 127) for character in text]

    def token_to_id(self, token: str) -> int | None:
        return _CONTROL.get(token)


def tiny_renderer() -> Renderer:
    """The one sequence over characters."""
    return Renderer(CharacterTokenizer())


def tiny_model(vocabulary: int = CharacterTokenizer.size) -> LlamaForCausalLM:
    """Two layers of 32 numbers of the base's architecture, seeded."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.3,  # so that a few steps of an adapter matter
    )
    return LlamaForCausalLM(config).eval()
