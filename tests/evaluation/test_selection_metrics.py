"""Selection metrics against hand counts and scikit-learn."""

import math
import random

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pal.evaluation.selection_metrics import (
    SelectionMetrics,
    SelectionOutcome,
    always_none,
    auc,
    cosine,
    idf_overlap,
    inverse_document_frequency,
    outcome,
)

# labels, pick, sentence scores, persona score
OUTCOMES = [
    SelectionOutcome((0,), 0, (0.5, 0.2, 0.1), 0.8),  # hit
    SelectionOutcome((1, 2), 2, (0.4, 0.1, 0.3), 0.8),  # hit on the second label; top sentence is wrong
    SelectionOutcome((1,), 0, (0.6, 0.2, 0.1), 0.9),  # miss
    SelectionOutcome((2,), None, (0.1, 0.1, 0.2), 0.4),  # missed, though its top sentence is right
    SelectionOutcome((), None, (0.1, 0.1, 0.1), 0.3),  # none, rightly
    SelectionOutcome((), 1, (0.2, 0.3, 0.1), 0.6),  # a sentence where there is none
]


def test_every_metric_against_a_hand_count():
    metrics, ones = SelectionMetrics(OUTCOMES), np.ones(6)
    assert metrics.accuracy(ones) == pytest.approx(3 / 6)
    assert metrics.precision(ones) == pytest.approx(2 / 4)
    assert metrics.recall(ones) == pytest.approx(2 / 4)
    assert metrics.f1(ones) == pytest.approx(0.5)
    assert metrics.precision_on_persona_turns(ones) == pytest.approx(2 / 3)
    assert metrics.f1_on_persona_turns(ones) == pytest.approx(4 / 7)
    assert metrics.none_precision(ones) == pytest.approx(1 / 2)
    assert metrics.none_recall(ones) == pytest.approx(1 / 2)
    assert metrics.hit_at_1(ones) == pytest.approx(2 / 4)
    assert metrics.chance_hit_at_1(ones) == pytest.approx((1 / 3 + 2 / 3 + 1 / 3 + 1 / 3) / 4)
    assert metrics.auc(ones) == pytest.approx(7 / 8)
    # picks down to .8: hits 0 (.9), 1, 1 → 3 picks, 1 hit; down to .4: 5 picks, 2 hits
    assert metrics.best_f1(ones) == pytest.approx(2 * 2 / (5 + 4))


def test_a_weight_counts_like_a_repeated_turn():
    weights = np.array([2, 0, 1, 3, 1, 2])
    repeated = [item for item, times in zip(OUTCOMES, weights, strict=True) for _ in range(times)]
    plain = SelectionMetrics(repeated).all()
    for name, function in SelectionMetrics(OUTCOMES).all().items():
        assert function(weights.astype(float)) == pytest.approx(plain[name](np.ones(len(repeated)))), name


def test_auc_is_scikit_learns_with_ties_and_weights():
    rng = random.Random(1)
    scores = np.array([rng.randrange(6) / 5 for _ in range(80)])
    positive = np.array([rng.random() < 0.3 + score / 3 for score in scores])
    weights = np.array([float(rng.randrange(4)) for _ in range(80)])
    assert auc(scores, positive, weights) == pytest.approx(
        roc_auc_score(positive, scores, sample_weight=weights)
    )
    assert math.isnan(auc(scores, np.ones(80, dtype=bool), weights))


def test_no_persona_turn_gives_nan_not_a_number():
    metrics, ones = SelectionMetrics(OUTCOMES[4:]), np.ones(2)
    assert all(math.isnan(metrics.all()[name](ones)) for name in ("recall", "hit_at_1", "auc", "best_f1"))
    assert metrics.accuracy(ones) == 0.5


def test_outcome_reads_a_distribution_with_none_first():
    found = outcome([1], None, (0.7, 0.1, 0.2))
    assert found == SelectionOutcome((1,), None, (0.1, 0.2), pytest.approx(0.3))


def test_always_none_is_right_on_none_turns_and_at_chance_elsewhere():
    metrics = SelectionMetrics([always_none(item.labels, 3) for item in OUTCOMES])
    ones = np.ones(6)
    assert metrics.accuracy(ones) == pytest.approx(2 / 6)
    assert metrics.f1(ones) == 0
    assert metrics.hit_at_1(ones) == pytest.approx(metrics.chance_hit_at_1(ones))
    assert metrics.auc(ones) == 0.5


def test_idf_overlap_prefers_rare_words_and_says_none_without_any():
    sentences = ("I like the green tea", "I like the bus")
    idf = inverse_document_frequency([*sentences, "I like the bus", "I like the rain", "where is the bus"])
    assert idf["like"] == pytest.approx(math.log(5 / 4))
    assert idf_overlap((0,), "Do you like green tea?", sentences, idf).selected == 0
    assert idf_overlap((), "Good morning!", sentences, idf).selected is None


def test_cosine_baseline_is_none_below_its_threshold():
    assert cosine((1,), (0.1, 0.4), 0.3).selected == 1
    assert cosine((1,), (0.1, 0.2), 0.3).selected is None
    assert cosine((1,), (0.1, 0.2), 0.3).persona_score == 0.2
