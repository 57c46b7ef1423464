"""From walked turns to numbers with intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pal.evaluation import baselines, metrics
from pal.evaluation.bootstrap import Bootstrap, Statistic, jackknife, mean_of, ratio_of
from pal.evaluation.perplexity import Likelihood
from pal.evaluation.selection_metrics import SelectionMetrics, SelectionOutcome, outcome
from pal.evaluation.turns import GoldTurn
from pal.evaluation.walk import Answer
from pal.persona import Persona

COMPARED = ("accuracy", "hit_at_1", "auc", "f1", "bleu", "rouge_l", "predicted", "gold_oracle")


@dataclass(frozen=True)
class Row:
    """One measured turn with every variant's answer.

    ``likelihoods[variant][source]``: the gold reply's, after the "predicted"
    sentences, after the gold ones ("gold_oracle"), or "plain", in a sequence
    without persona turns (the baseline's).
    """

    dialogue: str
    persona: Persona
    gold: GoldTurn
    cosines: tuple[float, ...]
    answers: Mapping[str, Answer]
    likelihoods: Mapping[str, Mapping[str, Likelihood]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Table:
    """Named statistics of rows that are resampled together."""

    bootstrap: Bootstrap
    statistics: Mapping[str, Statistic]

    def to_json(self) -> dict[str, Any]:
        return {
            name: self.bootstrap.estimate(function).to_json() for name, function in self.statistics.items()
        }

    def minus(self, other: _Table) -> dict[str, Any]:
        shared = [name for name in COMPARED if name in self.statistics and name in other.statistics]
        return {
            name: self.bootstrap.difference(self.statistics[name], other.statistics[name]).to_json()
            for name in shared
        }


class Report:
    """All numbers of one evaluation, every one on the same resamples.

    Args:
        cosine_threshold: of the MiniLM selector.
        users: user turns of the data; with the personas they give the idf.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        cosine_threshold: float,
        users: Sequence[str],
        samples: int = 1000,
        seed: int = 0,
    ):
        self._rows = list(rows)
        self._labelled = [row for row in rows if row.gold.labels is not None]
        self._threshold = cosine_threshold
        self._users = users
        self._all = Bootstrap([row.dialogue for row in self._rows], samples, seed)
        self._some = (
            Bootstrap([row.dialogue for row in self._labelled], samples, seed) if self._labelled else None
        )
        self._built: dict[str, dict[str, _Table]] = {}

    def counts(self) -> dict[str, int]:
        """Number of dialogues and of turns of each kind."""
        return {
            "dialogues": len({row.dialogue for row in self._rows}),
            "turns": len(self._rows),
            "labelled_turns": len(self._labelled),
            "persona_turns": sum(bool(row.gold.labels) for row in self._labelled),
            "none_turns": sum(not row.gold.labels for row in self._labelled),
        }

    def variant(self, name: str) -> dict[str, Any]:
        """Selection, perplexity and reply metrics of one variant, as far as measured."""
        result = {title: table.to_json() for title, table in self._tables(name).items()}
        for title, replies in (("replies", "reply"), ("oracle_replies", "oracle_reply")):
            if title in result:
                result[title] |= self._distinct([getattr(row.answers[name], replies) for row in self._rows])
        return result

    def selection_baselines(self) -> dict[str, Any]:
        """The untrained selectors; ``minilm_cosine`` is the prior alone."""
        return {name: table.to_json() for name, table in self._baseline_tables().items()}

    def gold_replies(self) -> dict[str, Any]:
        """Distinct-n of the gold replies on the same turns."""
        return self._distinct([row.gold.gold for row in self._rows])

    def differences(self, variants: Sequence[str]) -> dict[str, Any]:
        """Paired differences: a variant − each one before it, and the
        selection of each selecting variant − each untrained selector's."""
        tables = {name: self._tables(name) for name in variants}
        untrained = self._baseline_tables()
        result: dict[str, Any] = {}
        for place, later in enumerate(variants):
            for earlier in variants[:place]:
                shared = [title for title in tables[later] if title in tables[earlier]]
                result[f"{later} - {earlier}"] = {
                    title: tables[later][title].minus(tables[earlier][title]) for title in shared
                }
            if "selection" in tables[later]:
                for name, table in untrained.items():
                    result[f"{later} - {name}"] = {"selection": tables[later]["selection"].minus(table)}
            if (
                later != "baseline"
                and "perplexity" in tables.get("baseline", {})
                and "perplexity" in tables[later]
            ):
                gains = self._against_plain(tables[later]["perplexity"], tables["baseline"]["perplexity"])
                result.setdefault(f"{later} - baseline", {})["perplexity"] = gains
        return result

    def _against_plain(self, selecting: _Table, plain: _Table) -> dict[str, Any]:
        return {
            source + suffix: self._all.difference(
                selecting.statistics[source + suffix], plain.statistics["plain" + suffix]
            ).to_json()
            for source in ("predicted", "gold_oracle")
            for suffix in ("", "_persona_turns")
        }

    def _tables(self, name: str) -> dict[str, _Table]:
        if name not in self._built:
            self._built[name] = self._build(name)
        return self._built[name]

    def _build(self, name: str) -> dict[str, _Table]:
        answers = [row.answers[name] for row in self._rows]
        tables: dict[str, _Table] = {}
        if self._some and self._labelled[0].answers[name].probabilities:
            tables["selection"] = self._selection([used(row, name) for row in self._labelled])
            if self._labelled[0].answers[name].pure_probabilities:
                tables["selection_pure_pal"] = self._selection([pure(row, name) for row in self._labelled])
        if any(row.likelihoods.get(name) for row in self._rows):
            tables["perplexity"] = self._perplexity(name)
        if all(answer.reply is not None for answer in answers):
            tables["replies"] = self._replies([answer.reply for answer in answers])
        if all(answer.oracle_reply is not None for answer in answers):
            tables["oracle_replies"] = self._replies([answer.oracle_reply for answer in answers])
        return tables

    def _baseline_tables(self) -> dict[str, _Table]:
        rows = self._labelled
        if not rows:
            return {}
        personas = {row.persona.sentences for row in self._rows}
        documents = [sentence for sentences in personas for sentence in sentences]
        idf = baselines.inverse_document_frequency([*documents, *self._users])
        outcomes = {
            "always_none": [baselines.always_none(row.gold.labels, len(row.persona)) for row in rows],
            "idf_overlap": [
                baselines.idf_overlap(
                    row.gold.labels, row.gold.exchange.user or "", row.persona.sentences, idf
                )
                for row in rows
            ],
        }
        if all(row.cosines for row in rows):
            outcomes["minilm_cosine"] = [
                baselines.cosine(row.gold.labels, row.cosines, self._threshold) for row in rows
            ]
        return {name: self._selection(found) for name, found in outcomes.items()}

    def _selection(self, outcomes: Sequence[SelectionOutcome]) -> _Table:
        return _Table(self._some, SelectionMetrics(outcomes).all())

    def _replies(self, replies: Sequence[str]) -> _Table:
        golds = [row.gold.gold for row in self._rows]
        counts = np.array(metrics.bleu_statistics(replies, golds), dtype=float)
        return _Table(
            self._all,
            {
                "f1": mean_of(
                    [metrics.unigram_f1(reply, gold) for reply, gold in zip(replies, golds, strict=True)]
                ),
                "bleu": lambda weights: metrics.bleu_from_statistics(weights @ counts),
                "rouge_l": mean_of(metrics.rouge_l(replies, golds)),
                "words": mean_of([len(metrics.words(reply)) for reply in replies]),
            },
        )

    def _perplexity(self, name: str) -> _Table:
        persona = np.array([bool(row.gold.labels) for row in self._rows], dtype=float)
        statistics: dict[str, Statistic] = {}
        sources = dict.fromkeys(source for row in self._rows for source in row.likelihoods.get(name, {}))
        for source in sources:
            found = [row.likelihoods.get(name, {}).get(source, Likelihood(0.0, 0)) for row in self._rows]
            total = np.array([likelihood.log_probability for likelihood in found])
            tokens = np.array([likelihood.tokens for likelihood in found], dtype=float)
            statistics[source] = _exp_minus(ratio_of(total, tokens))
            statistics[f"{source}_persona_turns"] = _exp_minus(ratio_of(total * persona, tokens * persona))
        return _Table(self._all, statistics)

    def _distinct(self, texts: Sequence[str]) -> dict[str, Any]:
        clusters = [row.dialogue for row in self._rows]
        return {
            f"distinct_{order}": jackknife(clusters, distinct_statistic(texts, order)).to_json()
            for order in (1, 2)
        }


