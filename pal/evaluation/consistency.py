"""How well probabilities of contradiction, neutral and entailment agree with labels.

Rows of a file, scored by the consistency model; then pure functions of NumPy arrays.
Labels are indices into ``pal.models.consistency.LABELS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pal.dialogue.readers import read_jsonl
from pal.errors import DataError
from pal.models.consistency import LABELS, ConsistencyModel
from pal.models.encoder import MiniLMEncoder, fetch_encoder

_CHUNK = 256  # pairs between two steps of the progress bar
BINS = 15
CONTRADICTION, NEUTRAL, ENTAILMENT = range(len(LABELS))


@dataclass(frozen=True)
class PairRow:
    """One row of a file; ``label`` is an index into LABELS or None."""

    fields: dict[str, Any]
    label: int | None

    @property
    def pair(self) -> tuple[str, str]:
        """Premise and hypothesis."""
        return self.fields["premise"], self.fields["hypothesis"]


def read_rows(path: Path) -> list[PairRow]:
    """The rows of a JSONL file.

    Raises:
        DataError: names file and line of what is wrong.
    """
    rows = [PairRow(fields, _label(path, number, fields)) for number, fields in read_jsonl(path)]
    if not rows:
        raise DataError(f"{path}: the file has no rows.")
    return rows


def _label(path: Path, number: int, fields: dict[str, Any]) -> int | None:
    for name in ("premise", "hypothesis"):
        text = fields.get(name)
        if not isinstance(text, str):
            kind = "nothing" if text is None else type(text).__name__
            raise DataError(f"{path}, line {number}: “{name}” must be text, found {kind}.")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise DataError(f"{path}, line {number}: “{name}” holds half of a character (a lone surrogate).")
    label = fields.get("label")
    if label is None:
        return None
    if label not in LABELS:
        raise DataError(f"{path}, line {number}: label {label!r} is none of {', '.join(LABELS)}.")
    return LABELS.index(label)


def score(model: ConsistencyModel, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Probabilities of all pairs, [pairs, labels], with a progress bar."""
    chunks = []
    with tqdm(total=len(pairs), unit="pair", disable=None) as bar:
        for start in range(0, len(pairs), _CHUNK):
            chunks.append(model.probabilities(pairs[start : start + _CHUNK]))
            bar.update(len(chunks[-1]))
    return np.concatenate(chunks)


def measure(rows: Sequence[PairRow], probabilities: np.ndarray, with_mistakes: bool) -> dict[str, Any]:
    """``full_report`` of labelled rows, and their ten worst mistakes when asked for."""
    gold = np.array([row.label for row in rows])
    pairs = [row.pair for row in rows]
    encoder = MiniLMEncoder(fetch_encoder(), cached=2 * len(rows))
    sides = [encoder.embed([pair[side] for pair in pairs]) for side in (0, 1)]
    kinds = [str(row.fields["kind"]) if row.fields.get("kind") is not None else None for row in rows]
    report = full_report(probabilities, gold, (sides[0] * sides[1]).sum(axis=1), kinds)
    if with_mistakes:
        report["worst_mistakes"] = [asdict(mistake) for mistake in worst_mistakes(pairs, probabilities, gold)]
    return report


