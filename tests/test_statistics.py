"""Intervals over dialogues."""

import math

import numpy as np
import pytest

from pal.statistics import Bootstrap, Estimate, jackknife, mean_of, ratio_of


def test_value_is_the_plain_statistic_and_lies_in_its_interval():
    rng = np.random.default_rng(3)
    values = rng.normal(2.0, 1.0, 200)
    found = Bootstrap(np.arange(200) // 4).estimate(mean_of(values))
    assert found.value == pytest.approx(values.mean())
    assert found.low < found.value < found.high


def test_interval_of_independent_rows_is_the_textbook_one():
    values = np.random.default_rng(5).normal(0.0, 1.0, 400)
    found = Bootstrap(range(400), samples=4000).estimate(mean_of(values))
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.06)


def test_turns_that_repeat_within_a_dialogue_do_not_shrink_the_interval():
    values = np.random.default_rng(7).normal(0.0, 1.0, 50)
    once = Bootstrap(range(50), seed=1).estimate(mean_of(values))
    tenfold = Bootstrap([row // 10 for row in range(500)], seed=1).estimate(mean_of(np.repeat(values, 10)))
    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high))


def test_same_seed_same_interval_and_another_seed_another():
    values = np.arange(30.0)
    clusters = [row // 3 for row in range(30)]
    first, again, other = (Bootstrap(clusters, seed=seed).estimate(mean_of(values)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_paired_difference_is_tighter_than_the_parts():
    rng = np.random.default_rng(11)
    hard = rng.normal(0.0, 5.0, 100)
    bootstrap = Bootstrap(range(100))
    first, second = mean_of(hard + 0.5 + rng.normal(0, 0.1, 100)), mean_of(hard)
    gain = bootstrap.difference(first, second)
    assert gain.value == pytest.approx(0.5, abs=0.05)
    assert gain.low > 0.4
    assert gain.high - gain.low < 0.1 * (bootstrap.estimate(first).high - bootstrap.estimate(first).low)


def test_undefined_is_null_in_json():
    found = Bootstrap(["a", "b"]).estimate(ratio_of([1, 1], [0, 0]))
    assert math.isnan(found.value)
    assert found.to_json() == {"value": None, "low": None, "high": None}
    assert Estimate(0.5, 0.25, 0.75).to_json() == {"value": 0.5, "low": 0.25, "high": 0.75}


def test_no_rows_is_refused():
    with pytest.raises(ValueError, match="no rows"):
        Bootstrap([])


def test_jackknife_of_a_mean_is_the_standard_error():
    values = np.random.default_rng(13).normal(0.0, 1.0, 60)
    found = jackknife(range(60), mean_of(values))
    error = values.std(ddof=1) / math.sqrt(60)
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error)
    )
