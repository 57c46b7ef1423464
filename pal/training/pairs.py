"""Preference pairs: the data set's reply against a worse one of Stage 1's.

The worse one answers the history alone ("history"), or recites a persona
sentence although the whole prompt was there ("parroting"). Both are sampled as
the page samples, so that what is rejected is what a visitor would read.

One JSON object a line: ``id`` (unique), ``dialogue``, ``persona`` (sentences),
``history`` ([{user, reply, selected}]), ``user``, ``selected`` (0-based or
null), ``chosen``, ``rejected``. Annotators' votes export to the same form.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from pal.dialogue.prompt import Renderer
from pal.dialogue.readers import read_jsonl
from pal.dialogue.text_metrics import recites
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding, Done, Engine, Failed, ReplyRequest
from pal.errors import DataError, EngineError
from pal.training.examples import Example, shuffled


@dataclass(frozen=True)
class Pair:
    """One preference; the prompt is the generation prompt with sentence ``selected``."""

    id: str
    dialogue: str
    persona: tuple[str, ...]
    history: tuple[Exchange, ...]
    user: str | None
    selected: int | None
    chosen: str
    rejected: str


def read_pairs(path: str | Path) -> list[Pair]:
    """All pairs of a file, in its order.

    Raises:
        DataError: a malformed line, or an id that occurs twice.
    """
    pairs: dict[str, int] = {}
    found = []
    for number, row in read_jsonl(path):
        try:
            pair = _pair(row)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: not a preference pair ({error!r}).") from None
        if pair.id in pairs:
            raise DataError(f"{path}, line {number}: id “{pair.id}” stands already on line {pairs[pair.id]}.")
        pairs[pair.id] = number
        found.append(pair)
    if not found:
        raise DataError(f"{path}: no pairs in it.")
    return found


def _pair(row: dict) -> Pair:
    known = {item.name for item in dataclasses.fields(Pair)}
    if unknown := set(row) - known:
        raise ValueError(f"unknown field {sorted(unknown)[0]}")
    pair = Pair(
        **{
            **row,
            "persona": tuple(row["persona"]),
            "history": tuple(Exchange(**exchange) for exchange in row["history"]),
        }
    )
    if not pair.chosen.strip() or not pair.rejected.strip():
        raise ValueError("chosen and rejected must not be empty")
    if pair.selected is not None and not 0 <= pair.selected < len(pair.persona):
        raise ValueError(f"selected {pair.selected} is no sentence of the persona")
    return pair


def of_kind(pairs: Sequence[Pair], kind: str) -> list[Pair]:
    """The pairs of a kind ("history" or "parroting"); others, such as votes, are history."""
    return [pair for pair in pairs if pair.id.endswith("/parroting") == (kind == "parroting")]


def write_pair(pair: Pair) -> str:
    """The pair as one JSON line."""
    return json.dumps(dataclasses.asdict(pair), ensure_ascii=False) + "\n"


def prompts(example: Example, seed: int, *, persona_bearing_only: bool, kind: str = "history") -> list[Pair]:
    """Pairs of an example that still lack their rejected reply of a kind.

    An exchange whose reply is not to be trained gives none.
    """
    example = shuffled(example, seed)
    suffix = "" if kind == "history" else f"/{kind}"
    return [
        Pair(
            id=f"{example.id}#{number}{suffix}",
            dialogue=example.id,
            persona=example.sentences,
            history=example.exchanges[:number],
            user=exchange.user,
            selected=exchange.selected,
            chosen=exchange.reply,
            rejected="",
        )
        for number, (exchange, label) in enumerate(zip(example.exchanges, example.labels, strict=True))
        if (label or (label is not None and not persona_bearing_only)) and number not in example.untrained
    ]


def history_only(renderer: Renderer, pair: Pair) -> list[int]:
    """The generation prompt with no persona at all: generic by construction."""
    history = [Exchange(exchange.user, exchange.reply, None) for exchange in pair.history]
    return renderer.reply_prompt((), history, pair.user, None)


def whole_prompt(renderer: Renderer, pair: Pair) -> list[int]:
    """The generation prompt of the pair, persona and sentence included."""
    return renderer.reply_prompt(pair.persona, pair.history, pair.user, pair.selected)


KINDS: dict[str, tuple[Callable[[Renderer, Pair], list[int]], Callable[[Pair, str], bool]]] = {
    "history": (history_only, lambda pair, reply: True),
    "parroting": (whole_prompt, lambda pair, reply: recites(reply, pair.persona)),
}
"""What the rejected reply answers, and which of the replies make a pair."""


def generate_rejected(
    pairs: Sequence[Pair],
    kind: str,
    engine: Engine,
    variant: str,
    renderer: Renderer,
    seed: int,
    draws: int = 1,
) -> Iterator[Pair | None]:
    """Each of the pairs with ``rejected`` written by ``variant``, in order.

    None where none of so many draws is of ``kind``: an empty reply and the
    chosen one never are. The draws of a pair depend on its id, not its place.

    Raises:
        EngineError: the engine failed.
    """
    prompt, fits = KINDS[kind]
    for pair in pairs:
        tokens = prompt(renderer, pair)
        first = seed + crc32(pair.id.encode())
        requests = (
            ReplyRequest(variant, tokens, Decoding(), first + draw, pair.dialogue) for draw in range(draws)
        )
        replies = (_reply(engine, request, pair) for request in requests)
        good = (reply for reply in replies if reply and reply != pair.chosen and fits(pair, reply))
        rejected = next(good, None)
        yield dataclasses.replace(pair, rejected=rejected) if rejected else None


def _reply(engine: Engine, request: ReplyRequest, pair: Pair) -> str:
    for event in engine.stream([request], Cancel()):
        if isinstance(event, Done):
            return event.text.strip()
        if isinstance(event, Failed):
            raise EngineError(f"{pair.id}: {event.message}")
    raise EngineError(f"{pair.id}: the engine ended without a reply.")
