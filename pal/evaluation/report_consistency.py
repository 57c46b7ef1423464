"""The report's part on the consistency model and the labels it gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pal.evaluation.report_tables import filled, prose, table
from pal.respond import CONSISTENCY_LABELS

ROWS = {
    "model": "consistency model",
    "cosine": "MiniLM cosine (untrained), best threshold here",
    "always_neutral": "always neutral",
}
INTRODUCTION = """\
A cross-encoder on MiniLM that tells whether a reply contradicts a persona sentence, leaves it alone or
entails it; `python -m pal consistency --data FILE --out FILE --report FILE`. F1 for each label."""
MISTAKES = "The ten worst mistakes on `{data}`, those the model was surest of:"
LABELS = """\
**Labels for unlabelled turns** (`python -m pal train label`): on the {turns:,} labelled turns of `{file}`
the model agrees with the given labels on persona or none in {persona_or_none:.1%} (kappa {kappa:.2f}) and on
the exact set in {same_set:.1%}; where both name a sentence, its strongest is a given one in
{strongest_in_given:.1%}. Of both speakers in {files} files {new_persona:,} turns got a sentence and
{new_none:,} none."""


def consistency_section(measured: Sequence[Mapping[str, Any]], labels: Mapping[str, Any] | None) -> str:
    """Markdown; "" without measurements.

    Args:
        measured: what ``pal consistency --report`` wrote, one for each file.
        labels: what ``pal train label`` wrote.
    """
    if not measured:
        return ""
    parts = ["## The consistency model", filled(INTRODUCTION)]
    for one in measured:
        parts += _measured(one)
    if labels and "agreement" in labels:
        parts.append(filled(_labels(labels)))
    return "\n\n".join(parts)


def _measured(one: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            title,
            *(f"{one[name]['classes'][label]['f1']:.3f}" for label in CONSISTENCY_LABELS),
            f"{one[name]['macro_f1']:.3f}",
            f"{one[name]['accuracy']:.3f}",
        ]
        for name, title in ROWS.items()
    ]
    confusion = [
        [f"**{label}**", *(f"{count:,}" for count in counts)]
        for label, counts in zip(CONSISTENCY_LABELS, one["model"]["confusion"], strict=True)
    ]
    error = f"expected calibration error {one['calibration_error']:.3f} (top label, equal bins)"
    parts = [
        f"### `{one['data']}`\n\n{one['model']['pairs']:,} pairs, {one['weights']}; {error}.",
        table(["", *CONSISTENCY_LABELS, "macro F1", "accuracy"], rows),
        "How often each label (down) got each verdict:",
        table(["", *CONSISTENCY_LABELS], confusion),
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
    return LABELS.format(**labels["agreement"], **totals, files=len(labels["files"]))
