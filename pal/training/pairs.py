"""Preference pairs: which of two replies to a prompt is better, and why.

One JSON object a line: ``id`` (of the prompt), ``kind``, ``detail``, ``dialogue``,
``persona`` (sentences), ``history`` ([{user, reply, selected}]), ``user``,
``selected`` (0-based or null), ``chosen``, ``rejected``. ``pal.training.rejected``
makes them from data; annotators' votes export to the same form.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pal.dialogue.readers import read_jsonl
from pal.dialogue.turns import Exchange
from pal.errors import DataError

KINDS = ("history", "parroting", "untrue", "corrupted", "vote")


@dataclass(frozen=True)
class Pair:
    """One preference; the prompt is the generation prompt with sentence ``selected``.

    ``kind``: why ``rejected`` is worse, one of ``KINDS``. ``detail``: what is
    wrong in a corrupted reply, else "". ``key`` names the pair in its file.
    """

    id: str
    dialogue: str
    persona: tuple[str, ...]
    history: tuple[Exchange, ...]
    user: str | None
    selected: int | None
    chosen: str
    rejected: str
    kind: str = "history"
    detail: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """(id, kind, detail)."""
        return self.id, self.kind, self.detail


def read_pairs(path: str | Path) -> list[Pair]:
    """All pairs of a file, in its order.

    Raises:
        DataError: a malformed line, or a pair that occurs twice.
    """
    lines: dict[tuple[str, str, str], int] = {}
    pairs = []
    for number, row in read_jsonl(path):
        try:
            pair = _pair(row)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: not a preference pair ({error!r}).") from None
        if pair.key in lines:
            raise DataError(
                f"{path}, line {number}: id “{pair.id}” stands already on line {lines[pair.key]}."
            )
        lines[pair.key] = number
        pairs.append(pair)
    if not pairs:
        raise DataError(f"{path}: no pairs in it.")
    return pairs


def _pair(row: dict) -> Pair:
    known = {item.name for item in dataclasses.fields(Pair)}
    if unknown := set(row) - known:
        raise ValueError(f"unknown field {sorted(unknown)[0]}")
    pair = Pair(
        **{
            **(row if "kind" in row else _with_kind(row)),
            "persona": tuple(row["persona"]),
            "history": tuple(Exchange(**exchange) for exchange in row["history"]),
        }
    )
    if not pair.chosen.strip() or not pair.rejected.strip():
        raise ValueError("chosen and rejected must not be empty")
    if pair.kind not in KINDS:
        raise ValueError(f"unknown kind {pair.kind}; it is one of {', '.join(KINDS)}")
    if pair.selected is not None and not 0 <= pair.selected < len(pair.persona):
        raise ValueError(f"selected {pair.selected} is no sentence of the persona")
    return pair


def _with_kind(row: dict) -> dict:
    """A row written when the kind was a suffix of the id."""
    name = str(row["id"])
    if name.endswith("/parroting"):
        return {**row, "id": name.removesuffix("/parroting"), "kind": "parroting"}
    return {**row, "kind": "vote" if ">" in name else "history"}


def of_kinds(pairs: Sequence[Pair], kinds: Collection[str]) -> list[Pair]:
    """The pairs of some kinds.

    Raises:
        DataError: there is none.
    """
    chosen = [pair for pair in pairs if pair.kind in kinds]
    if not chosen:
        raise DataError(f"There is no pair of the kind {' or '.join(kinds)} to train on.")
    return chosen


def check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """The kinds, each once.

    Raises:
        DataError: an unknown one.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise DataError(f"There is no kind of pair “{kind}”; choose from {', '.join(KINDS)}.")
    return tuple(dict.fromkeys(kinds))


def write_pair(pair: Pair) -> str:
    """The pair as one JSON line."""
    return json.dumps(dataclasses.asdict(pair), ensure_ascii=False) + "\n"
