"""From the model's distribution to a choice."""

import math

import pytest

from pal.chat.selection import Selection, SelectionSettings, choose, combine


def test_pure_pal_leaves_the_distribution_alone():
    selection = combine((0.2, 0.5, 0.3), None, SelectionSettings())
    assert selection.probabilities == pytest.approx((0.2, 0.5, 0.3))
    assert selection.selected == 0 and selection.confidence == pytest.approx(0.5)


def test_none_is_no_sentence():
    assert choose((0.6, 0.4)) == Selection((0.6, 0.4), None)


def test_prior_moves_the_choice_by_its_formula():
    settings = SelectionSettings(prior_weight=4.0, prior_threshold=0.3, none_bias=-0.5)
    selection = combine((0.5, 0.3, 0.2), (0.1, 0.8), settings)
    scores = [math.log(0.5) + 4 * 0.3 - 0.5, math.log(0.3) + 4 * 0.1, math.log(0.2) + 4 * 0.8]
    total = sum(map(math.exp, scores))
    assert selection.probabilities == pytest.approx([math.exp(score) / total for score in scores])
    assert selection.selected == 1


def test_a_prior_without_cosines_is_an_error():
    with pytest.raises(ValueError, match="one cosine per persona sentence"):
        combine((0.5, 0.5), None, SelectionSettings(prior_weight=1.0))


def test_zero_probability_stays_finite():
    assert sum(combine((1.0, 0.0), None, SelectionSettings(none_bias=-100)).probabilities) == pytest.approx(1)


def test_label_names_the_setting():
    assert SelectionSettings().label == "pure PAL"
    assert "prior" in SelectionSettings(prior_weight=2.5).label
