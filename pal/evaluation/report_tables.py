"""The report's tables, as Markdown."""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from pal.evaluation.contenders import GOLD_REPLIES, UNTUNED, parent
from pal.evaluation.report_data import Evaluation, Sample
from pal.statistics import Estimate

TITLES = {
    "baseline": "Baseline",
    "stage1": "Stage 1",
    "aligned": "Aligned",
    UNTUNED: "untuned base",
    "dpo_baseline": "DPO from baseline",
    GOLD_REPLIES: "gold replies",
    "minilm_cosine": "MiniLM cosine (untrained)",
    "idf_overlap": "idf overlap",
    "always_none": "always none",
}


@dataclass(frozen=True)
class Metric:
    """A column. ``group`` and ``name`` are those of results.json; ``scale`` 100 shows percent."""

    group: str
    name: str
    title: str
    digits: int = 3
    scale: int = 1

    def show(self, one: Estimate | None, *, signed: bool = False) -> str:
        """``value (low to high)``; a dash where it is not measured. Signed
        percent are differences, in percentage points."""
        if one is None:
            return "–"
        sign = "+" if signed else ""
        value, low, high = (
            f"{number * self.scale:{sign}.{self.digits}f}" for number in (one.value, one.low, one.high)
        )
        unit = "" if self.scale == 1 else " pp" if signed else " %"
        return f"{value}{unit}" if math.isnan(one.low) else f"{value}{unit} ({low} to {high})"


PERSONA = (
    Metric("replies", "c_score", "C.score"),
    Metric("replies", "entails", "entails", 1, 100),
    Metric("replies", "contradicts", "contradicts", 1, 100),
    Metric("replies", "relevance", "relevance"),
    Metric("replies", "persona_coverage", "P.Cover", 2),
    Metric("replies", "persona_f1", "persona F1"),
)
PARROTING = (
    Metric("replies", "parrots_selected", "parrots its sentence", 1, 100),
    Metric("replies", "parrots_any", "parrots any sentence", 1, 100),
    Metric("replies", "copied_run_selected", "words copied in a row, its sentence", 2),
    Metric("replies", "copied_run_any", "the same, any sentence", 2),
)
TEXT = (
    Metric("perplexity", "all_turns", "perplexity", 1),
    Metric("perplexity", "persona_turns", "perplexity, persona turns", 1),
    Metric("replies", "f1", "F1"),
    Metric("replies", "bleu", "BLEU", 2),
    Metric("replies", "rouge_l", "ROUGE-L"),
    Metric("replies", "distinct_1", "distinct-1"),
    Metric("replies", "distinct_2", "distinct-2"),
    Metric("replies", "words", "words", 1),
)
SELECTION = (
    Metric("selection", "hit_at_1", "hit@1 on persona turns"),
    Metric("selection", "auc", "AUC persona/none"),
    Metric("selection", "accuracy", "accuracy"),
    Metric("selection", "f1", "F1"),
)
PURE = tuple(Metric("selection_pure_pal", one.name, one.title) for one in SELECTION)


def title(name: str) -> str:
    """How a contender or selector is called."""
    stem, told = parent(name)
    if told:
        return f"{title(stem)}, {told}"
    return TITLES.get(name, name.replace("_", " "))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *rows])


def filled(text: str) -> str:
    """Paragraphs broken into lines of about equal length."""
    return "\n\n".join(
        textwrap.fill(part, 108, break_long_words=False, break_on_hyphens=False)
        for part in text.split("\n\n")
    )


def prose(text: str) -> str:
    """Text that a model wrote, as plain text in one Markdown line or cell."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def metric_table(evaluation: Evaluation, names: Sequence[str], metrics: Sequence[Metric]) -> str:
    """A row per contender; columns and rows without any number are left out."""
    found = {
        name: [evaluation.estimate(name, metric.group, metric.name) for metric in metrics] for name in names
    }
    rows = [name for name in names if any(found[name])]
    columns = [place for place in range(len(metrics)) if any(found[name][place] for name in rows)]
    if not rows:
        return ""
    return table(
        ["", *(metrics[place].title for place in columns)],
        [[title(name), *(metrics[place].show(found[name][place]) for place in columns)] for name in rows],
    )


def telling_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs that answer a question: each against the baseline, a trained
    step against the one before it, an ablation against what it ablates, the
    gold replies against the aligned model's."""
    pairs = [("aligned", "stage1")]
    for name in names:
        stem, told = parent(name)
        against = stem if told else "aligned" if name == GOLD_REPLIES else "baseline"
        if name != against:
            pairs.append((name, against))
    return [(first, second) for first, second in pairs if first in names and second in names]


def difference_table(
    evaluation: Evaluation, pairs: Sequence[tuple[str, str]], metrics: Sequence[Metric]
) -> str:
    """Paired differences of (later, earlier); bold where the interval leaves out 0."""

    def cell(first: str, second: str, metric: Metric) -> str:
        found = evaluation.difference(first, second, metric.group, metric.name)
        text = metric.show(found, signed=True)
        return f"**{text}**" if found and (found.low > 0 or found.high < 0) else text

    columns = [
        metric
        for metric in metrics
        if any(evaluation.difference(*pair, metric.group, metric.name) for pair in pairs)
    ]
    if not pairs or not columns:
        return ""
    return table(
        ["", *(metric.title for metric in columns)],
        [
            [f"{title(first)} − {title(second)}", *(cell(first, second, metric) for metric in columns)]
            for first, second in pairs
        ],
    )


def win_table(evaluation: Evaluation, names: Sequence[str]) -> str:
    """Who wins how often, over the telling pairs."""
    percent = Metric("", "", "", 1, 100)
    shares = {"win_rate": "win rate", "win": "wins", "tie": "ties", "loss": "losses"}
    rows = [
        [
            f"{title(first)} against {title(second)}",
            *(percent.show(evaluation.win(first, second, share)) for share in shares),
        ]
        for first, second in telling_pairs(names)
        if evaluation.win(first, second, "win_rate")
    ]
    return table(["", *shares.values()], rows) if rows else ""


def sample_table(sample: Sample) -> str:
    """One of our own dialogues: who selected and said what, and what the reply entails or contradicts."""

    def verdicts(values: Sequence[int] | None) -> str:
        if values is None:
            return "?"
        return " ".join(
            f"{'+' if value > 0 else '−'}{number}" for number, value in enumerate(values, 1) if value
        )

    rows = [
        [title(name), "" if selected is None else f"[{selected + 1}]", prose(reply), verdicts(found)]
        for name, (selected, reply, found) in sample.replies.items()
    ]
    persona = " ".join(f"[{number}] {sentence}" for number, sentence in enumerate(sample.persona, 1))
    head = f"**{sample.name}** · {persona}\n\n> {prose(sample.user)}\n\n"
    return head + table(["", "selected", "reply", "entails +, contradicts −"], rows)
