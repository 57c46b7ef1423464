"""Votes: exactly one counts, everything refused says why, names come after the vote."""

import dataclasses
import threading

import pytest

from pal.errors import AlreadyRevealed, InvalidVote, MissingConsent, NotYetRated, UnknownTurn
from pal.ratings.records import Rating
from tests.ratings import scene


@pytest.fixture
def desk(url):
    desk = scene.desk(url, [scene.item(1), scene.item(2)])
    yield desk
    desk.close()


def ratings(desk):
    return [record for record in desk.records() if isinstance(record, Rating)]


def test_a_vote_is_stored_with_what_was_shown(desk):
    who = scene.annotator(desk)
    shown = scene.shown(desk, who)
    desk.clock.advance(seconds=20)
    receipt = desk.submit(
        who,
        scene.vote(
            shown.turn_id, (1, 3, 3), flags=(("uses_persona",), (), ("broken", "parrots")), comment=" ok "
        ),
    )
    [rating] = desk.votes(who)
    assert (receipt.rating, receipt.replaced) == (rating.id, None)
    assert rating.ranks == (1, 2, 2)
    assert rating.flags == (("uses_persona",), (), ("broken", "parrots"))
    assert (rating.comment, rating.seconds, rating.correction) == ("ok", 20, False)
    assert sorted(rating.order) == ["aligned", "baseline", "stage1"]
    texts = {reply.variant: reply.text for reply in desk.reveal(who, shown.turn_id).columns}
    assert tuple(texts[variant] for variant in rating.order) == shown.replies


def test_the_same_submission_is_stored_once_and_gives_the_same_receipt(desk):
    who = scene.annotator(desk)
    vote = scene.vote(scene.shown(desk, who).turn_id)
    first = desk.submit(who, vote)
    desk.clock.advance(seconds=5)
    desk.reveal(who, vote.turn_id)
    assert desk.submit(who, vote) == first
    assert desk.submit(who, dataclasses.replace(vote, ranks=(3, 2, 1))) == first
    assert len(ratings(desk)) == 1


def test_a_second_answer_supersedes_the_first_and_the_trail_keeps_both(desk):
    who = scene.annotator(desk)
    turn_id = scene.shown(desk, who).turn_id
    first = desk.submit(who, scene.vote(turn_id, (1, 2, 3)))
    second = desk.submit(who, scene.vote(turn_id, (2, 1, 2)))
    third = desk.submit(who, scene.vote(turn_id, skip=True, comment="cannot say"))
    assert [second.replaced, third.replaced] == [first.rating, second.rating]
    assert [rating.id for rating in desk.votes(who)] == [third.rating]
    assert [rating.ranks for rating in desk.trail(who, turn_id)] == [(1, 2, 3), (2, 1, 2), ()]
    assert desk.progress(who).done == 1


