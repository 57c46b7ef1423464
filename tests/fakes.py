"""Deterministic stand-ins for the engine and the tokenizer. Tests only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pal.chat.responder import ConsistencyScorer, Responder
from pal.chat.selection import SelectionSettings
from pal.chat.variants import Variants, shipped
from pal.dialogue.prompt import Renderer
from pal.engines.base import (
    Cancel,
    Delta,
    Done,
    Failed,
    Identity,
    Options,
    PrefillRequest,
    ReplyRequest,
    SelectRequest,
)
from pal.models.consistency import LABELS


class CharTokenizer:
    """One token for each character, so a prompt can be read back."""

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def token_to_id(self, token: str) -> int | None:
        return None


def read(tokens: Sequence[int]) -> str:
    """The text of a CharTokenizer prompt."""
    return "".join(map(chr, tokens))


class FakeEngine:
    """Answers from queues.

    Args:
        replies: texts to answer with, in order, for every variant alike; the
            variant's name is put before them. When they run out: "reply N".
        picks: option numbers to select (0 none), in order; then always 1.
        failing: variants that fail when they should reply.
        failing_selection: variants that fail when they should select.
        gate: when given, every reply stops after its first word until the gate
            opens or the turn is cancelled.
    """

    identity = Identity("fake engine", "0", "no base", "none", {}, 1)
    renderer = Renderer(CharTokenizer())
    variants = shipped().names

    def __init__(
        self,
        replies: Sequence[str] = (),
        picks: Sequence[int] = (),
        failing: Sequence[str] = (),
        failing_selection: Sequence[str] = (),
        gate: threading.Event | None = None,
    ):
        self._lock = threading.Lock()
        self._replies = list(replies)
        self._picks = list(picks)
        self.failing = set(failing)
        self.failing_selection = set(failing_selection)
        self.gate = gate
        self.waiting = threading.Event()
        self.cancelled = threading.Event()
        self.turns = 0
        self.select_requests: list[SelectRequest] = []
        self.reply_requests: list[ReplyRequest] = []
        self.prefills: list[list[PrefillRequest]] = []

    def select(self, requests: Sequence[SelectRequest], cancel: Cancel) -> Iterator[Options | Failed]:
        with self._lock:
            self.select_requests += requests
            picks = [self._picks.pop(0) if self._picks else 1 for _ in requests]
        for request, pick in zip(requests, picks, strict=True):
            if request.variant in self.failing_selection:
                yield Failed(request.variant, "selection failed")
                continue
            count = len(request.options)
            rest = 0.2 / max(count - 1, 1)
            yield Options(request.variant, tuple(0.8 if n == pick else rest for n in range(count)), 1)

    def stream(self, requests: Sequence[ReplyRequest], cancel: Cancel) -> Iterator[Delta | Done | Failed]:
        with self._lock:
            self.reply_requests += requests
            self.turns += 1
            text = self._replies.pop(0) if self._replies else f"reply {self.turns}"
        pieces = {}
        for request in requests:
            if request.variant in self.failing:
                yield Failed(request.variant, f"{request.variant} is out of order")
            else:
                pieces[request.variant] = [f"{request.variant}:", *(" " + word for word in text.split(" "))]
        for step in range(max(map(len, pieces.values()), default=0)):
            for variant, words in pieces.items():
                if step < len(words) and not cancel.is_set:
                    yield Delta(variant, words[step])
            if step == 0 and self.gate is not None:
                self._wait(cancel)
            if cancel.is_set:
                break
        for variant, words in pieces.items():
            said = words[: step + 1] if cancel.is_set else words
            yield Done(variant, "".join(said), 1, len(said), 0.0)

    def _wait(self, cancel: Cancel) -> None:
        self.waiting.set()
        while not self.gate.wait(0.005):
            if cancel.is_set:
                self.cancelled.set()
                return

    def prefill(self, requests: Sequence[PrefillRequest]) -> None:
        with self._lock:
            self.prefills.append(list(requests))

    def close(self) -> None:
        pass


class FakeConsistency:
    """A consistency model whose verdict on (sentence, reply) is ``says``'s, one
    of CONSISTENCY_LABELS, with probability 0.9; an error it is given is raised."""

    def __init__(self, says: Callable[[str, str], str] = lambda sentence, reply: "neutral"):
        self.says = says
        self.error: Exception | None = None
        self.asked: list[tuple[str, str]] = []

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        self.asked += pairs
        if self.error is not None:
            raise self.error
        likely = np.eye(3)[[LABELS.index(self.says(*pair)) for pair in pairs]]
        return (likely * 0.85 + 0.05).astype(np.float32)


def fake_responder(
    engine: FakeEngine | None = None,
    consistency: ConsistencyScorer | None = None,
    variants: Variants | None = None,
    **settings: SelectionSettings,
) -> Responder:
    """A Responder over a FakeEngine and one-character tokens."""
    renderer = Renderer(CharTokenizer())
    return Responder(
        engine or FakeEngine(), renderer, variants or shipped(), settings, consistency=consistency
    )
