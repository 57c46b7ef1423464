"""How well a relevance measure tells the reply to a message from a reply to another one.

    python -m pal check-relevance --data dialogues_dev.jsonl --limit 300 --out assets/results/relevance.json

Takes gold replies of the part that "pal tune" does not look at. Each is held
against a random gold reply of another dialogue: a good measure scores the true
one higher for the user's message. Compared are the cosine that the evaluation
uses and a likelihood ratio of the untuned base,

    (log p(r | u) − log p(r)) / |r|  in nats per token of the reply, end token included,

the pointwise mutual information that Li et al. 2016 maximise (arXiv 1510.03055).
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pal.errors import DataError
from pal.evaluation.bootstrap import Bootstrap, mean_of
from pal.evaluation.perplexity import reply_log_probabilities
from pal.evaluation.relevance import MARGIN, EmbeddingRelevance
from pal.evaluation.selection_metrics import auc
from pal.evaluation.serving import open_encoder, open_renderer, sha256
from pal.evaluation.stages import Relevance
from pal.evaluation.turns import PARTS, MeasuredDialogue, choose_turns
from pal.prompt import Renderer
from pal.training.data import read_dialogues

USED, COMPARED = "MiniLM cosine of message and reply", "log-likelihood ratio of the untuned base"


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
    found = []
    for name, exchange in turns[: limit or len(turns)]:
        other, drawn = name, exchange
        while other == name:
            other, drawn = generator.choice(turns)
        found.append(Trial(name, exchange.user, exchange.reply, drawn.reply))
    return found


def judge(found: Sequence[Trial], scorer: Relevance, seed: int) -> tuple[dict[str, Any], np.ndarray]:
    """Accuracy (the true reply scores higher; ties one half) and AUC over all
    replies, with intervals over dialogues, and the differences true − random [trials]."""
    true = np.array(scorer.scores([(trial.user, trial.true) for trial in found]))
    drawn = np.array(scorer.scores([(trial.user, trial.random) for trial in found]))
    bootstrap = Bootstrap([trial.dialogue for trial in found], seed=seed)
    scores, positive = np.concatenate([true, drawn]), np.repeat([True, False], len(found))
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


def check(found: Sequence[Trial], scorers: Mapping[str, Relevance], seed: int) -> dict[str, Any]:
    """Every measure on the same trials; the first one is the evaluation's, with its margin."""
    judged = {name: judge(found, scorer, seed) for name, scorer in scorers.items()}
    used = next(iter(judged.values()))
    return {
        "pairs": len(found),
        "measures": {name: measured for name, (measured, _) in judged.items()},
        "margin": at_margin(used[1], MARGIN),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal check-relevance``."""
    parser.add_argument("--data", type=Path, required=True, help="dialogues file")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--part", choices=PARTS, default="report", help="default: report")
    parser.add_argument("--limit", type=int, default=300, help="turns; 0 takes all (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and the resampling (default 0)")


def run(args: argparse.Namespace) -> int:
    """Measure and write; 0 when done.

    Raises:
        DataError: the data cannot be used.
        CheckpointError: a model is missing.
    """
    from pal.checkpoints import load_base_model

    choice = choose_turns(read_dialogues(args.data), seed=args.seed, part=args.part)
    found = trials(choice.dialogues, args.limit, args.seed)
    scorers = {
        USED: EmbeddingRelevance(open_encoder()),
        COMPARED: LikelihoodRatio(load_base_model(), open_renderer()),
    }
    data = {"file": args.data.name, "sha256": sha256(args.data), "part": args.part}
    results = {"data": data, "seed": args.seed, **check(found, scorers, args.seed)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, measured in results["measures"].items():
        print(f"{name}: accuracy {measured['accuracy']['value']:.3f}, AUC {measured['auc']['value']:.3f}")
    print(f"Written: {args.out}")
    return 0
