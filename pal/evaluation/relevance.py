"""Does a reply answer what the user said? The cosine of their MiniLM embeddings.

Only the last user turn counts, no persona and no history, so a reply gains
nothing by reciting a persona sentence that is beside the point. The judge is
none of the tuned models. It is topical: it cannot see a wrong answer on the right
topic, and repeating the user's words pleases it. ``python -m pal check-relevance``
measures how well it tells a gold reply from a random one, beside the
likelihood ratio of the base model, which was tried first and is worse.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pal.dialogue.prompt import Renderer
from pal.errors import DataError
from pal.evaluation.perplexity import reply_log_probabilities
from pal.evaluation.selection_metrics import auc
from pal.evaluation.turns import MeasuredDialogue
from pal.models.encoder import MiniLMEncoder
from pal.statistics import Bootstrap, mean_of

# Replies closer than this tie in win rates. The least multiple of 0.05 at which the measure was right on nine
# in ten of the pairs that differ by more (300 gold replies of the tune part, each against a random one).
MARGIN = 0.1
USED, COMPARED = "MiniLM cosine of message and reply", "log-likelihood ratio of the untuned base"


class EmbeddingRelevance:
    """Scores replies with a sentence encoder."""

    def __init__(self, encoder: MiniLMEncoder):
        self._encoder = encoder

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Cosine of each (user's message, reply), in [-1, 1]; 0 for an empty reply."""
        vectors = self._encoder.embed([text for pair in pairs for text in pair])
        cosines = np.einsum("pd,pd->p", vectors[0::2], vectors[1::2])
        return [
            float(value) if reply.strip() else 0.0 for value, (_, reply) in zip(cosines, pairs, strict=True)
        ]


class Relevance(Protocol):
    """What is needed of a scorer of ``pal.evaluation.relevance``."""

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """(user's message, reply) → relevance, one each."""


class LikelihoodRatio:
    """Scores replies with a causal language model of transformers."""

    def __init__(self, model, renderer: Renderer):
        self._model = model.eval()
        self._renderer = renderer

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """What each user's message adds to the reply's mean log-probability."""
        return [self._mean(self._renderer.user(user), reply) - self._mean([], reply) for user, reply in pairs]

    def _mean(self, context: list[int], reply: str) -> float:
        prompt = context + self._renderer.reply_header()
        ids = prompt + self._renderer.reply(reply)[:-1]  # all but the newline after the end token
        values = reply_log_probabilities(self._model, ids, range(len(prompt) - 1, len(ids) - 1))
        return sum(values) / len(values)


@dataclass(frozen=True)
class Trial:
    """A message, the reply it got, and one that it did not get."""

    dialogue: str
    user: str
    true: str
    random: str


def trials(dialogues: Sequence[MeasuredDialogue], limit: int, seed: int) -> list[Trial]:
    """``limit`` random turns (0: all), each with a random gold reply of another dialogue.

    Raises:
        DataError: there is only one dialogue to draw from.
    """
    turns = [
        (dialogue.id, dialogue.turns[place].exchange)
        for dialogue in dialogues
        for place in dialogue.measured
        if dialogue.turns[place].exchange.user
    ]
    if len({name for name, _ in turns}) < 2:
        raise DataError("Only one dialogue: there is no other one to draw random replies from.")
    generator = random.Random(seed)
    generator.shuffle(turns)
    chosen = []
    for name, exchange in turns[: limit or len(turns)]:
        other, drawn = name, exchange
        while other == name:
            other, drawn = generator.choice(turns)
        chosen.append(Trial(name, exchange.user, exchange.reply, drawn.reply))
    return chosen


def judge(trials: Sequence[Trial], scorer: Relevance, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """Accuracy (the true reply scores higher; ties one half) and AUC over all
    replies, with intervals over dialogues, and the differences true − random [trials]."""
    true = np.array(scorer.scores([(trial.user, trial.true) for trial in trials]))
    drawn = np.array(scorer.scores([(trial.user, trial.random) for trial in trials]))
    bootstrap = Bootstrap([trial.dialogue for trial in trials], seed=seed)
    scores, positive = np.concatenate([true, drawn]), np.repeat([True, False], len(trials))
    measured = {
        "accuracy": bootstrap.estimate(mean_of((np.sign(true - drawn) + 1) / 2)).to_json(),
        "auc": bootstrap.estimate(lambda weights: auc(scores, positive, np.tile(weights, 2))).to_json(),
        "mean_true": round(float(true.mean()), 4),
        "mean_random": round(float(drawn.mean()), 4),
    }
    return measured, true - drawn


def at_margin(differences: np.ndarray, margin: float) -> dict[str, float | None]:
    """Share of pairs that differ by more than ``margin``, and the share of those that are right."""
    decided = np.abs(differences) > margin
    right = float((differences[decided] > 0).mean()) if decided.any() else None
    return {"value": margin, "decided": round(float(decided.mean()), 4), "right": right}


def check(trials: Sequence[Trial], scorers: Mapping[str, Relevance], seed: int) -> dict[str, Any]:
    """Every measure on the same trials; the first one is the evaluation's, with its margin."""
    judged = {name: judge(trials, scorer, seed) for name, scorer in scorers.items()}
    used = next(iter(judged.values()))
    return {
        "pairs": len(trials),
        "measures": {name: measured for name, (measured, _) in judged.items()},
        "margin": at_margin(used[1], MARGIN),
    }
