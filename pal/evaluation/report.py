"""The report of the committed results: numbers from the files of the measuring commands,
laid out by the templates of ``assets/templates/report``.

Templates hold all wording. Text that comes from files (replies, names) is escaped as
Markdown on its way into a template; ``Markup`` stands for text that is Markdown already.
"""

from __future__ import annotations

import html
import json
import math
import random
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pal.chat.variants import shipped
from pal.dialogue.readers import read_jsonl
from pal.errors import DataError
from pal.evaluation.contenders import GOLD_REPLIES, UNTUNED, weights_hash
from pal.evaluation.walk import GOLD, NOTHING
from pal.files import sha256
from pal.models.consistency import LABELS
from pal.settings import REPOSITORY
from pal.statistics import Estimate

TEMPLATES = REPOSITORY / "assets" / "templates" / "report"
SAMPLES = REPOSITORY / "assets" / "sample_dialogues.jsonl"
SAMPLE_SEED = 0
UNTRAINED = ["minilm_cosine", "idf_overlap", "always_none"]  # selectors
TITLES = {variant.name: variant.title for variant in shipped()} | {
    UNTUNED: "untuned base",
    "dpo_baseline": "DPO from baseline",
    GOLD_REPLIES: "gold replies",
    "minilm_cosine": "MiniLM cosine (untrained)",
    "idf_overlap": "idf overlap",
    "always_none": "always none",
}
GREEDILY = "by greedy decoding"
ABLATIONS = {NOTHING: "no selection", GOLD: "gold sentence"}
_LINE = 108  # characters of a line of prose


@dataclass(frozen=True)
class Metric:
    """A column. ``group`` and ``name`` are those of results.json; ``scale`` 100 shows percent."""

    group: str
    name: str
    title: str
    digits: int = 3
    scale: int = 1

    def show(self, estimate: Estimate | None, *, signed: bool = False) -> str:
        """``value (low to high)``; a dash where it is not measured. Signed
        percent are differences, in percentage points."""
        if estimate is None:
            return "–"
        sign = "+" if signed else ""
        value, low, high = (
            f"{number * self.scale:{sign}.{self.digits}f}"
            for number in (estimate.value, estimate.low, estimate.high)
        )
        unit = "" if self.scale == 1 else " pp" if signed else " %"
        return f"{value}{unit}" if math.isnan(estimate.low) else f"{value}{unit} ({low} to {high})"


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
PURE = tuple(Metric("selection_pure_pal", metric.name, metric.title) for metric in SELECTION)
MAIN = (*PERSONA[:4], *PARROTING[:2], TEXT[2])