def used(row: Row, variant: str) -> SelectionOutcome:
    """The outcome of the selection that the replies were made with."""
    answer = row.answers[variant]
    return outcome(row.gold.labels or (), answer.selected, answer.probabilities)


def pure(row: Row, variant: str) -> SelectionOutcome:
    """The outcome of the model's own selection, without the prior."""
    answer = row.answers[variant]
    return outcome(row.gold.labels or (), answer.pure_selected, answer.pure_probabilities)


def _exp_minus(mean: Statistic) -> Statistic:
    return lambda weights: math.exp(-mean(weights))


def distinct_statistic(texts: Sequence[str], order: int) -> Statistic:
    """Distinct-n of the texts whose weight is not zero."""
    owners = [metrics.ngrams(text, order) for text in texts]
    number: dict[tuple[str, ...], int] = {}
    pairs = Counter(
        (row, number.setdefault(ngram, len(number))) for row, found in enumerate(owners) for ngram in found
    )
    rows = np.array([row for row, _ in pairs], dtype=int)
    types = np.array([kind for _, kind in pairs], dtype=int)
    times = np.array(list(pairs.values()), dtype=float)

    def statistic(weights: np.ndarray) -> float:
        present = times * weights[rows]
        total = float(present.sum())
        return np.count_nonzero(np.bincount(types, present)) / total if total else math.nan

    return statistic
