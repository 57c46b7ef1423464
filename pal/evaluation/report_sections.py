"""The report's parts on whole conversations, on the consistency model and on the labels it gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pal.evaluation.report_data import estimate
from pal.evaluation.report_tables import Metric, filled, prose, table, title
from pal.models.consistency import LABELS

CONVERSATIONS = """\
{conversations} conversations of six messages each, our own (`assets/conversations.jsonl`), every model with
its own replies as history, sampled as on the page (`python -m pal evaluate-conversations
--limit {conversations}`); all replies are
in `conversations.json`. **repeats itself**: a sentence of three words or more comes again in the chat;
**evades**: “not sure”, “don't know”, “no idea”; **echoes**: five words in a row are the user's. Intervals
by bootstrap over conversations."""
COLUMNS = (
    Metric("", "entails", "entails", 1, 100),
    Metric("", "contradicts", "contradicts", 1, 100),
    Metric("", "parrots", "parrots", 1, 100),
    Metric("", "evades", "evades", 1, 100),
    Metric("", "repeats_itself", "repeats itself", 1, 100),
    Metric("", "echoes", "echoes", 1, 100),
    Metric("", "asks", "asks back", 1, 100),
    Metric("", "words", "words", 1),
)
ROWS = {
    "model": "consistency model",
    "cosine": "MiniLM cosine (untrained), best threshold here",
    "always_neutral": "always neutral",
}
CONSISTENCY = """\
A cross-encoder on MiniLM that tells whether a reply contradicts a persona sentence, leaves it alone or
entails it; `python -m pal consistency --data FILE --out FILE --report FILE`. F1 for each label."""
MISTAKES = "The ten worst mistakes on `{data}`, those the model was surest of:"
LABELLED = """\
**Labels for unlabelled turns** (`python -m pal train label`): on the {turns:,} labelled turns of `{file}`
the model agrees with the given labels on persona or none in {persona_or_none:.1%} (kappa {kappa:.2f}) and on
the exact set in {same_set:.1%}; where both name a sentence, its strongest is a given one in
{strongest_in_given:.1%}. Of both speakers in {files} files {new_persona:,} turns got a sentence and
{new_none:,} none."""


def conversations_section(found: Mapping[str, Any] | None) -> str:
    """Markdown; "" without ``conversations.json``."""
    if not found:
        return ""
    rows = [
        [title(name), *(column.show(estimate(signs[column.name])) for column in COLUMNS)]
        for name, signs in found["signs"].items()
    ]
    return "\n\n".join(
        [
            "## Whole conversations",
            filled(CONVERSATIONS.format(**found["counts"])),
            table(["", *(column.title for column in COLUMNS)], rows),
        ]
    )


def consistency_section(measured: Sequence[Mapping[str, Any]], labels: Mapping[str, Any] | None) -> str:
    """Markdown; "" without measurements.

    Args:
        measured: what ``pal consistency --report`` wrote, one for each file.
        labels: what ``pal train label`` wrote.
    """
    if not measured:
        return ""
    parts = ["## The consistency model", filled(CONSISTENCY)]
    for one in measured:
        parts += _measured(one)
    if labels and "agreement" in labels:
        parts.append(filled(_labels(labels)))
    return "\n\n".join(parts)


def _measured(one: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            title,
            *(f"{one[name]['classes'][label]['f1']:.3f}" for label in LABELS),
            f"{one[name]['macro_f1']:.3f}",
            f"{one[name]['accuracy']:.3f}",
        ]
        for name, title in ROWS.items()
    ]
    confusion = [
        [f"**{label}**", *(f"{count:,}" for count in counts)]
        for label, counts in zip(LABELS, one["model"]["confusion"], strict=True)
    ]
    error = f"expected calibration error {one['calibration_error']:.3f} (top label, equal bins)"
    parts = [
        f"### `{one['data']}`\n\n{one['model']['pairs']:,} pairs, {one['weights']}; {error}.",
        table(["", *LABELS, "macro F1", "accuracy"], rows),
        "How often each label (down) got each verdict:",
        table(["", *LABELS], confusion),
        "How sure it is, and how often it is right:",
        table(
            ["confidence", "pairs", "mean confidence", "accuracy"],
            [
                [
                    f"{bin['low']:.2f} to {bin['high']:.2f}",
                    f"{bin['pairs']:,}",
                    f"{bin['confidence']:.3f}",
                    f"{bin['accuracy']:.3f}",
                ]
                for bin in one["calibration_bins"]
                if bin["pairs"]
            ],
        ),
    ]
    if one.get("accuracy_by_kind"):
        kinds = [
            [prose(name.replace("_", " ")), str(kind["pairs"]), f"{kind['accuracy']:.3f}"]
            for name, kind in one["accuracy_by_kind"].items()
        ]
        parts.append(table(["kind of pair", "pairs", "accuracy"], kinds))
    if one.get("worst_mistakes"):
        mistakes = [
            [
                prose(row["premise"]),
                prose(row["hypothesis"]),
                row["label"],
                f"{row['verdict']}, {max(row['probabilities']):.0%}",
            ]
            for row in one["worst_mistakes"]
        ]
        parts.append(MISTAKES.format(data=one["data"]))
        parts.append(table(["persona sentence", "reply", "label", "verdict"], mistakes))
    return parts


def _labels(labels: Mapping[str, Any]) -> str:
    totals = {
        name: sum(counts[name] for counts in labels["files"].values()) for name in ("new_persona", "new_none")
    }
    return LABELLED.format(**labels["agreement"], **totals, files=len(labels["files"]))
