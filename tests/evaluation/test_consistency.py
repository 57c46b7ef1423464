"""Figures of the consistency model, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from pal.evaluation.consistency import (
    as_text,
    calibration_bins,
    calibration_error,
    classification,
    cosine_threshold,
    cosine_verdicts,
    full_report,
    worst_mistakes,
)
from pal.models.consistency import LABELS


def random_case(seed: int, pairs: int = 400, labels=(0.1, 0.7, 0.2)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, pairs, p=labels)
    logits = rng.normal(size=(pairs, 3)) + 1.5 * np.eye(3)[gold]
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True), gold


@pytest.mark.parametrize("seed", range(5))
def test_classification_equals_scikit_learns(seed):
    probabilities, gold = random_case(seed)
    verdicts = probabilities.argmax(axis=1)
    got = classification(gold, verdicts)
    assert got.macro_f1 == pytest.approx(metrics.f1_score(gold, verdicts, average="macro"))
    assert got.accuracy == pytest.approx(metrics.accuracy_score(gold, verdicts))
    assert np.array_equal(got.confusion, metrics.confusion_matrix(gold, verdicts, labels=[0, 1, 2]))
    wanted = metrics.precision_recall_fscore_support(gold, verdicts, labels=[0, 1, 2])
    for label, name in enumerate(LABELS):
        one = got.classes[name]
        assert (one.precision, one.recall, one.f1, one.support) == pytest.approx(
            tuple(value[label] for value in wanted)
        )


@pytest.mark.parametrize(
    ("gold", "verdicts"),
    [([1, 1, 1], [1, 1, 1]), ([1, 1, 2], [1, 1, 1]), ([0, 0], [2, 2]), ([1, 2, 2], [1, 2, 0])],
)
def test_labels_that_do_not_occur_count_as_in_scikit_learn(gold, verdicts):
    got = classification(np.array(gold), np.array(verdicts))
    assert got.macro_f1 == pytest.approx(metrics.f1_score(gold, verdicts, average="macro", zero_division=0))


@pytest.mark.parametrize("seed", range(5))
def test_calibration_equals_scikit_learns_curve(seed):
    probabilities, gold = random_case(seed)
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == gold).astype(int)
    accuracy, mean = calibration_curve(right, confidence, n_bins=15, strategy="uniform")
    bins = calibration_bins(probabilities, gold)
    assert [one.accuracy for one in bins] == pytest.approx(accuracy.tolist())
    assert [one.confidence for one in bins] == pytest.approx(mean.tolist())
    assert sum(one.pairs for one in bins) == len(gold)
    shares = np.array([one.pairs for one in bins]) / len(gold)
    assert calibration_error(bins) == pytest.approx(float((shares * np.abs(accuracy - mean)).sum()))


def test_certainty_that_is_right_has_no_calibration_error():
    gold = np.array([0, 1, 2])
    assert calibration_error(calibration_bins(np.eye(3)[gold], gold)) == 0
    assert calibration_error(calibration_bins(np.eye(3)[[1, 2, 0]], gold)) == 1


@pytest.mark.parametrize("seed", range(4))
def test_no_other_cosine_threshold_has_a_better_macro_f1(seed):
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, 120, p=(0.1, 0.6, 0.3))
    cosines = np.round(rng.normal(size=120) + (gold == 2), 1)  # with ties
    chosen = cosine_threshold(cosines, gold)

    def score(threshold):
        return metrics.f1_score(gold, cosine_verdicts(cosines, threshold), average="macro", zero_division=0)

    assert score(chosen) == pytest.approx(max(map(score, np.unique(cosines))))


def test_the_surest_wrong_verdicts_come_first():
    probabilities = np.array([[0.9, 0.05, 0.05], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1]])
    gold = np.array([1, 1, 2, 0])
    pairs = [(f"sentence {n}", f"reply {n}") for n in range(4)]
    found = worst_mistakes(pairs, probabilities, gold)
    assert [one.hypothesis for one in found] == ["reply 0", "reply 3", "reply 1"]
    assert (found[0].label, found[0].verdict) == ("neutral", "contradiction")
    assert len(worst_mistakes(pairs, probabilities, gold, count=2)) == 2


def test_the_whole_report_stands_beside_its_baselines():
    probabilities, gold = random_case(0)
    cosines = np.random.default_rng(1).normal(size=len(gold))
    kinds = ["number" if n % 4 == 0 else None for n in range(len(gold))]
    report = full_report(probabilities, gold, cosines, kinds)
    assert report["always_neutral"]["accuracy"] == pytest.approx((gold == 1).mean())
    assert report["always_neutral"]["classes"]["entailment"]["recall"] == 0
    verdicts = probabilities.argmax(axis=1)
    assert report["accuracy_by_kind"] == {
        "number": {"pairs": 100, "accuracy": pytest.approx((verdicts == gold)[::4].mean())}
    }
    text = as_text(report)
    assert f"{report['model']['macro_f1']:.3f}" in text and "fitted here" in text
    assert all(len(line) <= 100 for line in text.splitlines())
