"""The benchmark's report; the measuring itself is a command, never a test."""

import pytest

from pal.evaluation.bench import summarise


def figures(turns, first=0.1, rss=500.0, long=()):
    return {
        "startup": 2.0, "turns": list(turns), "badges": [0.03] * len(turns),
        "first": [first] * len(turns), "tokens": 54 * len(turns),
        "evaluated": 90 * len(turns), "long": list(long),
        "peak_rss_mb": rss, "selection": {"stage1": "pure PAL"},
    }  # fmt: skip


def test_medians_ratios_and_memory():
    report = summarise(
        {
            "pal": figures([0.9, 1.0, 1.1], long=[1.0, 1.0, 1.0, 9.0, 1.2, 1.2, 1.2]),
            "no_reuse": figures([2.0, 3.0, 4.0]),
            "transformers": figures([10.0, 8.0, 9.0], rss=900.0),
        }
    )
    assert report["turn_seconds"] == 1.0 and report["first_token_seconds"] == 0.1
    assert report["speedup_vs_transformers"] == 9.0 and report["speedup_vs_no_reuse"] == 3.0
    assert report["tokens_per_second"] == pytest.approx(54, abs=0.1)
    assert report["peak_rss_mb"] == 500.0 and report["transformers_peak_rss_mb"] == 900.0
    assert report["badges_seconds"] == 0.03
    assert report["long_chat_last_over_first"] == 1.2
