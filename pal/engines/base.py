"""What every engine does: select and stream, for several variants at once."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Protocol

from pal.dialogue.prompt import Renderer


@dataclass(frozen=True)
class Decoding:
    """How replies are sampled; the same for every variant of a turn.

    ``temperature`` 0 is greedy. ``repeat_penalty`` 1 is off, as by default: it
    counts the prompt's words too and so keeps a model from naming what its
    persona says. ``ignore_end`` writes on to ``max_tokens``; benchmarks need
    replies of one length.
    """

    temperature: float = 0.7
    top_p: float = 0.9
    repeat_penalty: float = 1.0
    max_tokens: int = 40
    ignore_end: bool = False


@dataclass(frozen=True)
class SelectRequest:
    """Read one distribution: ``tokens`` is the prompt, ``options`` the token
    ids to choose among. ``session`` names the chat whose cache is reused and
    kept; "" for a turn on its own, which takes no chat's place in the cache."""

    variant: str
    tokens: Sequence[int]
    options: Sequence[int]
    session: str


@dataclass(frozen=True)
class ReplyRequest:
    """Continue ``tokens`` until the end-of-turn token."""

    variant: str
    tokens: Sequence[int]
    decoding: Decoding
    seed: int
    session: str


@dataclass(frozen=True)
class PrefillRequest:
    """Compute ``tokens``, with which the next prompt of the chat ``session`` begins."""

    variant: str
    tokens: Sequence[int]
    session: str


@dataclass(frozen=True)
class Options:
    """Answer to a SelectRequest: probabilities in the order of its options,
    summing to 1. ``evaluated``: prompt tokens newly computed (not cached)."""

    variant: str
    probabilities: tuple[float, ...]
    evaluated: int


@dataclass(frozen=True)
class Delta:
    """A piece of one variant's reply."""

    variant: str
    text: str


@dataclass(frozen=True)
class Done:
    """A variant's reply has ended. ``text`` is the whole reply; ``evaluated``
    counts newly computed prompt tokens, ``generated`` the reply's tokens."""

    variant: str
    text: str
    evaluated: int
    generated: int
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A variant failed; the others go on. ``message`` is for the visitor."""

    variant: str
    message: str


_numbers = itertools.count()


@dataclass(eq=False)
class Cancel:
    """One turn as its engine sees it: its place in the line, and the visitor's
    stop button, which engines look at between tokens.

    Attributes:
        background: nobody waits for this turn yet; it goes after those that somebody waits for.
        number: turns are served in the order in which they began, with all their requests.
    """

    background: bool = False
    number: int = field(default_factory=_numbers.__next__)
    _event: threading.Event = field(default_factory=threading.Event)

    def set(self) -> None:
        """Ask the engine to stop."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """True once somebody asked to stop."""
        return self._event.is_set()


@dataclass(frozen=True)
class Identity:
    """What an engine is: whatever else than a request decides its answers.

    Attributes:
        engine: its name, such as "llama.cpp".
        version: of the library that computes.
        base: SHA-256 of the base model's file, or its id and revision.
        quantisation: of the weights that are served, such as "Q4_1".
        adapters: variant → SHA-256 of its adapter's configuration and weights; "" for the plain base.
        prompt: version of the sequence, ``pal.dialogue.prompt.FORMAT``.
    """

    engine: str
    version: str
    base: str
    quantisation: str
    adapters: Mapping[str, str]
    prompt: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    @cached_property
    def fingerprint(self) -> str:
        """64 hex digits, equal when and only when all of this is; does not depend
        on the order of the variants."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


Answers = Generator[Options | Failed, None, None]
Pieces = Generator[Delta | Done | Failed, None, None]


class Engine(Protocol):
    """Runs the variants. Safe to call from many threads at once. Whoever closes
    the generator of ``select`` or ``stream`` frees the engine within a token.

    Attributes:
        identity: what it is; one fingerprint for records, journals and caches.
        renderer: of the base that it serves: its tokenizer, its turn markers and its context.
        variants: names of the variants it has.
    """

    identity: Identity
    renderer: Renderer
    variants: tuple[str, ...]

    def select(self, requests: Sequence[SelectRequest], cancel: Cancel) -> Answers:
        """One answer per request, as each is ready."""

    def stream(self, requests: Sequence[ReplyRequest], cancel: Cancel) -> Pieces:
        """Pieces of all replies as they come; one Done or Failed per request.
        After ``cancel`` is set, what was written so far comes as Done."""

    def prefill(self, requests: Sequence[PrefillRequest]) -> None:
        """What chats will need next, to be computed while no turn runs. Returns
        at once and never fails. It yields to a turn within one batch of prompt
        tokens, takes no other chat's place in the cache, and is dropped when a turn or
        another prefill of its chat begins. It changes no answer, so an engine that keeps
        no cache does nothing here."""

    def close(self) -> None:
        """Stop what runs, wait for it, and free the models; the engine cannot be used afterwards."""
