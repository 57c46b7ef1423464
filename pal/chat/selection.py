"""The selection step: one distribution over "none" and every sentence, and its tuned settings as files.

``selection.json`` holds what the page uses: one object per selecting variant,
``{"stage1": {"prior_weight": …, "prior_threshold": …, "none_bias": …}, …}``.
Beside it ``selection.report.json`` tells how they were chosen, and holds the
settings of pure PAL and of the prior alone for reports.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pal.errors import DataError

DEFAULT_COSINE_THRESHOLD = 0.25  # until one is tuned; see pal.evaluation.tune
PURE = "pure"  # names the settings without prior and bias


@dataclass(frozen=True)
class SelectionSettings:
    """How the model's distribution becomes a choice. All tuned on dev.

    The combined log-score of sentence i is ``log p_i + prior_weight * cos_i``
    and that of none is ``log p_none + prior_weight * prior_threshold + none_bias``,
    where cos_i is the embedding cosine of the last user turn and sentence i.
    ``prior_weight=0`` is pure PAL.
    """

    prior_weight: float = 0.0
    prior_threshold: float = 0.0
    none_bias: float = 0.0

    @property
    def label(self) -> str:
        """Short name shown in the page and in reports."""
        return (
            "pure PAL" if self.prior_weight == 0 else f"PAL + embedding prior (weight {self.prior_weight:g})"
        )


@dataclass(frozen=True)
class Selection:
    """``probabilities``: none first, then each sentence; they sum to 1.
    ``selected``: 0-based sentence, or None for none."""

    probabilities: tuple[float, ...]
    selected: int | None

    @property
    def confidence(self) -> float:
        """Probability of what was selected."""
        return self.probabilities[0 if self.selected is None else self.selected + 1]


def softmax(scores: Sequence[float]) -> tuple[float, ...]:
    """Probabilities of log-scores; sums to 1."""
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def choose(probabilities: Sequence[float]) -> Selection:
    """The most probable option; the first one on a tie."""
    best = max(range(len(probabilities)), key=lambda option: probabilities[option])
    return Selection(tuple(probabilities), None if best == 0 else best - 1)


def combine(
    probabilities: Sequence[float], cosines: Sequence[float] | None, settings: SelectionSettings
) -> Selection:
    """The selection from the model's distribution and the embedding prior.

    Args:
        probabilities: the model's own, none first; length sentences + 1.
        cosines: one per sentence; may be None when ``prior_weight`` is 0.

    Raises:
        ValueError: a prior is asked for and the cosines do not fit.
    """
    scores = [math.log(max(p, 1e-12)) for p in probabilities]
    scores[0] += settings.none_bias
    if settings.prior_weight:
        if cosines is None or len(cosines) != len(scores) - 1:
            raise ValueError("the embedding prior needs one cosine per persona sentence")
        scores[0] += settings.prior_weight * settings.prior_threshold
        for index, cosine in enumerate(cosines):
            scores[index + 1] += settings.prior_weight * cosine
    return choose(softmax(scores))


@dataclass(frozen=True)
class TunedSelection:
    """``used`` and ``pure`` per variant; ``cosine_threshold`` of the prior alone."""

    used: Mapping[str, SelectionSettings] = field(default_factory=dict)
    pure: Mapping[str, SelectionSettings] = field(default_factory=dict)
    cosine_threshold: float = DEFAULT_COSINE_THRESHOLD


def report_path(path: Path) -> Path:
    """Where the report beside a selection file lies."""
    return path.with_suffix(".report.json")


def read_selection(name: str | Path, selecting: Collection[str]) -> TunedSelection:
    """The settings of a selection file and of the report beside it.

    ``"pure"`` is pure PAL without any tuning. ``selecting`` are the variants that may be in it.

    Raises:
        DataError: no such file, not JSON, or an unknown variant or setting.
    """
    if str(name) == PURE:
        return TunedSelection()
    path = Path(name)
    used = _settings(path, _read(path), selecting)
    if not report_path(path).is_file():
        return TunedSelection(used)
    report = _read(report_path(path))
    try:
        return TunedSelection(
            used, _settings(report_path(path), report["pure"], selecting), float(report["cosine_threshold"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{report_path(path)}: pure and cosine_threshold are expected ({error}).") from None


def write_selection(path: Path, tuned: TunedSelection, report: Mapping[str, Any]) -> None:
    """Both files; ``report`` is added to the second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    used = {variant: asdict(settings) for variant, settings in tuned.used.items()}
    pure = {variant: asdict(settings) for variant, settings in tuned.pure.items()}
    path.write_text(json.dumps(used, indent=2) + "\n", encoding="utf-8")
    content = {"pure": pure, "cosine_threshold": tuned.cosine_threshold, **report}
    report_path(path).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give “pure” or a file of “pal tune”."
        ) from None
    except ValueError:
        raise DataError(f"{path}: not JSON.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object with one entry per variant.")
    return content


def _settings(
    path: Path, content: Mapping[str, Any], selecting: Collection[str]
) -> dict[str, SelectionSettings]:
    known = {item.name for item in fields(SelectionSettings)}
    for variant, values in content.items():
        if variant not in selecting:
            raise DataError(f"{path}: “{variant}” is not one of {', '.join(selecting)}.")
        if not isinstance(values, dict) or not set(values) <= known:
            raise DataError(f"{path}: the settings of {variant} must be among {', '.join(sorted(known))}.")
        if not all(isinstance(value, int | float) for value in values.values()):
            raise DataError(f"{path}: the settings of {variant} must be numbers.")
    return {variant: SelectionSettings(**values) for variant, values in content.items()}
