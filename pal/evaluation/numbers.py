"""From measured turns to numbers with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pal.evaluation import baselines
from pal.evaluation.bootstrap import Bootstrap
from pal.evaluation.contenders import GOLD_REPLIES, Contender
from pal.evaluation.rows import Row
from pal.evaluation.selection_metrics import SelectionOutcome, outcome
from pal.evaluation.tables import (
    Table,
    distinct_statistics,
    perplexity_statistics,
    reply_statistics,
    selection_statistics,
)
from pal.evaluation.win_rate import Judged, win_rates


class Numbers:
    """All numbers of one evaluation, every one on the same resamples.

    Args:
        cosine_threshold: of the MiniLM selector.
        users: user turns of the data; with the personas they give the idf.
        margin: of relevance, in win rates; see ``pal.evaluation.win_rate``.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        contenders: Sequence[Contender],
        *,
        cosine_threshold: float,
        users: Sequence[str],
        margin: float,
        samples: int = 1000,
        seed: int = 0,
    ):
        self._rows = list(rows)
        self._labelled = [row for row in rows if row.gold.labels is not None]
        self._threshold, self._margin = cosine_threshold, margin
        self._clusters = [row.dialogue for row in self._rows]
        self._all = Bootstrap(self._clusters, samples, seed)
        self._some_clusters = [row.dialogue for row in self._labelled]
        self._some = Bootstrap(self._some_clusters, samples, seed) if self._labelled else None
        personas = {row.persona.sentences for row in self._rows}
        documents = [sentence for sentences in sorted(personas) for sentence in sentences]
        self._idf = baselines.inverse_document_frequency([*documents, *users])
        self._tables = {one.name: self._build(one) for one in contenders}
        if any("replies" in tables for tables in self._tables.values()):
            self._tables[GOLD_REPLIES] = {"replies": self._reply_table(GOLD_REPLIES)}
        self._untrained = self._baseline_tables()

    def counts(self) -> dict[str, int]:
        """Number of dialogues and of turns of each kind."""
        return {
            "dialogues": len(set(self._clusters)),
            "turns": len(self._rows),
            "labelled_turns": len(self._labelled),
            "persona_turns": sum(bool(row.gold.labels) for row in self._labelled),
            "none_turns": sum(not row.gold.labels for row in self._labelled),
        }

    def contenders(self) -> dict[str, Any]:
        """Selection, perplexity and replies of each contender, as far as measured; last the gold replies."""
        return {
            name: {title: table.to_json() for title, table in tables.items()}
            for name, tables in self._tables.items()
        }

    def selection_baselines(self) -> dict[str, Any]:
        """The untrained selectors; ``minilm_cosine`` is the prior alone."""
        return {name: table.to_json() for name, table in self._untrained.items()}

    def differences(self) -> dict[str, Any]:
        """Paired differences, by "later - earlier": each contender − every one
        before it, and the selections of each − every untrained selector's."""
        names = list(self._tables)
        result: dict[str, Any] = {}
        for place, later in enumerate(names):
            for earlier in names[:place]:
                mine, theirs = self._tables[later], self._tables[earlier]
                shared = {title: mine[title].minus(theirs[title]) for title in mine if title in theirs}
                if shared:
                    result[f"{later} - {earlier}"] = shared
            if "selection" in self._tables[later]:
                for name, table in self._untrained.items():
                    gains = self._tables[later]["selection"].minus(table)
                    result[f"{later} - {name}"] = {"selection": gains}
        return result

    def win_rates(self) -> dict[str, Any]:
        """Win rate of each contender against every one before it, by "later - earlier"; empty without
        the consistency model."""
        names = [
            name
            for name in self._tables
            if all(row.replies[name].consistency is not None for row in self._rows)
        ]
        judged = {
            name: [Judged(sum(row.replies[name].verdicts), row.replies[name].relevance) for row in self._rows]
            for name in names
        }
        return {
            f"{later} - {earlier}": win_rates(judged[later], judged[earlier], self._margin, self._all)
            for place, later in enumerate(names)
            for earlier in names[:place]
        }

    def _build(self, contender: Contender) -> dict[str, Table]:
        name = contender.name
        measured = [row.replies[name] for row in self._rows]
        tables: dict[str, Table] = {}
        if contender.predicts and self._some:
            tables["selection"] = self._selection([used(row, name) for row in self._labelled])
            if self._labelled[0].replies[name].answer.pure_probabilities:
                tables["selection_pure_pal"] = self._selection([pure(row, name) for row in self._labelled])
        if any(one.gold_likelihood for one in measured):
            tables["perplexity"] = Table(self._all, self._clusters, perplexity_statistics(self._rows, name))
        if all(one.answer.reply is not None for one in measured):
            tables["replies"] = self._reply_table(name)
        return tables

    def _reply_table(self, name: str) -> Table:
        replies = [row.replies[name].answer.reply or "" for row in self._rows]
        statistics = reply_statistics(self._rows, name, self._idf, against_gold=name != GOLD_REPLIES)
        return Table(self._all, self._clusters, statistics, distinct_statistics(replies))

    def _baseline_tables(self) -> dict[str, Table]:
        rows = self._labelled
        if not rows:
            return {}
        outcomes = {
            "always_none": [baselines.always_none(row.gold.labels, len(row.persona)) for row in rows],
            "idf_overlap": [
                baselines.idf_overlap(row.gold.labels, row.user, row.persona.sentences, self._idf)
                for row in rows
            ],
            "minilm_cosine": [
                baselines.cosine(row.gold.labels, row.cosines, self._threshold) for row in rows
            ],
        }
        return {name: self._selection(found) for name, found in outcomes.items()}

    def _selection(self, outcomes: Sequence[SelectionOutcome]) -> Table:
        return Table(self._some, self._some_clusters, selection_statistics(outcomes))


def used(row: Row, name: str) -> SelectionOutcome:
    """The outcome of the selection that the replies were made with."""
    answer = row.replies[name].answer
    return outcome(row.gold.labels or (), answer.selected, answer.probabilities)


def pure(row: Row, name: str) -> SelectionOutcome:
    """The outcome of the model's own selection, without the prior."""
    answer = row.replies[name].answer
    return outcome(row.gold.labels or (), answer.pure_selected, answer.pure_probabilities)