Grid = list[list[str]]  # cells, row by row; the first row is the header; [] where there is no number
Pair = tuple[str, str]


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
        results = read_json(path, f"run “python -m pal evaluate --out {folder}” first")
        parts = ("settings", "counts", "contenders", "differences", "win_rates")
        missing = [name for name in parts if name not in results]
        if missing:
            raise DataError(f"{path}: {', '.join(missing)} is missing; run “pal evaluate” again.")
        return cls(results)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What determines the numbers."""
        return self.results["settings"]

    @property
    def counts(self) -> Mapping[str, int]:
        """Dialogues and turns."""
        return self.results["counts"]

    @property
    def greedy(self) -> bool:
        """Replies are not sampled."""
        return self.settings["decoding"]["temperature"] == 0

    @property
    def decoding(self) -> str:
        """How the replies were written, in words."""
        used = self.settings["decoding"]
        if self.greedy:
            return GREEDILY
        return f"at temperature {used['temperature']:g} and top-p {used['top_p']:g}"

    @property
    def engines(self) -> list[str]:
        """Name and quantisation of every engine that replied."""
        used = [values["engine"] for values in self.settings["contenders"].values() if values.get("engine")]
        return sorted({f"{engine['name']} {engine['quantisation']}" for engine in used})

    def contenders(self, group: str) -> list[str]:
        """Those with this group of numbers, in the order of the run."""
        return [name for name, groups in self.results["contenders"].items() if group in groups]

    @property
    def everyone(self) -> list[str]:
        """Those with replies or a perplexity; last the gold replies."""
        names = self.contenders("replies")
        return list(dict.fromkeys([*names[:-1], *self.contenders("perplexity"), *names[-1:]]))

    def ablated(self, name: str) -> tuple[str, str] | None:
        """The contender that an ablation changes, and how; None of other contenders."""
        contenders = self.settings["contenders"]
        own = contenders.get(name, {})
        if own.get("choice") not in ABLATIONS:
            return None
        same = (
            other
            for other, values in contenders.items()
            if values.get("choice") not in ABLATIONS
            and all(values.get(key) == own.get(key) for key in ("variant", "adapter"))
        )
        return next(same, own["variant"]), ABLATIONS[own["choice"]]

    def title(self, name: str) -> str:
        """How a contender or selector is called."""
        if ablated := self.ablated(name):
            return f"{self.title(ablated[0])}, {ablated[1]}"
        return title(name)

    def estimate(self, contender: str, group: str, metric: str) -> Estimate | None:
        """A contender's number, or an untrained selector's in group "selection"."""
        numbers = self.results["contenders"].get(contender, {}).get(group)
        if numbers is None and group == "selection":
            numbers = self.results.get("selection_baselines", {}).get(contender)
        return as_estimate((numbers or {}).get(metric))

    def difference(self, later: str, earlier: str, group: str, metric: str) -> Estimate | None:
        """``later`` − ``earlier``, paired; it is stored one way round."""
        stored = self.results["differences"]
        if f"{later} - {earlier}" in stored:
            return as_estimate(stored[f"{later} - {earlier}"].get(group, {}).get(metric))
        number = as_estimate(stored.get(f"{earlier} - {later}", {}).get(group, {}).get(metric))
        return Estimate(-number.value, -number.high, -number.low) if number else None

    def win(self, first: str, second: str, share: str) -> Estimate | None:
        """Share of turns of ``first`` against ``second``: "win_rate", "win", "tie" or "loss"."""
        stored = self.results["win_rates"]
        if f"{first} - {second}" in stored:
            return as_estimate(stored[f"{first} - {second}"].get(share))
        other = {"win": "loss", "loss": "win"}.get(share, share)
        number = as_estimate(stored.get(f"{second} - {first}", {}).get(other))
        if number and share == "win_rate":
            return Estimate(1 - number.value, 1 - number.high, 1 - number.low)
        return number

    def table(self, names: Sequence[str], metrics: Sequence[Metric]) -> Grid:
        """A row per contender or selector; columns and rows without any number are left out."""
        rows = {
            self.title(name): [self.estimate(name, metric.group, metric.name) for metric in metrics]
            for name in names
        }
        return _grid(metrics, rows, Metric.show)

    def telling_pairs(self, names: Sequence[str], known: Sequence[str] = ()) -> list[Pair]:
        """The pairs that answer a question: each against the baseline, a trained
        step against the one before it, an ablation against what it ablates, the
        gold replies against the aligned model's; none within ``known``."""
        pairs = [("aligned", "stage1")]
        for name in names:
            ablated = self.ablated(name)
            against = ablated[0] if ablated else "aligned" if name == GOLD_REPLIES else "baseline"
            if name != against:
                pairs.append((name, against))
        return [pair for pair in pairs if set(pair) <= set(names) and not set(pair) <= set(known)]

    def differences(self, pairs: Sequence[Pair], metrics: Sequence[Metric]) -> Grid:
        """Paired differences of (later, earlier); bold where the interval leaves out 0."""

        def show(metric: Metric, number: Estimate | None) -> str:
            text = metric.show(number, signed=True)
            return Markup(f"**{text}**") if number and (number.low > 0 or number.high < 0) else text

        rows = {
            f"{self.title(first)} − {self.title(second)}": [
                self.difference(first, second, metric.group, metric.name) for metric in metrics
            ]
            for first, second in pairs
        }
        return _grid(metrics, rows, show, empty_rows=True)

    def wins(self, pairs: Sequence[Pair]) -> Grid:
        """Who wins how often."""
        shares = {"win_rate": "win rate", "win": "wins", "tie": "ties", "loss": "losses"}
        metrics = [Metric("", share, name, 1, 100) for share, name in shares.items()]
        rows = {
            f"{self.title(first)} against {self.title(second)}": [
                self.win(first, second, share) for share in shares
            ]
            for first, second in pairs
        }
        return _grid(metrics, rows, Metric.show)

    def command(self, out: str) -> str:
        """The command line that gives this evaluation, as far as its results tell."""
        data, contenders = self.settings["data"], self.settings["contenders"]
        choices = {values.get("choice") for values in contenders.values()}
        own = [name for name in contenders if not self.ablated(name) and name != UNTUNED]
        variants = [name for name in own if contenders[name]["variant"] == name]
        extra = {name: contenders[name]["variant"] for name in own if name not in variants}
        words = [
            f"python -m pal evaluate --data {data['file']} --part {data['part']}",
            f"--limit {data['limit']} --variants {','.join(variants)}",
            *(["--untuned"] if UNTUNED in contenders else []),
            *(f"--extra {name}=FOLDER:{variant}" for name, variant in extra.items()),
            *(["--without-selection"] if NOTHING in choices else []),
            *(["--oracle"] if GOLD in choices else []),
            *([] if self.greedy else ["--decoding page"]),
            *self.settings["left_out"],
            f"--out {out}",
        ]
        return " \\\n    ".join(words)


