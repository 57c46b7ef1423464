"""One measured turn with all that is known of it, and named statistics of such turns,
with intervals over dialogues and paired differences.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pal.dialogue import text_metrics
from pal.dialogue.persona import Persona
from pal.dialogue.text_metrics import longest_copied_run, parrots
from pal.evaluation.perplexity import Likelihood
from pal.evaluation.persona_metrics import (
    c_score,
    contradicts,
    entails,
    persona_coverage,
    persona_f1,
    verdict,
)
from pal.evaluation.selection_metrics import SelectionMetrics, SelectionOutcome
from pal.evaluation.turns import GoldTurn
from pal.evaluation.walk import Answer
from pal.statistics import Bootstrap, Estimate, Statistic, jackknife, mean_of, ratio_of


@dataclass(frozen=True)
class Measured:
    """One reply and what was measured of it.

    ``gold_likelihood``: of the gold reply, after this contender's selections.
    ``consistency``: (contradiction, neutral, entailment) per persona sentence.
    ``relevance``: to the user's message; see ``pal.evaluation.relevance``.
    None where it was not measured.
    """

    answer: Answer
    gold_likelihood: Likelihood | None = None
    consistency: tuple[tuple[float, ...], ...] | None = None
    relevance: float | None = None

    @property
    def verdicts(self) -> tuple[int, ...]:
        """The consistency model's verdict on every persona sentence."""
        return tuple(map(verdict, self.consistency or ()))


@dataclass(frozen=True)
class Row:
    """One measured turn. ``replies`` holds every contender's and, as
    "gold", the data's own; ``cosines`` is the embedding prior."""

    dialogue: str
    persona: Persona
    gold: GoldTurn
    cosines: tuple[float, ...]
    replies: Mapping[str, Measured] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """What the user said; empty where nobody had spoken."""
        return self.gold.exchange.user or ""


def gold_answer(turn: GoldTurn) -> Answer:
    """The data's own reply, with its strongest label as what was selected."""
    return Answer(selected=turn.labels[0] if turn.labels else None, reply=turn.exchange.reply)


@dataclass(frozen=True)
class Judged:
    """What decides: the reply's C-score over all sentences, and its relevance
    to the user's message (None where nobody had spoken)."""

    c_score: int
    relevance: float | None


def compare(first: Judged, second: Judged, margin: float) -> int:
    """1 when ``first`` wins, −1 when ``second`` does, 0 for a tie.

    The higher C-score wins. Equal C-scores: the higher relevance, if it is
    higher by more than ``margin``; else a tie.
    """
    if first.c_score != second.c_score:
        return 1 if first.c_score > second.c_score else -1
    if first.relevance is None or second.relevance is None:
        return 0
    gain = first.relevance - second.relevance
    return int(math.copysign(1, gain)) if abs(gain) > margin else 0


def win_rates(
    first: Sequence[Judged], second: Sequence[Judged], margin: float, bootstrap: Bootstrap
) -> dict[str, dict[str, float | None]]:
    """Shares of turns that ``first`` wins, ties and loses, and its win rate
    (wins + ties / 2), each with an interval over the bootstrap's dialogues.

    Args:
        first, second: one entry per row of ``bootstrap``, the same turns.
    """
    results = np.array([compare(mine, theirs, margin) for mine, theirs in zip(first, second, strict=True)])
    shares = {"win": results == 1, "tie": results == 0, "loss": results == -1, "win_rate": (results + 1) / 2}
    return {name: bootstrap.estimate(mean_of(values)).to_json() for name, values in shares.items()}