@dataclass(frozen=True)
class ClassFigures:
    """One label against the rest; 0 where nothing was to be divided."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Classification:
    """Verdicts against labels. ``macro_f1`` is the mean over the labels that
    occur in either; ``confusion[label][verdict]`` counts pairs."""

    pairs: int
    accuracy: float
    macro_f1: float
    classes: dict[str, ClassFigures]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CalibrationBin:
    """Pairs whose largest probability lies in (low, high]."""

    low: float
    high: float
    pairs: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Mistake:
    """A pair whose verdict is not its label."""

    premise: str
    hypothesis: str
    label: str
    verdict: str
    probabilities: tuple[float, ...]


def classification(gold: np.ndarray, verdicts: np.ndarray) -> Classification:
    """Figures of ``verdicts`` against ``gold``, both int [pairs], not empty."""
    count = len(LABELS)
    confusion = np.bincount(gold * count + verdicts, minlength=count * count).reshape(count, count)
    right = confusion.diagonal()
    support, said = confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _share(right, said), _share(right, support)
    f1 = _share(2 * right, support + said)
    return Classification(
        len(gold),
        float(right.sum() / len(gold)),
        float(f1[support + said > 0].mean()),
        {
            name: ClassFigures(
                float(precision[label]), float(recall[label]), float(f1[label]), int(support[label])
            )
            for label, name in enumerate(LABELS)
        },
        tuple(map(tuple, confusion.tolist())),
    )


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def calibration_bins(
    probabilities: np.ndarray, gold: np.ndarray, bins: int = BINS
) -> tuple[CalibrationBin, ...]:
    """Confidence and accuracy of the verdicts in ``bins`` equal intervals of
    (0, 1] of the largest probability; bins without pairs are left out."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == gold
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return tuple(
        CalibrationBin(
            at / bins,
            (at + 1) / bins,
            int(inside.sum()),
            float(confidence[inside].mean()),
            float(right[inside].mean()),
        )
        for at in range(bins)
        if (inside := place == at).any()
    )


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Expected calibration error of the top label: Σ share · |accuracy − confidence|.

    Source: Guo et al. 2017 (arXiv 1706.04599), equation 5.
    """
    pairs = sum(bin.pairs for bin in bins)
    return sum(bin.pairs / pairs * abs(bin.accuracy - bin.confidence) for bin in bins)


def cosine_threshold(cosines: np.ndarray, gold: np.ndarray) -> float:
    """The smallest cosine that counts as entailment, the rest being neutral, so
    that macro F1 is largest on these very pairs: an upper bound of what the
    cosine can do. Contradictions are never found."""
    order = np.argsort(-cosines, kind="stable")
    ordered = gold[order]
    total = np.bincount(gold, minlength=len(LABELS))
    said = np.arange(1, len(gold) + 1)
    entailed = np.cumsum(ordered == ENTAILMENT)
    f1 = {ENTAILMENT: _share(2 * entailed, total[ENTAILMENT] + said)}
    neutral = total[NEUTRAL] - np.cumsum(ordered == NEUTRAL)
    f1[NEUTRAL] = _share(2 * neutral, total[NEUTRAL] + len(gold) - said)
    last = np.append(cosines[order][1:] != cosines[order][:-1], True)  # ties stand or fall together
    scores = np.where(last, f1[ENTAILMENT] + f1[NEUTRAL], -1)
    return float(cosines[order][int(scores.argmax())])


def cosine_verdicts(cosines: np.ndarray, threshold: float) -> np.ndarray:
    """Entailment from ``threshold`` on, else neutral."""
    return np.where(cosines >= threshold, ENTAILMENT, NEUTRAL)


def worst_mistakes(
    pairs: Sequence[tuple[str, str]], probabilities: np.ndarray, gold: np.ndarray, count: int = 10
) -> tuple[Mistake, ...]:
    """The wrong verdicts that were surest: largest probability before the label's."""
    rows = np.arange(len(gold))
    lead = probabilities.max(axis=1) - probabilities[rows, gold]
    wrong = [row for row in np.argsort(-lead, kind="stable") if probabilities[row].argmax() != gold[row]]
    return tuple(
        Mistake(
            *pairs[row],
            LABELS[gold[row]],
            LABELS[probabilities[row].argmax()],
            tuple(round(float(value), 4) for value in probabilities[row]),
        )
        for row in wrong[:count]
    )


def full_report(
    probabilities: np.ndarray, gold: np.ndarray, cosines: np.ndarray, kinds: Sequence[str | None]
) -> dict[str, Any]:
    """The model's figures beside always-neutral and the fitted cosine.

    Args:
        probabilities: [pairs, labels].
        gold: int [pairs].
        cosines: of the untrained encoder, [pairs].
        kinds: a name for each pair, for accuracies apart; None for none.
    """
    verdicts = probabilities.argmax(axis=1)
    bins = calibration_bins(probabilities, gold)
    threshold = cosine_threshold(cosines, gold)
    names = np.array([kind or "" for kind in kinds])
    return {
        "model": asdict(classification(gold, verdicts)),
        "calibration_error": calibration_error(bins),
        "calibration_bins": [asdict(bin) for bin in bins],
        "always_neutral": asdict(classification(gold, np.full(len(gold), NEUTRAL))),
        "cosine": {
            "threshold": threshold,
            "fitted": "to the best macro F1 on these same rows",
            **asdict(classification(gold, cosine_verdicts(cosines, threshold))),
        },
        "accuracy_by_kind": {
            kind: {"pairs": int(of.sum()), "accuracy": float((verdicts == gold)[of].mean())}
            for kind in dict.fromkeys(names.tolist())
            if kind and (of := names == kind).any()
        },
    }


def as_text(report: dict[str, Any]) -> str:
    """``full_report`` as lines for a terminal."""
    lines = [f"{'':24}{'macro F1':>9}{'accuracy':>10}  " + "".join(f"{name + ' F1':>18}" for name in LABELS)]
    titles = {"model": "model", "cosine": "cosine, fitted here", "always_neutral": "always neutral"}
    for key, title in titles.items():
        figures = report[key]
        scores = "".join(f"{figures['classes'][name]['f1']:18.3f}" for name in LABELS)
        lines.append(f"{title:24}{figures['macro_f1']:9.3f}{figures['accuracy']:10.3f}  {scores}")
    lines += ["", f"{'':24}{'precision':>10}{'recall':>10}{'F1':>10}{'pairs':>10}"]
    for name, figures in report["model"]["classes"].items():
        values = "".join(f"{figures[key]:10.3f}" for key in ("precision", "recall", "f1"))
        lines.append(f"{name:24}{values}{figures['support']:10,}")
    lines += ["", f"{'label (down), verdict':24}" + "".join(f"{name:>15}" for name in LABELS)]
    for name, counts in zip(LABELS, report["model"]["confusion"], strict=True):
        lines.append(f"{name:24}" + "".join(f"{count:15,}" for count in counts))
    lines += ["", f"expected calibration error (top label, {BINS} bins): {report['calibration_error']:.4f}"]
    for kind, figures in report["accuracy_by_kind"].items():
        lines.append(f"  {kind:26}accuracy {figures['accuracy']:.3f} of {figures['pairs']:,}")
    return "\n".join(lines)
