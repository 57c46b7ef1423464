"""The report and the README's results, as Markdown."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pal.evaluation import report_texts as texts
from pal.evaluation.contenders import UNTUNED, parent
from pal.evaluation.report_data import GREEDILY, Evaluation, Sample, estimate
from pal.evaluation.report_tables import (
    PARROTING,
    PERSONA,
    PURE,
    SELECTION,
    TEXT,
    Metric,
    difference_table,
    filled,
    metric_table,
    sample_table,
    table,
    telling_pairs,
    win_table,
)

SELECTORS = ("minilm_cosine", "idf_overlap", "always_none")
MAIN = (*PERSONA[:4], *PARROTING[:2], TEXT[2])
README_SAMPLES = 3
_SAMPLE_SEED = 0
_SHARE = Metric("", "", "")


@dataclass(frozen=True)
class Sources:
    """What the report tells; None and empty parts are left out.

    ``ablations``: an evaluation with more contenders. ``questions``,
    ``bench``, ``relevance``: what those commands wrote. ``included``: whole
    Markdown texts. ``plots``: names of the plots that exist.
    """

    replies: Evaluation
    ablations: Evaluation | None = None
    samples: Sequence[Sample] = ()
    questions: Mapping[str, Any] | None = None
    bench: Mapping[str, Any] | None = None
    relevance: Mapping[str, Any] | None = None
    included: Sequence[str] = ()
    plots: Sequence[str] = ()


def whole_report(sources: Sources) -> str:
    """``assets/results/README.md``: everything."""
    replies = sources.replies
    names = replies.contenders("replies")
    everyone = list(dict.fromkeys([*names[:-1], *replies.contenders("perplexity"), *names[-1:]]))
    margin = texts.WINS.format(margin=replies.settings["win_rate_margin"])
    parts = [
        "# Results\n\nWritten by `python -m pal report`; numbers with 95 % intervals.",
        _replies(sources, names),
        _section("Parroting", texts.PARROTING, metric_table(replies, names, PARROTING)),
        _section("Against the gold replies", texts.GOLD, metric_table(replies, everyone, TEXT)),
        _section(
            "Paired differences",
            texts.DIFFERENCES,
            difference_table(replies, telling_pairs(names), PERSONA),
            difference_table(replies, telling_pairs(names), (*PARROTING[:2], *TEXT[2:])),
        ),
        _section("Win rates", margin, win_table(replies, names), _plot(sources, "win_rates")),
        _ablations(sources, names),
        _selection(sources),
        _questions(sources.questions),
        _bench(sources.bench),
        _relevance(sources.relevance),
        _samples(sources.samples, len(sources.samples)),
        *sources.included,
        _commands(sources),
    ]
    return _joined(parts)


def readme_section(sources: Sources, folder: str) -> str:
    """The README's results: the main tables, and where the rest is.

    Args:
        folder: of the report and its plots, as the README links it.
    """
    names = sources.replies.contenders("replies")
    parts = [
        f"Written by `python -m pal report`; the whole report is in [{folder}]({folder}/README.md).",
        _replies(sources, names, MAIN, f"{folder}/"),
        _selection(sources, f"{folder}/"),
        _questions(sources.questions),
        _bench(sources.bench),
        _samples(sources.samples, README_SAMPLES),
        _commands(sources),
    ]
    return _joined(parts).replace("\n## ", "\n### ")


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _section(heading: str, introduction: str, *content: str) -> str:
    """Nothing where there is no content."""
    if not any(content):
        return ""
    return "\n\n".join(filter(None, [f"## {heading}", filled(introduction), *content]))


def _plot(sources: Sources, name: str, folder: str = "") -> str:
    return f"![{texts.PLOTS[name]}]({folder}{name}.svg)" if name in sources.plots else ""


def _replies(
    sources: Sources, names: Sequence[str], metrics: Sequence[Metric] = PERSONA, folder: str = ""
) -> str:
    overlap = f" {texts.OVERLAP}" if metrics is PERSONA else ""
    return _section(
        "Replies",
        f"{_measured(sources.replies)}\n\n{texts.REPLIES}{overlap}",
        metric_table(sources.replies, names, metrics),
        _plot(sources, "replies", folder),
    )


def _measured(evaluation: Evaluation) -> str:
    """What was measured, and how."""
    settings = evaluation.settings
    engines = {
        f", {one['engine']['name']} {one['engine']['quantisation']}"
        for one in settings["contenders"].values()
        if one.get("engine")
    }
    data = {"file": settings["data"]["file"], "part": settings["data"]["part"]}
    return texts.MEASURED.format(
        **evaluation.counts, **data, engines="".join(sorted(engines)), decoding=evaluation.decoding
    )


def _ablations(sources: Sources, told: Sequence[str]) -> str:
    """The further contenders; differences that ``told`` contenders have among themselves are not repeated."""
    found = sources.ablations
    if not found:
        return ""
    names = found.contenders("replies")
    pairs = [pair for pair in telling_pairs(names) if not set(pair) <= set(told)]
    return _section(
        "Ablations and further baselines",
        f"{_measured(found)}\n\n{texts.ABLATIONS}",
        metric_table(found, names, MAIN),
        difference_table(found, pairs, MAIN),
    )


def _selection(sources: Sources, folder: str = "") -> str:
    chosen = sources.replies
    names = chosen.contenders("selection")
    if not names:
        return ""
    pure = metric_table(chosen, chosen.contenders("selection_pure_pal"), PURE)
    return _section(
        "Selection in real chats",
        "The same turns.",
        metric_table(chosen, [*names, *SELECTORS], SELECTION),
        texts.SELECTION_TIES,
        f"{texts.PURE}\n\n{pure}" if pure else "",
        _plot(sources, "selection", folder),
    )


def _questions(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    rows = [
        [
            name,
            _SHARE.show(estimate(one["accuracy"])),
            _SHARE.show(estimate(one["hit_at_1"])),
            "–" if one["auc"] is None else f"{one['auc']:.3f}",
        ]
        for name, one in found["selectors"].items()
    ]
    questions, answerable = found["counts"]["questions"], found["counts"]["answerable"]
    introduction = texts.QUESTIONS.format(questions=questions, unanswerable=questions - answerable)
    return _section("Plain questions", introduction, table(["selector", "accuracy", "hit@1", "AUC"], rows))


def _bench(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    return _section("Time and memory", "", filled(texts.BENCH.format(**found["machine"], **found)))


def _relevance(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    rows = [
        [name, _SHARE.show(estimate(one["accuracy"])), _SHARE.show(estimate(one["auc"]))]
        for name, one in found["measures"].items()
    ]
    return _section(
        "Is the relevance measure any good?",
        texts.RELEVANCE.format(pairs=found["pairs"], file=found["data"]["file"], part=found["data"]["part"]),
        table(["measure", "accuracy", "AUC"], rows),
        texts.RELEVANCE_MARGIN.format(**found["margin"]) if found["margin"]["right"] is not None else "",
    )


def _samples(samples: Sequence[Sample], count: int) -> str:
    if not samples:
        return ""
    total = len(samples)
    drawn = sorted(random.Random(_SAMPLE_SEED).sample(range(total), min(count, total)))
    rule = texts.ALL_SAMPLES if count >= total else texts.SOME_SAMPLES
    rule = rule.format(count=count, total=total, seed=_SAMPLE_SEED)
    introduction = texts.SAMPLES.format(rule=rule, decoding=samples[0].decoding)
    return _section("Sample replies", introduction, *(sample_table(samples[place]) for place in drawn))


def _commands(sources: Sources) -> str:
    lines = [_command(sources.replies, "results/dev")]
    report = "python -m pal report --replies results/dev"
    if sources.ablations:
        lines.append(_command(sources.ablations, "results/dev-ablations"))
        report += " --ablations results/dev-ablations"
    if sources.samples:
        own = "python -m pal evaluate --data assets/sample_dialogues.jsonl --untuned --no-perplexity"
        drawn = "" if sources.samples[0].decoding == GREEDILY else " --decoding page"
        lines.append(f"{own}{drawn} --out results/samples")
        report += " --samples results/samples"
    if sources.relevance:
        data = sources.relevance["data"]["file"]
        lines.append(f"python -m pal check-relevance --data {data} --out assets/results/relevance.json")
    if sources.questions:
        lines.append("python -m pal evaluate-questions --out assets/results/plain_questions.json")
    if sources.bench:
        lines.append("python -m pal bench --out assets/results/bench.json")
    return _section("Commands", "", "```\n" + "\n".join([*lines, report]) + "\n```")


def _command(evaluation: Evaluation, out: str) -> str:
    """The command line that gives an evaluation, as far as its results tell."""
    settings = evaluation.settings
    names = list(settings["contenders"])
    told = {parent(name)[1] for name in names}
    plain = [name for name in names if not parent(name)[1] and name != UNTUNED]
    standard = [name for name in plain if settings["contenders"][name]["variant"] == name]
    words = [
        f"python -m pal evaluate --data {settings['data']['file']} --part {settings['data']['part']}",
        f"--limit {settings['data']['limit']} --variants {','.join(standard)}",
        *(["--untuned"] if UNTUNED in names else []),
        *(
            f"--extra {name}=FOLDER:{settings['contenders'][name]['variant']}"
            for name in plain
            if name not in standard
        ),
        *(["--without-selection"] if "no selection" in told else []),
        *(["--oracle"] if "gold sentence" in told else []),
        *([] if settings["decoding"]["temperature"] == 0 else ["--decoding page"]),
        *settings["left_out"],
        f"--out {out}",
    ]
    return " \\\n    ".join(words)
