"""The queue: overlap, least annotated first, silent checks, progress to 100 %."""

import threading
from collections import Counter

import pytest

from pal.ratings.records import Rating, Turn
from tests.ratings import scene


@pytest.fixture
def clock():
    return scene.Clock()


@pytest.fixture
def make(tmp_path, clock):
    """A desk over so many items; the same store each time."""
    desks = []

    def desk(regular, gold=0, **settings):
        items = [scene.item(n) for n in range(regular)] + [scene.item(n, gold=True) for n in range(gold)]
        url = f"sqlite:///{tmp_path / 'ratings.sqlite3'}"
        desks.append(scene.desk(url, items, clock, **settings))
        return desks[-1]

    yield desk
    for desk in desks:
        desk.close()


def rate_all(desk, who, most=100, **vote):
    """Rate until nothing is left; the turns, in order."""
    turns = []
    while len(turns) < most and (shown := scene.shown(desk, who)) is not None:
        desk.submit(who, scene.vote(shown.turn_id, () if vote else (1, 2, 3), **vote))
        turns.append(shown)
    return turns


def turns_of(desk):
    return {record.id: record for record in desk.records() if isinstance(record, Turn)}


def test_progress_reaches_the_end_exactly_when_nothing_is_left(make):
    desk = make(20, gold=4, overlap=2)
    for _ in range(3):
        who = scene.annotator(desk)
        done = -1
        while (shown := scene.shown(desk, who)) is not None:
            progress = desk.progress(who)
            assert done < progress.done < progress.total and progress.percent < 100
            done = progress.done
            desk.submit(who, scene.vote(shown.turn_id))
        progress = desk.progress(who)
        assert progress.done == progress.total and progress.percent == 100


def test_every_item_gets_its_overlap_and_no_more(make):
    desk = make(6, gold=1, overlap=2)
    for _ in range(3):
        rate_all(desk, scene.annotator(desk))
    turns = turns_of(desk)
    votes = Counter(
        turns[record.turn_id].item
        for record in desk.records()
        if isinstance(record, Rating) and turns[record.turn_id].repeat_of is None
    )
    assert {name: count for name, count in votes.items() if name.startswith("item")} == {
        f"item-{n}": 2 for n in range(6)
    }
    assert votes["gold-0"] == 3
    assert desk.admin_progress().full == desk.admin_progress().items == 6


def test_the_least_annotated_items_come_first(make):
    desk = make(8, overlap=3)
    rate_all(desk, scene.annotator(desk), most=4)
    fresh = {f"item-{n}" for n in range(8)} - {turn.item for turn in turns_of(desk).values()}
    who = scene.annotator(desk)
    rate_all(desk, who, most=4)
    seen = {turns_of(desk)[rating.turn_id].item for rating in desk.votes(who)}
    assert seen == fresh


def test_an_item_is_kept_until_it_is_rated(make, clock):
    desk = make(5)
    who = scene.annotator(desk)
    first = scene.shown(desk, who)
    assert scene.shown(desk, who) == first
    rate_all(desk, scene.annotator(desk))
    clock.advance(hours=2)
    assert scene.shown(desk, who) == first


def test_two_at_once_do_not_both_take_the_last_place(make, clock):
    desk = make(1, overlap=1)
    one, other = scene.annotator(desk), scene.annotator(desk)
    kept = scene.shown(desk, one)
    assert scene.shown(desk, other) is None
    assert desk.progress(other).percent == 100
    clock.advance(minutes=31)
    assert scene.shown(desk, other).user == kept.user
    desk.submit(other, scene.vote(scene.shown(desk, other).turn_id))
    assert scene.shown(desk, one) is None
    desk.submit(one, scene.vote(kept.turn_id))  # late, but not lost
    assert len(desk.votes(one)) == 1


