"""A scripted engine: answers by what the prompt says, and remembers every prompt."""

from __future__ import annotations

from collections.abc import Callable

from pal.chat.variants import shipped
from pal.dialogue.prompt import Renderer
from pal.engines.base import (
    Delta,
    Done,
    Failed,
    Identity,
    Options,
    PrefillRequest,
    ReplyRequest,
    SelectRequest,
)


class CharacterTokenizer:
    """One token per character; the control tokens have ids of their own."""

    control = {"<|im_start|>": 1, "<|im_end|>": 2}

    def encode(self, text: str) -> list[int]:
        return [ord(character) + 10 for character in text]

    def token_to_id(self, token: str) -> int | None:
        return self.control.get(token)


def text_of(tokens) -> str:
    names = {1: "<|im_start|>", 2: "<|im_end|>"}
    return "".join(names.get(token) or chr(token - 10) for token in tokens)


class ScriptedEngine:
    """``select`` and ``reply`` are given the variant and the prompt's text."""

    identity = Identity("scripted", "0", "no base", "none", {}, 1)
    renderer = Renderer(CharacterTokenizer())
    variants = shipped().names

    def __init__(
        self,
        select: Callable[[str, str, int], tuple[float, ...]],
        reply: Callable[[str, str], str] = lambda variant, prompt: f"{variant} says hello.",
        fails: str | None = None,
    ):
        self._select, self._reply, self._fails = select, reply, fails
        self.selections: list[SelectRequest] = []
        self.replies: list[ReplyRequest] = []
        self.prefills: list[PrefillRequest] = []
        self.closed = False

    def select(self, requests, cancel):
        for request in requests:
            self.selections.append(request)
            probabilities = self._select(request.variant, text_of(request.tokens), len(request.options))
            yield Options(request.variant, probabilities, 1)

    def stream(self, requests, cancel):
        for request in requests:
            self.replies.append(request)
            if request.variant == self._fails:
                yield Failed(request.variant, "no memory")
                continue
            text = self._reply(request.variant, text_of(request.tokens))
            yield Delta(request.variant, text)
            yield Done(request.variant, text, 1, len(text), 0.0)

    def prefill(self, requests):
        self.prefills += requests

    def close(self):
        self.closed = True


class WordEncoder:
    """Cosine stand-in: share of the sentence's words that the text has."""

    def cosines(self, text, sentences):
        spoken = set(text.lower().strip("?.!").split())
        return [
            len(spoken & set(sentence.lower().strip(".").split())) / len(sentence.split())
            for sentence in sentences
        ]


def renderer() -> Renderer:
    return Renderer(CharacterTokenizer())