def test_many_clicks_at_once_leave_one_active_rating(desk):
    who = scene.annotator(desk)
    turn_id = scene.shown(desk, who).turn_id
    twice = scene.vote(turn_id)
    votes = [scene.vote(turn_id, (1 + number % 3, 2, 3)) for number in range(6)] + [twice, twice]
    receipts, threads = [], []
    for vote in votes:
        threads.append(threading.Thread(target=lambda vote=vote: receipts.append(desk.submit(who, vote))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({receipt.rating for receipt in receipts}) == 7
    assert len(desk.votes(who)) == 1 and len(desk.trail(who, turn_id)) == 7
    assert sum(rating.supersedes is None for rating in ratings(desk)) == 1


def test_a_forged_turn_id_is_refused(desk):
    who = scene.annotator(desk)
    for forged in ("0" * 32, "", "'; DROP TABLE ratings; --", "x" * 10_000, "\x00", None, 7):
        with pytest.raises(UnknownTurn):
            desk.submit(who, scene.vote(forged))
        with pytest.raises(UnknownTurn):
            desk.reveal(who, forged)
        with pytest.raises(UnknownTurn):
            desk.show(who, forged)
    assert ratings(desk) == []


def test_a_turn_shown_to_somebody_else_is_refused(desk):
    one, other = scene.annotator(desk), scene.annotator(desk)
    turn_id = desk.add_turn(one, scene.turn(owner=one)).turn_id
    with pytest.raises(UnknownTurn):
        desk.submit(other, scene.vote(turn_id))
    desk.submit(one, scene.vote(turn_id))
    with pytest.raises(UnknownTurn):
        desk.reveal(other, turn_id)


IMPOSSIBLE = [
    ({"ranks": ()}, "Rank all 3 replies"),
    ({"ranks": (1, 2)}, "2 ranks came"),
    ({"ranks": (1, 2, 4)}, "rank is 4"),
    ({"ranks": (0, 1, 2)}, "rank is 0"),
    ({"ranks": (1, 2, True)}, "rank is True"),
    ({"ranks": (1, 2, "3")}, "whole number from 1 to 3"),
    ({"flags": (("nice",), (), ())}, "no flag “nice”"),
    ({"flags": ((), ())}, "2 replies"),
    ({"flags": (None, (), ())}, "no lists of names"),
    ({"flags": 7}, "no lists of names"),
    ({"comment": ["x"]}, "no text"),
    ({"comment": "x" * 2001}, "2,001 characters"),
    ({"submission": "short"}, "no usable id"),
    ({"submission": "with spaces in it"}, "no usable id"),
]


def test_an_impossible_vote_is_refused_and_nothing_is_stored(desk):
    who = scene.annotator(desk)
    turn_id = scene.shown(desk, who).turn_id
    for values, words in IMPOSSIBLE:
        with pytest.raises(InvalidVote, match=words):
            desk.submit(who, scene.vote(turn_id, **{"ranks": (1, 2, 3), **values}))
    assert ratings(desk) == []


def test_all_bad_is_a_tie_of_all_and_a_skip_has_no_ranks(desk):
    who = scene.annotator(desk)
    turn_id = scene.shown(desk, who).turn_id
    desk.submit(who, scene.vote(turn_id, (), all_bad=True))
    assert desk.votes(who)[0].ranks == (1, 1, 1) and desk.votes(who)[0].all_bad
    desk.submit(who, scene.vote(turn_id, (1, 2, 3), skip=True, all_bad=True, flags=(("broken",), (), ())))
    rating = desk.votes(who)[0]
    assert (rating.ranks, rating.flags, rating.all_bad, rating.skip) == ((), (), False, True)


def test_nothing_is_revealed_before_the_vote(desk):
    who = scene.annotator(desk)
    shown = scene.shown(desk, who)
    with pytest.raises(NotYetRated):
        desk.reveal(who, shown.turn_id)


def test_after_the_reveal_only_a_correction_counts_and_is_recorded_as_one(desk):
    who = scene.annotator(desk)
    turn_id = scene.shown(desk, who).turn_id
    desk.submit(who, scene.vote(turn_id, (1, 2, 3)))
    desk.reveal(who, turn_id)
    desk.reveal(who, turn_id)
    with pytest.raises(AlreadyRevealed, match="correct it"):
        desk.submit(who, scene.vote(turn_id, (3, 2, 1)))
    assert desk.votes(who)[0].ranks == (1, 2, 3)
    desk.submit(who, scene.vote(turn_id, (3, 2, 1), correction=True))
    assert [(rating.ranks, rating.correction) for rating in desk.trail(who, turn_id)] == [
        ((1, 2, 3), False),
        ((3, 2, 1), True),
    ]
    assert len(desk.votes(who)) == 1


def test_a_correction_before_the_reveal_is_an_ordinary_vote(desk):
    who = scene.annotator(desk)
    turn_id = scene.shown(desk, who).turn_id
    desk.submit(who, scene.vote(turn_id, correction=True))
    assert not desk.votes(who)[0].correction


def test_nothing_is_stored_without_consent(desk):
    stranger = "f" * 32
    for act in (
        lambda: desk.next_task(stranger),
        lambda: desk.add_turn(stranger, scene.turn(owner=stranger)),
        lambda: desk.put_back(stranger, "item-1"),
    ):
        with pytest.raises(MissingConsent):
            act()
    assert desk.records() == []


def test_a_turn_with_a_failed_variant_is_not_rated(desk):
    who = scene.annotator(desk)
    turn = scene.turn(owner=who)
    failed = dataclasses.replace(turn.replies[1], error="out of memory")
    with pytest.raises(InvalidVote, match="out of memory"):
        desk.add_turn(who, dataclasses.replace(turn, replies=(turn.replies[0], failed, turn.replies[2])))


def test_a_restart_between_replies_and_vote_changes_nothing(url):
    first = scene.desk(url, [scene.item(1)])
    who = scene.annotator(first)
    shown = scene.shown(first, who)
    first.close()
    second = scene.desk(url, [scene.item(1)])
    assert second.show(who, shown.turn_id) == shown
    assert second.next_task(who).turn == shown
    second.submit(who, scene.vote(shown.turn_id))
    assert second.next_task(who) is None
    columns = second.reveal(who, shown.turn_id).columns
    assert tuple(reply.text for reply in columns) == shown.replies
    second.close()