def test_many_at_once_share_the_places(url):
    desk = scene.desk(url, [scene.item(n) for n in range(4)], overlap=1)
    people = [scene.annotator(desk) for _ in range(8)]
    given = []
    threads = [
        threading.Thread(target=lambda who=who: given.append(scene.shown(desk, who))) for who in people
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    users = [shown.user for shown in given if shown is not None]
    assert len(users) == len(set(users)) == 4
    desk.close()


def test_all_annotators_of_an_item_see_the_same_replies(make):
    desk = make(1, overlap=2)
    one, other = scene.annotator(desk), scene.annotator(desk)
    item = desk.next_task(one).item
    assert desk.next_task(other).turn is None
    first = desk.add_turn(one, scene.turn(item))
    second = desk.add_turn(other, scene.turn(item))
    assert first.turn_id == second.turn_id and sorted(first.replies) == sorted(second.replies)
    assert len(turns_of(desk)) == 1


def test_the_order_differs_between_turns_and_annotators(make):
    desk = make(14, overlap=2)
    one, other = scene.annotator(desk), scene.annotator(desk)
    rate_all(desk, one)
    rate_all(desk, other)
    orders = {
        (rating.turn_id, rating.annotator): rating.order
        for rating in desk.records()
        if isinstance(rating, Rating)
    }
    assert len(set(orders.values())) >= 4
    shared = {turn_id for turn_id, _ in orders if (turn_id, one) in orders and (turn_id, other) in orders}
    assert any(orders[turn_id, one] != orders[turn_id, other] for turn_id in shared)


def test_skipped_items_leave_their_place_to_others(make):
    desk = make(3, overlap=1)
    assert len(rate_all(desk, scene.annotator(desk), skip=True)) == 3
    assert len(rate_all(desk, scene.annotator(desk))) == 4  # and the repeat


def test_gold_items_come_in_between_and_look_like_the_others(make):
    desk = make(24, gold=2, gold_every=8)
    who = scene.annotator(desk)
    shown = rate_all(desk, who)
    turns = turns_of(desk)
    places = [place for place, blind in enumerate(shown) if turns[blind.turn_id].gold]
    assert len(places) == 2 and places[0] > 0 and places[1] < len(shown) - 1 and places[1] - places[0] > 5
    assert {type(blind) for blind in shown} == {type(shown[0])}
    assert all(len(blind.replies) == 3 for blind in shown)


def test_one_early_turn_is_repeated_later_in_its_own_right(make):
    desk = make(10, repeat_after=5)
    who = scene.annotator(desk)
    shown = rate_all(desk, who)
    turns = turns_of(desk)
    [repeat] = [turn for turn in turns.values() if turn.repeat_of]
    assert [blind.turn_id for blind in shown].index(repeat.id) == 5
    assert repeat.repeat_of == shown[0].turn_id
    assert sorted(turns[repeat.repeat_of].replies, key=str) == sorted(repeat.replies, key=str)
    assert len(shown) == 11


def test_with_few_items_the_repeat_comes_last(make):
    desk = make(4)
    who = scene.annotator(desk)
    shown = rate_all(desk, who)
    assert len(shown) == 5 and turns_of(desk)[shown[-1].turn_id].repeat_of == shown[0].turn_id


def test_an_annotator_goes_on_after_a_restart(make):
    desk = make(6)
    code = desk.new_annotator()
    who = desk.enrol(code, "1")
    rate_all(desk, who, most=2)
    waiting = scene.shown(desk, who)
    desk.close()
    again = make(6)
    assert again.resume(code.upper()) == who
    assert again.progress(who).done == 2
    assert scene.shown(again, who) == waiting


def test_an_item_the_models_fail_on_goes_to_others(make, clock):
    desk = make(2, overlap=1)
    one, other = scene.annotator(desk), scene.annotator(desk)
    failing = desk.next_task(one).item.id
    desk.put_back(one, failing)
    assert desk.next_task(one).item.id != failing
    assert desk.next_task(other).item.id == failing
    desk.put_back(other, failing)
    clock.advance(hours=1)
    rate_all(desk, one)
    assert len(desk.votes(one)) == 2


def test_items_to_come_are_those_without_replies(make):
    desk = make(5)
    who = scene.annotator(desk)
    first = desk.next_task(who).item
    ahead = desk.upcoming(who, 3)
    assert len(ahead) == 3 and first not in ahead
    desk.add_turn(who, scene.turn(first))
    desk.submit(who, scene.vote(desk.next_task(who).turn.turn_id))
    assert desk.next_task(who).item == ahead[0]


def test_own_chats_do_not_count_as_progress(make):
    desk = make(2)
    who = scene.annotator(desk)
    own = desk.add_turn(who, scene.turn(owner=who))
    assert own.own
    desk.submit(who, scene.vote(own.turn_id))
    assert desk.progress(who).done == 0
    assert desk.admin_progress().annotators[0].rated == 1