@dataclass(frozen=True)
class Table:
    """Statistics of one list of turns, resampled together.

    ``corpus`` holds those that a bootstrap would bias (distinct-n, since a
    resample repeats dialogues); theirs are jackknife intervals over the same
    dialogues.
    """

    bootstrap: Bootstrap
    clusters: Sequence[Hashable]
    statistics: Mapping[str, Statistic]
    corpus: Mapping[str, Statistic] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Every statistic with its interval."""
        return {name: self._estimate(name, function).to_json() for name, function in self._all().items()}

    def minus(self, other: Table) -> dict[str, Any]:
        """Paired differences of the statistics that both have."""
        mine, theirs = self._all(), other._all()
        return {
            name: self._estimate(name, _difference(mine[name], theirs[name])).to_json()
            for name in mine
            if name in theirs
        }

    def _all(self) -> dict[str, Statistic]:
        return {**self.statistics, **self.corpus}

    def _estimate(self, name: str, function: Statistic) -> Estimate:
        return (
            jackknife(self.clusters, function) if name in self.corpus else self.bootstrap.estimate(function)
        )


def _difference(first: Statistic, second: Statistic) -> Statistic:
    return lambda weights: first(weights) - second(weights)


def selection_statistics(outcomes: Sequence[SelectionOutcome]) -> dict[str, Statistic]:
    """Accuracy, ranking and none metrics of one selector."""
    return SelectionMetrics(outcomes).all()


def perplexity_statistics(rows: Sequence[Row], name: str) -> dict[str, Statistic]:
    """Perplexity per token of the gold replies, over all turns and over persona-bearing ones."""
    likelihoods = [row.replies[name].gold_likelihood or Likelihood(0.0, 0) for row in rows]
    total = np.array([likelihood.log_probability for likelihood in likelihoods])
    tokens = np.array([likelihood.tokens for likelihood in likelihoods], dtype=float)
    persona = np.array([bool(row.gold.labels) for row in rows], dtype=float)
    return {
        "all_turns": _exp_minus(ratio_of(total, tokens)),
        "persona_turns": _exp_minus(ratio_of(total * persona, tokens * persona)),
    }


def _exp_minus(mean: Statistic) -> Statistic:
    return lambda weights: math.exp(-mean(weights))


def reply_statistics(
    rows: Sequence[Row], name: str, idf: Mapping[str, float], *, against_gold: bool
) -> dict[str, Statistic]:
    """Everything measured of the replies of one contender.

    Args:
        idf: of normalised words, for persona coverage.
        against_gold: compare with the gold replies too (not for themselves).
    """
    replies = [row.replies[name].answer.reply or "" for row in rows]
    statistics = persona_statistics(rows, name, replies, idf) | parroting_statistics(rows, name, replies)
    if against_gold:
        statistics |= overlap_statistics(replies, [row.gold.gold for row in rows])
    statistics["words"] = mean_of([len(text_metrics.words(reply)) for reply in replies])
    return statistics


def persona_statistics(
    rows: Sequence[Row], name: str, replies: Sequence[str], idf: Mapping[str, float]
) -> dict[str, Statistic]:
    """C.score, shares that entail and contradict, relevance (as far as measured), P.Cover, persona F1."""
    statistics: dict[str, Statistic] = {}
    measured = [row.replies[name] for row in rows]
    if all(reply.consistency is not None for reply in measured):
        verdicts = [reply.verdicts for reply in measured]
        for title, function in (("c_score", c_score), ("entails", entails), ("contradicts", contradicts)):
            statistics[title] = mean_of([function(own) for own in verdicts])
    if any(reply.relevance is not None for reply in measured):
        statistics["relevance"] = ratio_of(
            [reply.relevance or 0.0 for reply in measured],
            [reply.relevance is not None for reply in measured],
        )
    personas = [row.persona.sentences for row in rows]
    pairs = list(zip(replies, personas, strict=True))
    statistics["persona_coverage"] = mean_of([persona_coverage(reply, own, idf) for reply, own in pairs])
    statistics["persona_f1"] = mean_of([persona_f1(reply, own) for reply, own in pairs])
    return statistics


def parroting_statistics(rows: Sequence[Row], name: str, replies: Sequence[str]) -> dict[str, Statistic]:
    """Parroting and longest copied run: of the selected sentence, over the
    turns that have one, and of the sentence that is copied most, over all."""
    statistics: dict[str, Statistic] = {}
    selected = np.array([row.replies[name].answer.selected is not None for row in rows], dtype=float)
    for title, function in (("parrots", parrots), ("copied_run", longest_copied_run)):
        copied = [
            [float(function(reply, sentence)) for sentence in row.persona.sentences]
            for row, reply in zip(rows, replies, strict=True)
        ]
        statistics[f"{title}_any"] = mean_of([max(row_values, default=0.0) for row_values in copied])
        if selected.any():
            chosen = [row.replies[name].answer.selected for row in rows]
            own = [
                0.0 if place is None else row_values[place]
                for row_values, place in zip(copied, chosen, strict=True)
            ]
            statistics[f"{title}_selected"] = ratio_of(own, selected)
    return statistics


def overlap_statistics(replies: Sequence[str], golds: Sequence[str]) -> dict[str, Statistic]:
    """Unigram F1, BLEU and ROUGE-L against the gold replies."""
    counts = np.array(text_metrics.bleu_statistics(replies, golds), dtype=float)
    return {
        "f1": mean_of(
            [text_metrics.unigram_f1(reply, gold) for reply, gold in zip(replies, golds, strict=True)]
        ),
        "bleu": lambda weights: text_metrics.bleu_from_statistics(weights @ counts),
        "rouge_l": mean_of(text_metrics.rouge_l(replies, golds)),
    }


def distinct_statistics(texts: Sequence[str]) -> dict[str, Statistic]:
    """Distinct-1 and distinct-2."""
    return {f"distinct_{order}": distinct_statistic(texts, order) for order in (1, 2)}


def distinct_statistic(texts: Sequence[str], order: int) -> Statistic:
    """Distinct-n of the texts whose weight is not zero; nan when there is no n-gram.

    Source: Li et al. 2016 (arXiv 1510.03055), with the number of n-grams, not of words, below the
    line. It falls as a corpus grows: compare only corpora of equal size.
    """
    owners = [text_metrics.ngrams(text, order) for text in texts]
    number: dict[tuple[str, ...], int] = {}
    pairs = Counter(
        (row, number.setdefault(ngram, len(number))) for row, ngrams in enumerate(owners) for ngram in ngrams
    )
    rows = np.array([row for row, _ in pairs], dtype=int)
    types = np.array([kind for _, kind in pairs], dtype=int)
    times = np.array(list(pairs.values()), dtype=float)

    def statistic(weights: np.ndarray) -> float:
        present = times * weights[rows]
        total = float(present.sum())
        return np.count_nonzero(np.bincount(types, present)) / total if total else math.nan

    return statistic
