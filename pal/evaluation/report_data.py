"""What a report is built from: the files that the evaluating commands wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pal.dialogue.readers import read_jsonl
from pal.errors import DataError
from pal.files import sha256
from pal.settings import REPOSITORY
from pal.statistics import Estimate

GREEDILY = "by greedy decoding"
SAMPLES = REPOSITORY / "assets" / "sample_dialogues.jsonl"


@dataclass(frozen=True)
class Evaluation:
    """``results.json`` of one ``pal evaluate``."""

    results: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Evaluation:
        """From the folder that ``pal evaluate --out`` wrote.

        Raises:
            DataError: there are no results of this version in it.
        """
        path = folder / "results.json"
        found = read_json(path, f"run “python -m pal evaluate --out {folder}” first")
        missing = [
            name
            for name in ("settings", "counts", "contenders", "differences", "win_rates")
            if name not in found
        ]
        if missing:
            raise DataError(f"{path}: {', '.join(missing)} is missing; run “pal evaluate” again.")
        return cls(found)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What determines the numbers."""
        return self.results["settings"]

    @property
    def counts(self) -> Mapping[str, int]:
        """Dialogues and turns."""
        return self.results["counts"]

    @property
    def decoding(self) -> str:
        """How the replies were written, in words."""
        used = self.settings["decoding"]
        if used["temperature"] == 0:
            return GREEDILY
        return f"at temperature {used['temperature']:g} and top-p {used['top_p']:g}"

    def contenders(self, group: str) -> list[str]:
        """Those with this group of numbers, in the order of the run."""
        return [name for name, found in self.results["contenders"].items() if group in found]

    def estimate(self, contender: str, group: str, metric: str) -> Estimate | None:
        """A contender's number, or an untrained selector's in group "selection"."""
        found = self.results["contenders"].get(contender, {}).get(group)
        if found is None and group == "selection":
            found = self.results.get("selection_baselines", {}).get(contender)
        return estimate((found or {}).get(metric))

    def difference(self, later: str, earlier: str, group: str, metric: str) -> Estimate | None:
        """``later`` − ``earlier``, paired."""

        def pick(pair: Mapping[str, Any]) -> Estimate | None:
            return estimate(pair.get(group, {}).get(metric))

        return self._pair("differences", later, earlier, pick, lambda one: _map(one, lambda value: -value))

    def win(self, first: str, second: str, share: str) -> Estimate | None:
        """Share of turns of ``first`` against ``second``: "win_rate", "win", "tie" or "loss"."""
        swapped = f"{first} - {second}" not in self.results["win_rates"]
        if swapped:
            share = {"win": "loss", "loss": "win"}.get(share, share)

        def turned(one: Estimate) -> Estimate:
            return _map(one, lambda value: 1 - value) if share == "win_rate" else one

        return self._pair("win_rates", first, second, lambda pair: estimate(pair.get(share)), turned)

    def _pair(
        self,
        part: str,
        first: str,
        second: str,
        pick: Callable[[Mapping[str, Any]], Estimate | None],
        turned: Callable[[Estimate], Estimate],
    ) -> Estimate | None:
        """A pair's estimate, whichever way round it was computed."""
        pairs = self.results[part]
        if f"{first} - {second}" in pairs:
            return pick(pairs[f"{first} - {second}"])
        found = pick(pairs.get(f"{second} - {first}", {}))
        return turned(found) if found else None


def _map(one: Estimate, falling: Callable[[float], float]) -> Estimate:
    return Estimate(falling(one.value), falling(one.high), falling(one.low))


def estimate(found: Mapping[str, float | None] | None) -> Estimate | None:
    """An estimate of its JSON form; None where it is missing or not defined."""
    if not found or found["value"] is None:
        return None
    return Estimate(*(math.nan if found[name] is None else found[name] for name in ("value", "low", "high")))


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        DataError: it cannot be read; ``advice`` says what to do.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {advice}.") from None
    except ValueError:
        raise DataError(f"{path}: not JSON; {advice}.") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected an object; {advice}.")
    return found


@dataclass(frozen=True)
class Sample:
    """One of our own dialogues with every contender's reply to its last message.

    ``replies``: contender → (sentence selected, or None; reply; verdict per
    persona sentence, or None). ``decoding``: how they were written, in words.
    """

    name: str
    persona: Sequence[str]
    user: str
    replies: Mapping[str, tuple[int | None, str, Sequence[int] | None]]
    decoding: str


def read_samples(folder: Path, source: Path) -> list[Sample]:
    """The replies of an evaluation of ``source``, our own dialogues, in its order.

    Raises:
        DataError: it is an evaluation of other data, whose text may not be published.
    """
    results = Evaluation.read(folder)
    if results.settings["data"]["sha256"] != sha256(source):
        raise DataError(
            f"{folder}: the samples are of {results.settings['data']['file']}; only replies to "
            f"{source.name} as it stands may be published. Run “pal evaluate --data {source}”."
        )
    order = [row["id"] for _, row in read_jsonl(source)]
    found: dict[str, Sample] = {}
    for _, row in read_jsonl(folder / "replies.jsonl"):
        blank = Sample(row["dialogue"], row["persona"], row["user"], {}, results.decoding)
        sample = found.setdefault(row["dialogue"], blank)
        sample.replies[row["contender"]] = (row["selected"], row["reply"], row["verdicts"])
    return [found[name] for name in order if name in found]
