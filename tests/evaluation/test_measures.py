"""Who wins a turn."""

import pytest

from pal.evaluation.measures import Judged, compare, win_rates
from pal.statistics import Bootstrap


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Judged(1, 0.0), Judged(0, 0.9), 1),  # consistency goes first
        (Judged(-1, 0.9), Judged(0, 0.0), -1),
        (Judged(1, 0.5), Judged(1, 0.3), 1),
        (Judged(1, 0.3), Judged(1, 0.5), -1),
        (Judged(0, 0.5), Judged(0, 0.45), 0),
        (Judged(0, None), Judged(0, None), 0),
    ],
)
def test_consistency_decides_then_relevance_beyond_the_margin(first, second, expected):
    assert compare(first, second, 0.1) == expected
    assert compare(second, first, 0.1) == -expected


def test_shares_and_rate_count_a_tie_as_half():
    first = [Judged(1, 0.0), Judged(0, 0.0), Judged(0, 0.0), Judged(-1, 0.0)]
    second = [Judged(0, 0.0)] * 4
    bootstrap = Bootstrap(["a", "a", "b", "b"])
    found = {name: share["value"] for name, share in win_rates(first, second, 0.1, bootstrap).items()}
    assert found == {"win": 0.25, "tie": 0.5, "loss": 0.25, "win_rate": 0.5}
    back = win_rates(second, first, 0.1, bootstrap)
    assert back["win"] == win_rates(first, second, 0.1, bootstrap)["loss"]


def test_the_interval_is_over_dialogues():
    first = [Judged(1, 0.0)] * 5 + [Judged(-1, 0.0)] * 5
    second = [Judged(0, 0.0)] * 10
    apart = win_rates(first, second, 0.1, Bootstrap(["a"] * 5 + ["b"] * 5))["win_rate"]
    assert (apart["low"], apart["high"]) == (0, 1)
    mixed = win_rates(first, second, 0.1, Bootstrap(["a", "b", "c", "d", "e"] * 2))["win_rate"]
    assert (mixed["low"], mixed["high"]) == (0.5, 0.5)
