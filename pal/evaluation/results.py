"""From measured turns to numbers with intervals, and to the files of an evaluation:
``results.json``, ``replies.jsonl``, and the table in the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pal.dialogue import text_metrics
from pal.evaluation import selection_metrics
from pal.evaluation.contenders import GOLD_REPLIES, Contender
from pal.evaluation.journal import Record
from pal.evaluation.measures import (
    Judged,
    Measured,
    Row,
    Table,
    distinct_statistics,
    perplexity_statistics,
    reply_statistics,
    selection_statistics,
    win_rates,
)
from pal.evaluation.relevance import MARGIN
from pal.evaluation.run import Run
from pal.evaluation.selection_metrics import SelectionOutcome, outcome
from pal.evaluation.turns import MeasuredDialogue
from pal.files import write_text
from pal.statistics import Bootstrap

SAMPLES = 1000  # of each bootstrap


class Numbers:
    """All numbers of one evaluation, every one on the same resamples.

    Args:
        cosine_threshold: of the MiniLM selector.
        users: user turns of the data; with the personas they give the idf.
        margin: of relevance, in win rates; see ``pal.evaluation.measures``.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        contenders: Sequence[Contender],
        *,
        cosine_threshold: float,
        users: Sequence[str],
        margin: float,
        seed: int = 0,
    ):
        self._rows = list(rows)
        self._labelled = [row for row in rows if row.gold.labels is not None]
        self._threshold, self._margin = cosine_threshold, margin
        self._clusters = [row.dialogue for row in self._rows]
        self._all = Bootstrap(self._clusters, SAMPLES, seed)
        self._some_clusters = [row.dialogue for row in self._labelled]
        self._some = Bootstrap(self._some_clusters, SAMPLES, seed) if self._labelled else None
        personas = {row.persona.sentences for row in self._rows}
        documents = [sentence for sentences in sorted(personas) for sentence in sentences]
        self._idf = selection_metrics.inverse_document_frequency([*documents, *users])
        self._tables = {contender.name: self._build(contender) for contender in contenders}
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
        if any(reply.gold_likelihood for reply in measured):
            tables["perplexity"] = Table(self._all, self._clusters, perplexity_statistics(self._rows, name))
        if all(reply.answer.reply is not None for reply in measured):
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
            "always_none": [selection_metrics.always_none(row.gold.labels, len(row.persona)) for row in rows],
            "idf_overlap": [
                selection_metrics.idf_overlap(row.gold.labels, row.user, row.persona.sentences, self._idf)
                for row in rows
            ],
            "minilm_cosine": [
                selection_metrics.cosine(row.gold.labels, row.cosines, self._threshold) for row in rows
            ],
        }
        return {name: self._selection(own) for name, own in outcomes.items()}

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


def rows(task: Run, records: Mapping[str, Record]) -> Iterator[Row]:
    """Every measured turn with all that the records know of it."""
    for dialogue in task.choice.dialogues:
        replies = {name: _measured(task, record, dialogue) for name, record in records.items()}
        cosines = [record.cosines(dialogue) for record in records.values() if record.contender is None][0]
        for number, place in enumerate(dialogue.measured):
            yield Row(
                dialogue.id,
                dialogue.persona,
                dialogue.turns[place],
                tuple(cosines[number]) if cosines else (),
                {name: measured[number] for name, measured in replies.items()},
            )


def _measured(task: Run, record: Record, dialogue: MeasuredDialogue) -> list[Measured]:
    """One contender's measured turns of a dialogue, with what this run asks for."""
    answers = record.answers(dialogue)
    likelihoods = record.likelihoods(dialogue) if record.contender and task.perplexity else None
    consistency = record.consistency(dialogue) if task.consistency else None
    relevance = record.relevance(dialogue) if task.relevance else None
    return [
        Measured(
            answers[place],
            likelihoods[place] if likelihoods and place < len(likelihoods) else None,
            tuple(map(tuple, consistency[number])) if consistency else None,
            relevance[number] if relevance else None,
        )
        for number, place in enumerate(dialogue.measured)
    ]


def write(task: Run, records: Mapping[str, Record], out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``results.json`` and ``replies.jsonl``; returns the results."""
    measured = list(rows(task, records))
    users = [
        turn.exchange.user
        for dialogue in task.choice.dialogues
        for turn in dialogue.turns
        if turn.exchange.user
    ]
    numbers = Numbers(
        measured,
        [record.contender for record in records.values() if record.contender],
        cosine_threshold=task.tuned.cosine_threshold,
        users=users,
        margin=MARGIN,
        seed=task.seed,
    )
    results = {
        "settings": {**settings, "bleu": text_metrics.bleu_signature(), "win_rate_margin": MARGIN},
        "counts": numbers.counts() | {"skipped_dialogues": task.choice.skipped},
        "contenders": numbers.contenders(),
        "selection_baselines": numbers.selection_baselines(),
        "differences": numbers.differences(),
        "win_rates": numbers.win_rates(),
    }
    write_text(out / "results.json", json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    lines = (json.dumps(reply_row(row, name), ensure_ascii=False) for row in measured for name in records)
    write_text(out / "replies.jsonl", "".join(f"{line}\n" for line in lines))
    return results


def reply_row(row: Row, name: str) -> dict[str, Any]:
    """One line of ``replies.jsonl``."""
    measured = row.replies[name]
    answer = measured.answer
    return {
        "dialogue": row.dialogue,
        "turn": row.gold.turn,
        "contender": name,
        "persona": list(row.persona.sentences),
        "user": row.gold.exchange.user,
        "gold": row.gold.gold,
        "labels": None if row.gold.labels is None else list(row.gold.labels),
        "selected": answer.selected,
        "probabilities": list(answer.probabilities),
        "model_probabilities": list(answer.model),
        "pure_selected": answer.pure_selected,
        "pure_probabilities": list(answer.pure_probabilities),
        "reply": answer.reply,
        "verdicts": None if measured.consistency is None else list(measured.verdicts),
        "consistency": measured.consistency,
        "relevance": measured.relevance,
    }


def summary(results: Mapping[str, Any]) -> str:
    """The main numbers as a plain table."""
    wanted = [
        ("selection", "accuracy"), ("selection", "f1"), ("selection", "hit_at_1"), ("selection", "auc"),
        ("perplexity", "all_turns"),
        ("replies", "c_score"), ("replies", "entails"), ("replies", "contradicts"),
        ("replies", "persona_coverage"), ("replies", "persona_f1"), ("replies", "relevance"),
        ("replies", "parrots_selected"), ("replies", "parrots_any"),
        ("replies", "f1"), ("replies", "bleu"), ("replies", "rouge_l"),
        ("replies", "distinct_1"), ("replies", "distinct_2"), ("replies", "words"),
    ]  # fmt: skip
    columns = dict(results["contenders"]) | {
        name: {"selection": numbers} for name, numbers in results["selection_baselines"].items()
    }
    lines = [" " * 26 + "".join(f"{name:>16}" for name in columns)]
    for group, name in wanted:
        cells = [column.get(group, {}).get(name, {}).get("value") for column in columns.values()]
        if any(cell is not None for cell in cells):
            shown = "".join(f"{'–' if cell is None else f'{cell:.4g}':>16}" for cell in cells)
            lines.append(f"{group + ' ' + name:<26}{shown}")
    counts = results["counts"]
    return "\n".join([f"{counts['turns']:,} turns of {counts['dialogues']:,} dialogues", *lines])
