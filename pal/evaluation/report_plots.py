"""The report's plots, as small SVG files that are the same for the same numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pal.evaluation.contenders import parent
from pal.evaluation.report_data import Evaluation
from pal.evaluation.report_tables import Metric, title

_STYLE = {"svg.hashsalt": "pal", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
_TRAINED, _ABLATED, _REFERENCE = "#4338ca", "#a5a3d6", "#6b7280"


def panels(evaluation: Evaluation, names: Sequence[str], metrics: Sequence[Metric], path: Path) -> bool:
    """One panel per metric, one line per contender: its value and 95 % interval.

    Returns:
        False, and writes nothing, where no metric is measured.
    """
    found = [
        (metric, [evaluation.estimate(name, metric.group, metric.name) for name in names])
        for metric in metrics
    ]
    found = [(metric, values) for metric, values in found if any(values)]
    if not found:
        return False
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(1.7 + 1.75 * len(found), 0.7 + 0.27 * len(names)), layout="constrained")
        axes = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
        for axis, (metric, values) in zip(axes, found, strict=True):
            for place, (name, one) in enumerate(zip(names, values, strict=True)):
                if one:
                    middle, low, high = (number * metric.scale for number in (one.value, one.low, one.high))
                    if not math.isnan(low):
                        axis.plot([low, high], [place, place], color=_colour(name), linewidth=2)
                    axis.plot(middle, place, "o", color=_colour(name), markersize=5)
            axis.set_title(metric.title + (" (%)" if metric.scale == 100 else ""), fontsize=9)
            axis.grid(axis="x", color="#e5e7eb", linewidth=0.8)
            axis.spines[["top", "right", "left"]].set_visible(False)
            axis.tick_params(left=False)
        axes[0].set_yticks(range(len(names)), [title(name) for name in names])
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

    last = len(names) - 1
    with rc_context(_STYLE):
        figure = Figure(figsize=(2.4 + 0.6 * last, 1.6 + 0.32 * last), layout="constrained")
        axis = figure.subplots()
        cells = [[rates.get((row, column), math.nan) for column in range(last)] for row in range(1, last + 1)]
        # A patch per cell, not an embedded bitmap: that keeps the SVG text.
        axis.pcolormesh(cells, cmap="RdBu", vmin=0, vmax=1, alpha=0.8, edgecolor="white")
        for (row, column), rate in rates.items():
            axis.text(column + 0.5, row - 0.5, f"{rate:.0%}", ha="center", va="center")
        places = [place + 0.5 for place in range(last)]
        axis.set_yticks(places, [title(name) for name in names[1:]])
        axis.set_xticks(
            places, [title(name) for name in names[:-1]], rotation=35, ha="right", rotation_mode="anchor"
        )
        axis.invert_yaxis()
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title("win rate of the row against the column (wins + ties / 2)", fontsize=9)
        _save(figure, path)
    return True


def _colour(name: str) -> str:
    if parent(name)[1]:
        return _ABLATED
    return _TRAINED if name in ("baseline", "stage1", "aligned") else _REFERENCE


def _save(figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None}, facecolor="white")
