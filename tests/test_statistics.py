"""Intervals over dialogues."""

import math

import numpy as np
import pytest

from pal.statistics import Bootstrap, Estimate, TwoWayBootstrap, jackknife, mean_of, ratio_of, wilson


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
    gain = bootstrap.estimate(lambda weights: first(weights) - second(weights))
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


def test_wilson_interval_golden_values():
    found = wilson(8, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 5).low == pytest.approx(0, abs=1e-12)
    assert wilson(5, 5).high == pytest.approx(1)


def test_a_share_is_resampled_by_clusters():
    right = [True] * 60 + [False] * 40
    apart, together = (Bootstrap(clusters).share(right) for clusters in (range(100), np.arange(100) // 20))
    assert apart.value == together.value == 0.6
    assert (apart.low, apart.high) == pytest.approx((wilson(60, 100).low, wilson(60, 100).high), abs=0.02)
    assert (together.low, together.high) == (0.2, 1.0)
    assert Bootstrap(range(4)).share([0, 0, 1, 0], [0, 1, 1, 0]).value == 0.5


def test_a_share_of_nothing_or_all_is_not_certain():
    five = Bootstrap([row // 20 for row in range(100)])
    assert five.share([False] * 100) == wilson(0, 5)
    assert five.share([True] * 100) == wilson(5, 5)
    assert five.share([True] * 20 + [False] * 80, [True] * 20 + [False] * 80) == wilson(1, 1)
    assert math.isnan(five.share([False] * 100, [False] * 100).value)
    votes = TwoWayBootstrap(["a", "a", "b"], ["x", "y", "x"])
    assert votes.share([0, 0, 0]) == wilson(0, 2)
