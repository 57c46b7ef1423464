"""The report's plots, as small SVG files that are the same for the same numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pal.chat.variants import shipped
from pal.evaluation.report import PARROTING, PERSONA, SELECTION, UNTRAINED, Evaluation, Metric

_STYLE = {"svg.hashsalt": "pal", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
_TRAINED, _ABLATED, _REFERENCE = "#4338ca", "#a5a3d6", "#6b7280"


def draw(evaluation: Evaluation, out: Path) -> list[str]:
    """Writes the plots that there are numbers for; their names."""
    names = evaluation.contenders("replies")
    selectors = [*evaluation.contenders("selection"), *UNTRAINED]
    written = {
        "replies": panels(evaluation, names, (*PERSONA[:4], PARROTING[1]), out / "replies.svg"),
        "win_rates": win_matrix(evaluation, names, out / "win_rates.svg"),
        "selection": panels(evaluation, selectors, SELECTION, out / "selection.svg"),
    }
    return [name for name, done in written.items() if done]


def panels(evaluation: Evaluation, names: Sequence[str], metrics: Sequence[Metric], path: Path) -> bool:
    """One panel per metric, one line per contender: its value and 95 % interval.

    Returns:
        False, and writes nothing, where no metric is measured.
    """
    columns = [
        (metric, [evaluation.estimate(name, metric.group, metric.name) for name in names])
        for metric in metrics
    ]
    columns = [(metric, numbers) for metric, numbers in columns if any(numbers)]
    if not columns:
        return False
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(1.7 + 1.75 * len(columns), 0.7 + 0.27 * len(names)), layout="constrained")
        axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axis, (metric, numbers) in zip(axes, columns, strict=True):
            for place, (name, number) in enumerate(zip(names, numbers, strict=True)):
                if number:
                    value, low, high = (end * metric.scale for end in (number.value, number.low, number.high))
                    colour = _colour(evaluation, name)
                    if not math.isnan(low):
                        axis.plot([low, high], [place, place], color=colour, linewidth=2)
                    axis.plot(value, place, "o", color=colour, markersize=5)
            axis.set_title(metric.title + (" (%)" if metric.scale == 100 else ""), fontsize=9)
            axis.grid(axis="x", color="#e5e7eb", linewidth=0.8)
            axis.spines[["top", "right", "left"]].set_visible(False)
            axis.tick_params(left=False)
        axes[0].set_yticks(range(len(names)), [evaluation.title(name) for name in names])
        axes[0].invert_yaxis()
        _save(figure, path)
    return True


def win_matrix(evaluation: Evaluation, names: Sequence[str], path: Path) -> bool:
    """Win rate of each contender (row) against every one before it (column), as coloured cells.

    Returns:
        False, and writes nothing, where no win rate is known.
    """
    rates = {
        (row, column): rate.value
        for row, first in enumerate(names)
        for column, second in enumerate(names[:row])
        if (rate := evaluation.win(first, second, "win_rate"))
    }
    if not rates:
        return False
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    last, titles = len(names) - 1, [evaluation.title(name) for name in names]
    with rc_context(_STYLE):
        figure = Figure(figsize=(2.4 + 0.6 * last, 1.6 + 0.32 * last), layout="constrained")
        axis = figure.subplots()
        cells = [[rates.get((row, column), math.nan) for column in range(last)] for row in range(1, last + 1)]
        # A patch per cell, not an embedded bitmap: that keeps the SVG text.
        axis.pcolormesh(cells, cmap="RdBu", vmin=0, vmax=1, alpha=0.8, edgecolor="white")
        for (row, column), rate in rates.items():
            axis.text(column + 0.5, row - 0.5, f"{rate:.0%}", ha="center", va="center")
        places = [place + 0.5 for place in range(last)]
        axis.set_yticks(places, titles[1:])
        axis.set_xticks(places, titles[:-1], rotation=35, ha="right", rotation_mode="anchor")
        axis.invert_yaxis()
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title("win rate of the row against the column (wins + ties / 2)", fontsize=9)
        _save(figure, path)
    return True


def _colour(evaluation: Evaluation, name: str) -> str:
    if evaluation.ablated(name):
        return _ABLATED
    return _TRAINED if name in shipped() else _REFERENCE


def _save(figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None}, facecolor="white")
