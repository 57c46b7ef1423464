"""``python -m pal consistency --bench``: pairs per second on this machine.

For figures worth quoting nothing else may run; ``taskset -c 0,1`` before the
command measures two cores.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pal.bert import usable_cpus
from pal.evaluation.consistency import ConsistencyModel

REPEATS = 7
PLACES = ("a harbour town", "the mountains", "Lisbon", "a village near the coast", "the old part of the city")
PREMISES = (
    "I drive a night bus in {}.",
    "My sister and I run a small bakery in {}.",
    "I keep two old greyhounds in {}.",
    "I am learning to play the accordion in {}.",
    "I never eat fish when I am in {}.",
)
HYPOTHESES = (
    "I bake bread with my sister every morning, and you?",
    "No pets for me, I am away too often. Do you have any?",
    "I teach at a school, so my evenings are mostly free.",
    "I had fish and chips by the sea last night, it was great!",
    "The last passengers get off at two, then I drive home.",
    "That sounds fun. I practise my music when nobody is listening.",
)


def default_pairs() -> list[tuple[str, str]]:
    """150 different pairs of our own, about 27 tokens each."""
    premises = [premise.format(place) for premise, place in itertools.product(PREMISES, PLACES)]
    return list(itertools.product(premises, HYPOTHESES))


def bench(folder: Path, pairs: Sequence[tuple[str, str]] | None) -> int:
    """Print speed of 8-bit and float32 weights and how often their verdicts
    agree on ``pairs`` (None: ``default_pairs``); the exit status."""
    pairs = list(dict.fromkeys(pairs or default_pairs()))
    print(f"{usable_cpus()} cores, {len(pairs):,} pairs, best and median of {REPEATS} runs")
    answers = {}
    for name, quantised in (("8 bits", True), ("float32", False)):
        model = ConsistencyModel.load(folder, quantised=quantised, cached=0)
        answers[name] = model.probabilities(pairs)
        seconds = []
        for repeat in range(REPEATS):
            print(f"\r{name}: run {repeat + 1} of {REPEATS}", end="", file=sys.stderr)
            begun = time.perf_counter()
            model.probabilities(pairs)
            seconds.append(time.perf_counter() - begun)
        print("\r", end="", file=sys.stderr)
        best, median = (len(pairs) / value for value in (min(seconds), statistics.median(seconds)))
        print(f"{name:8} {best:7.0f} pairs/s at best, {median:7.0f} in the median")
    agree = np.mean(answers["8 bits"].argmax(axis=1) == answers["float32"].argmax(axis=1))
    difference = np.abs(answers["8 bits"] - answers["float32"])
    print(
        f"verdicts agree on {agree:.2%}; probabilities differ by {difference.mean():.4f} "
        f"on average, {difference.max():.3f} at most"
    )
    return 0