def _grid(metrics, rows: Mapping[str, list[Estimate | None]], show, *, empty_rows: bool = False) -> Grid:
    """The table of named rows, one number per metric; columns without any number are left out."""
    rows = {name: numbers for name, numbers in rows.items() if empty_rows or any(numbers)}
    columns = [place for place in range(len(metrics)) if any(numbers[place] for numbers in rows.values())]
    if not columns:
        return []
    body = [
        [name, *(show(metrics[place], numbers[place]) for place in columns)] for name, numbers in rows.items()
    ]
    return [["", *(metrics[place].title for place in columns)], *body]


def title(name: str) -> str:
    """How a contender or selector is called that is no ablation."""
    return TITLES.get(name, name.replace("_", " "))


def as_estimate(number: Mapping[str, float | None] | None) -> Estimate | None:
    """An estimate of its JSON form; None where it is missing or not defined."""
    if not number or number["value"] is None:
        return None
    ends = (number[name] for name in ("value", "low", "high"))
    return Estimate(*(math.nan if end is None else end for end in ends))


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        DataError: it cannot be read; ``advice`` says what to do.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {advice}.") from None
    except ValueError:
        raise DataError(f"{path}: not JSON; {advice}.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object; {advice}.")
    return content


@dataclass(frozen=True)
class SampleReply:
    """``selected``: 0-based sentence or None; ``verdicts``: per persona sentence, None unjudged."""

    selected: int | None
    text: str
    verdicts: Sequence[int] | None

    @property
    def marks(self) -> str:
        """“+1 −3”: the sentences, counted from 1, that the reply entails and contradicts."""
        if self.verdicts is None:
            return "?"
        numbered = enumerate(self.verdicts, 1)
        return " ".join(f"{'+' if value > 0 else '−'}{number}" for number, value in numbered if value)


@dataclass(frozen=True)
class Sample:
    """One of our own dialogues with every contender's reply to its last message.
    ``decoding``: how they were written, in words."""

    name: str
    persona: Sequence[str]
    user: str
    decoding: str
    replies: dict[str, SampleReply] = field(default_factory=dict)


def read_samples(folder: Path, source: Path) -> list[Sample]:
    """The replies of an evaluation of ``source``, our own dialogues, in its order.

    Raises:
        DataError: it is an evaluation of other data, whose text may not be published.
    """
    evaluation = Evaluation.read(folder)
    data = evaluation.settings["data"]
    if data["sha256"] != sha256(source):
        raise DataError(
            f"{folder}: the samples are of {data['file']}; only replies to "
            f"{source.name} as it stands may be published. Run “pal evaluate --data {source}”."
        )
    samples: dict[str, Sample] = {}
    for _, row in read_jsonl(folder / "replies.jsonl"):
        blank = Sample(row["dialogue"], row["persona"], row["user"], evaluation.decoding)
        sample = samples.setdefault(row["dialogue"], blank)
        sample.replies[row["contender"]] = SampleReply(row["selected"], row["reply"], row["verdicts"])
    return [samples[row["id"]] for _, row in read_jsonl(source) if row["id"] in samples]


