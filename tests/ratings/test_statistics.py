"""Statistics against golden values, and what counts as a vote."""

import dataclasses
import json
import math
import random

import numpy as np
import pytest

from pal.chat.variants import shipped
from pal.commands.ratings import statistics_tables
from pal.ratings.ballots import Ballot, agreement, alpha, count, log_strengths, two_way
from pal.ratings.items import gold_turn
from pal.ratings.statistics import position_shares, summary
from pal.statistics import TwoWayBootstrap
from pal.ui.results import leaderboard_html
from tests.ratings import scene
from tests.ratings.votes import campaign, ranks, rating

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C: units × observers.
EXAMPLE = [
    [1, 1, 0, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
    [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [0, 5, 5, 5], [0, 0, 1, 1], [0, 3, 0, 0],
]  # fmt: skip


def test_alpha_gives_krippendorffs_own_values():
    counts = np.array([[unit.count(value) for value in (1, 2, 3, 4, 5)] for unit in EXAMPLE])
    assert round(alpha(counts, "nominal"), 3) == 0.743
    assert round(alpha(counts, "ordinal"), 3) == 0.815


def test_alpha_is_undefined_without_disagreement_or_overlap():
    assert math.isnan(alpha(np.array([[1, 0], [0, 1]]), "nominal"))
    assert math.isnan(alpha(np.array([[2, 0], [3, 0], [0, 1]]), "nominal"))


def test_bradley_terry_of_two_is_the_logit_of_the_win_rate():
    for won, tied, lost in ((30, 1, 9), (1, 0, 1), (200, 0, 3)):
        points = np.array([[0, won + tied / 2], [lost + tied / 2, 0]])
        first, second = log_strengths(points)
        rate = (won + tied / 2) / (won + tied + lost)
        assert first - second == pytest.approx(math.log(rate / (1 - rate)), abs=1e-6)


def test_bradley_terry_fits_the_expected_points():
    points = np.array([[0, 30, 22.5], [10, 0, 15], [17.5, 25, 0]])
    strengths = log_strengths(points)
    chances = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    met = points + points.T
    np.testing.assert_allclose((chances * met).sum(axis=1), points.sum(axis=1), atol=1e-4)
    assert strengths.sum() == pytest.approx(0, abs=1e-9)


def test_bradley_terry_has_no_value_for_one_who_never_lost():
    assert np.isnan(log_strengths(np.array([[0, 3, 4], [0, 0, 2], [0, 2, 0]]))).all()


def test_the_leaderboard_counts_wins_and_ties():
    records = campaign(*[ranks(3, 2, 1)] * 6, *[ranks(1, 1, 2)] * 2, ranks(1, 2, 2), ranks(2, 1, 1))
    results = summary(records, 0, samples=50).results
    pairs = {(pair.one, pair.other): pair for pair in results.pairs}
    first = pairs["baseline", "aligned"]
    assert (first.won, first.tied, first.lost, first.votes) == (3, 0, 7, 10)
    assert first.win_rate.value == 0.3
    assert first.win_rate.low < 0.3 < first.win_rate.high
    tie = pairs["baseline", "stage1"]
    assert (tie.won, tie.tied, tie.lost, tie.win_rate.value) == (1, 2, 7, 0.2)
    board = {row.variant: row for row in results.variants}
    assert board["aligned"].win_rate.value == pytest.approx((7 + 7) / 20)
    assert board["aligned"].mean_rank.value == pytest.approx((6 + 4 + 2 + 1) / 10)
    assert board["aligned"].first.value == 0.7
    assert results.variants[0].variant == "aligned"


def test_intervals_widen_when_votes_come_from_few_turns_and_annotators():
    random.seed(3)
    coins = [random.random() < 0.6 for _ in range(60)]
    spread, clustered = [], []
    for number, coin in enumerate(coins):
        turn = scene.turn(scene.item(number))
        vote = rating(turn, f"ann{number}", ranks(2, 2, 1) if coin else ranks(1, 2, 2))
        spread.append(Ballot(vote, turn, vote))
        turn = scene.turn(scene.item(number // 12), id=f"turn{number // 12}")
        vote = rating(turn, f"ann{number % 3}", ranks(2, 2, 1) if coins[number // 12] else ranks(1, 2, 2))
        clustered.append(Ballot(vote, turn, vote))

    def width(ballots):
        wins = np.array([ballot.points("aligned", "baseline") for ballot in ballots])
        turns, annotators = zip(
            *((ballot.turn.id, ballot.rating.annotator) for ballot in ballots), strict=True
        )
        bootstrap = TwoWayBootstrap(turns, annotators, 300)
        estimate = bootstrap.estimate(lambda weights: weights @ wins / weights.sum())
        return estimate.high - estimate.low

    assert width(clustered) > 1.5 * width(spread)


def test_every_share_of_one_table_is_resampled_by_turns_and_annotators():
    """Two annotators who disagree on everything are two observations, however often each votes."""
    flags = {"aligned": ("broken",), "baseline": (), "stage1": ()}
    records = []
    for number in range(20):
        turn = scene.turn(scene.item(number), id=f"turn{number}")
        records += [
            turn,
            rating(turn, "ann", ranks(3, 2, 1), flags=flags),
            rating(turn, "bob", ranks(1, 2, 3)),
        ]
    results = summary(records, 0, samples=200).results
    pair = next(pair for pair in results.pairs if (pair.one, pair.other) == ("baseline", "aligned"))
    flag = next(f for f in results.flags if (f.variant, f.flag, f.kind) == ("aligned", "broken", "all"))
    board = next(row for row in results.variants if row.variant == "aligned")
    for share in (pair.win_rate, flag.rate, board.win_rate, board.first):
        assert (share.value, share.low, share.high) == (0.5, 0.0, 1.0)


def test_nothing_is_told_below_the_threshold():
    records = campaign(*[ranks(3, 2, 1)] * 4)
    few = summary(records, 5)
    assert (few.votes, few.threshold, few.results) == (4, 5, None)
    assert summary(records, 4, samples=20).results is not None
    assert summary([], 0).results is None


def test_only_the_latest_campaign_counts_unless_another_is_named():
    old = [
        dataclasses.replace(r, campaign="old") if hasattr(r, "campaign") else r
        for r in campaign(ranks(1, 2, 3))
    ]
    records = old + campaign(*[ranks(3, 2, 1)] * 2)
    assert (summary(records, 9).campaign, summary(records, 9).votes) == (scene.CAMPAIGN, 2)
    assert summary(records, 9, "old").votes == 1


def test_votes_of_other_campaigns_are_named_and_kept_apart():
    old = [
        dataclasses.replace(r, campaign="old") if hasattr(r, "campaign") else r
        for r in campaign(ranks(1, 2, 3))
    ]
    found = summary(old, 1, scene.CAMPAIGN)  # the models have changed, and nobody has voted since
    assert (found.votes, found.results, found.others) == (0, None, (("old", 1),))
    assert "kept apart: old (1)." in found.others_in_words
    assert found.others_in_words in leaderboard_html(found, shipped())
    assert found.others_in_words in statistics_tables(found)[0]
    assert summary(old, 1).others == () and summary(old, 1).others_in_words == ""


def test_superseded_skipped_gold_and_repeated_ratings_are_no_votes():
    records = campaign(ranks(1, 2, 3), ranks(1, 2, 3), {})
    first = records[2]
    records.append(rating(records[1], "ann", ranks(3, 2, 1), supersedes=first.id))
    gold = gold_turn(scene.item(1, gold=True), scene.CAMPAIGN, records[1].decoding, records[1].created_at)
    repeat = dataclasses.replace(records[3], id="again", repeat_of=records[3].id)
    records += [gold, rating(gold, "ann", {"gold1": 1, "gold2": 2, "gold3": 3})]
    records += [repeat, rating(repeat, "ann", ranks(1, 3, 2))]
    ballots = count(records, scene.CAMPAIGN)
    assert [ballot.rating.rank_of("baseline") for ballot in ballots.ranked] == [3, 1]
    assert (len(ballots.gold), len(ballots.repeated), ballots.skipped) == (1, 1, 1)
    results = summary(records, 0, samples=20).results
    assert results.gold_accuracy.value == 1
    assert results.self_agreement.value == pytest.approx(2 / 3)  # stage1 and aligned changed places


def test_a_correction_after_the_reveal_counts_and_can_be_left_out():
    records = campaign(ranks(1, 2, 3))
    records.append(rating(records[1], "ann", ranks(3, 2, 1), supersedes=records[2].id, correction=True))
    assert summary(records, 9).corrected == 1
    assert count(records, scene.CAMPAIGN).ranked[0].rating.rank_of("baseline") == 3
    assert count(records, scene.CAMPAIGN, blind_only=True).ranked[0].rating.rank_of("baseline") == 1


def test_a_gold_item_is_right_when_best_and_worst_are_alone_in_their_places():
    gold = gold_turn(scene.item(1, gold=True), scene.CAMPAIGN, scene.turn().decoding, scene.turn().created_at)
    for given, right in (((1, 2, 3), 1), ((1, 3, 2), 0), ((1, 1, 2), 0), ((1, 2, 2), 0), ((1, 1, 1), 0)):
        vote = rating(gold, "ann", dict(zip(("gold1", "gold2", "gold3"), given, strict=True)))
        records = [*campaign(ranks(1, 2, 3)), gold, vote]
        assert summary(records, 0, samples=5).results.gold_accuracy.value == right


def test_agreement_is_full_when_all_say_the_same_and_falls_when_they_do_not():
    def ballots(second):
        found = []
        for number in range(12):
            turn = scene.turn(scene.item(number))
            mine = ranks(*random.Random(number).sample([1, 2, 3], 3))
            for who, given in (("one", mine), ("two", second(mine, number))):
                vote = rating(turn, who, given)
                found.append(Ballot(vote, turn, vote))
        return found

    same = agreement(ballots(lambda mine, number: mine), 20)
    assert (same.nominal.value, same.ordinal.value, same.turns) == (1, 1, 12)
    other = agreement(
        ballots(lambda mine, number: ranks(*random.Random(99 + number).sample([1, 2, 3], 3))), 20
    )
    assert other.nominal.value < 0.5 and other.ordinal.value < 0.5
    turn = scene.turn(scene.item(1))
    vote = rating(turn, "one", ranks(1, 2, 3))
    assert agreement([Ballot(vote, turn, vote)], 5).turns == 0


def test_flags_are_joined_with_selection_and_consistency():
    flags = {"aligned": ("uses_persona", "contradicts"), "baseline": ("broken",)}
    records = campaign(ranks(3, 2, 1), ranks(3, 2, 1))
    records[2] = rating(records[1], "ann", ranks(3, 2, 1), flags=flags)
    silent = dataclasses.replace(records[3].replies[2], selected=None, consistency=((0.1, 0.8, 0.1),) * 3)
    turn = dataclasses.replace(records[3], replies=(*records[3].replies[:2], silent))
    records[3:] = [turn, rating(turn, "ann", ranks(3, 2, 1))]
    rates = {
        (r.variant, r.flag, r.kind): (r.rate.value, r.replies)
        for r in summary(records, 0, samples=5).results.flags
    }
    assert rates["aligned", "uses_persona", "all"] == (0.5, 2)
    assert rates["aligned", "uses_persona", "selected a sentence"] == (1, 1)
    assert rates["aligned", "uses_persona", "selected none"] == (0, 1)
    assert rates["aligned", "contradicts", "contradicts a sentence"] == (1, 1)
    assert rates["aligned", "contradicts", "neither"] == (0, 1)
    assert rates["baseline", "broken", "entails a sentence"] == (0.5, 2)
    assert ("baseline", "broken", "selected none") not in rates


def test_position_bias_is_seen():
    turn = scene.turn(scene.item(1))
    order = turn.variants

    def ballot(*given):
        vote = rating(turn, "ann", dict(zip(order, given, strict=True)), order=order)
        return Ballot(vote, turn, vote)

    ballots = [ballot(1, 2, 3), ballot(1, 3, 2), ballot(1, 1, 2), ballot(2, 2, 1), ballot(1, 1, 1)]
    shares = position_shares(ballots, two_way(ballots))
    assert [share.value for share in shares] == pytest.approx([2.5 / 4, 0.5 / 4, 1 / 4])


def test_times_are_those_of_first_votes_and_everything_is_json():
    records = campaign(*[ranks(3, 2, 1)] * 3)
    records[2] = rating(records[1], "ann", ranks(3, 2, 1), seconds=30)
    records.append(rating(records[1], "ann", ranks(1, 2, 3), seconds=9999, supersedes=records[2].id))
    found = summary(records, 0, samples=10)
    assert found.results.seconds == (10, 10, 20)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["results"]["seconds"] == [10, 10, 20]
