"""Mined hard negatives: what each kind says, and that nothing true is mined."""

import random

import pytest

from pal.training.contradictions import (
    attribute,
    both_negated,
    content_words,
    mine,
    negated,
    of_relative,
    renumbered,
)


@pytest.mark.parametrize(
    ("sentence", "opposites"),
    [
        ("i love dogs.", ("i hate dogs.", "i do not like dogs.", "i can not stand dogs.", "i dislike dogs.")),
        ("i hate dogs.", ("i love dogs.", "i like dogs.", "i really enjoy dogs.")),
        ("i am a nurse.", ("i am not a nurse.",)),
        ("i do not own a car.", (None,)),
        ("my dog is old.", (None,)),
    ],
)
def test_a_negated_sentence_says_the_opposite(sentence, opposites):
    assert {negated(sentence, random.Random(seed)) for seed in range(20)} <= set(opposites)


def test_a_number_changes_only_when_the_reply_gives_it_too():
    changed = renumbered("i have two dogs.", "my two dogs bark", random.Random(1))
    assert changed.startswith("i have ") and "two" not in changed
    assert renumbered("i have two dogs.", "my dogs bark", random.Random(1)) is None


def test_a_relative_takes_the_speakers_place():
    assert of_relative("i work at a bank.", random.Random(1)).endswith(" works at a bank.")
    assert of_relative("the bank employs me.", random.Random(1)) is None


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("my favorite food is pizza.", "favourite food"),
        ("i work at a bank.", "job"),
        ("i am a school teacher.", "job"),
        ("i live in ohio.", "home"),
        ("i like rain.", None),
    ],
)
def test_attributes_are_recognised(sentence, name):
    assert attribute(sentence) == name


def test_another_value_shares_no_word_with_the_reply():
    entailed = [
        ("i work at a bank.", "i work in the bank downtown"),
        ("i work as a nurse.", "i work as a nurse at night"),
        ("i live in ohio.", "i live in ohio, you?"),
        ("i live in france.", "i am from france"),
    ]
    values = mine(entailed, 100, seed=1)["value"]
    assert values
    for premise, reply in values:
        assert attribute(premise) == attribute(reply) and not content_words(premise) & content_words(reply)


def test_sentence_and_reply_are_negated_by_the_same_rule():
    premise, reply = both_negated("i love rain.", "yes, i really love the rain", random.Random(3))
    assert "love" not in premise + reply and premise.endswith("rain.") and reply.startswith("yes, i ")
    assert both_negated("i love rain.", "rain is great", random.Random(3)) is None
    assert both_negated("i love rain.", "i do not love rain", random.Random(3)) is None


def test_overlapping_pairs_share_one_word():
    entailed = [
        ("my purple boat leaks badly.", "my purple boat leaks badly again"),
        ("we sold grandma's old boat.", "the old boat of grandma is sold"),
        ("i paint purple doors daily.", "every day i paint doors purple"),
    ]
    found = {pair for seed in range(20) for pair in mine(entailed, 10, seed)["overlap"]}
    assert ("my purple boat leaks badly.", "every day i paint doors purple") in found
    for premise, reply in found:
        assert len(content_words(premise) & content_words(reply)) == 1


def test_mining_is_seeded_and_bounded():
    entailed = [(f"i love food number {n}.", f"i love food number {n} so much") for n in range(50)]
    assert mine(entailed, 7, seed=1) == mine(entailed, 7, seed=1)
    assert {kind: len(pairs) for kind, pairs in mine(entailed, 7, seed=1).items()}["negation"] == 7