@dataclass(frozen=True)
class Report:
    """What the templates lay out; what is None or empty is left out.

    ``ablations``: an evaluation with more contenders. ``measured``: what other
    commands wrote, by name. ``notes``: Markdown. ``plots``: names of those that exist.
    """

    replies: Evaluation
    ablations: Evaluation | None
    samples: Sequence[Sample]
    measured: Mapping[str, Any]
    notes: str
    plots: Sequence[str]

    def draw(self, count: int) -> list[Sample]:
        """``count`` samples drawn with ``SAMPLE_SEED``, in their order."""
        total = len(self.samples)
        drawn = random.Random(SAMPLE_SEED).sample(range(total), min(count, total))
        return [self.samples[place] for place in sorted(drawn)]

    @property
    def commands(self) -> list[str]:
        """The command lines that give these numbers, last the report's own."""
        lines, report = [self.replies.command("results/dev")], "python -m pal report --replies results/dev"
        if self.ablations:
            lines.append(self.ablations.command("results/dev-ablations"))
            report += " --ablations results/dev-ablations"
        if self.samples:
            drawn = "" if self.samples[0].decoding == GREEDILY else " --decoding page"
            own = "python -m pal evaluate --data assets/sample_dialogues.jsonl --untuned --no-perplexity"
            lines.append(f"{own}{drawn} --out results/samples")
            report += " --samples results/samples"
        if relevance := self.measured["relevance"]:
            data = relevance["data"]["file"]
            lines.append(f"python -m pal check-relevance --data {data} --out assets/results/relevance.json")
        if self.measured["questions"]:
            lines.append("python -m pal evaluate-questions --out assets/results/plain_questions.json")
        if answers := self.measured["answers"]:
            given = answers["settings"].get("replies")
            replies = f" --replies assets/labels/{given['file']}" if given else ""
            limit = f" --limit {answers['settings']['limit']}" if answers["settings"].get("limit") else ""
            lines.append(f"python -m pal evaluate-answers{replies}{limit} --out assets/results/answers.json")
        if self.measured["bench"]:
            lines.append("python -m pal bench --out assets/results/bench.json")
        return [*lines, report]

    def render(self, template: str, **names: Any) -> str:
        """The Markdown of a template of ``TEMPLATES``, ``names`` beside the report."""
        text = _environment().get_template(f"{template}.md.j2").render(report=self, **names)
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def of_earlier_adapters(settings: Mapping[str, Any]) -> bool:
    """True when what was measured with these settings is not what the repository holds now."""
    committed = {variant.name: weights_hash(variant) for variant in shipped()}
    measured = settings.get("adapters") or {
        name: contender.get("adapter") for name, contender in settings.get("contenders", {}).items()
    }
    return any(committed[name] != measured[name] for name in committed.keys() & measured.keys())


def _environment() -> Environment:
    """Templates that escape every string as Markdown, unless it is Markup."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=lambda value: Markup(escaped(value)) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "code": lambda text: Markup(f"`{text.replace('`', '')}`"),
        "fill": _fill,
        "number": lambda value, digits=3, scale=1: Metric("", "", "", digits, scale).show(as_estimate(value)),
        "percent": lambda value, digits=0: f"{value:.{digits}%}",
        "thousands": "{:,}".format,
        "title": title,
    }
    environment.globals |= {
        "labels": LABELS,
        "main_metrics": MAIN,
        "of_earlier_adapters": of_earlier_adapters,
        "parroting_metrics": PARROTING,
        "persona_metrics": PERSONA,
        "pure_metrics": PURE,
        "sample_seed": SAMPLE_SEED,
        "selection_metrics": SELECTION,
        "text_metrics": TEXT,
        "untrained": UNTRAINED,
    }
    return environment


def escaped(text: str) -> str:
    """Text that anybody wrote, as plain text in one Markdown line or cell."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", plain)


def _fill(text: str) -> Markup:
    """Paragraphs broken into lines of about equal length."""
    return Markup(
        "\n\n".join(
            textwrap.fill(part, _LINE, break_long_words=False, break_on_hyphens=False)
            for part in re.split(r"\n\s*\n", str(text).strip())
        )
        + "\n"
    )
