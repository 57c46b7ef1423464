"""Numbers, relatives and polarity of a sentence, read by rule."""

import pytest

from pal.training.detail_words import Details, keeps_details, number_words, read_details


def test_numerals_and_words_are_one_number_and_synonyms_one_relative():
    assert read_details("My mom has twenty-five cats, 3 dogs and no hens.") == Details(
        frozenset({25, 3}), frozenset({"mother"}), True
    )
    assert read_details("I am one of a kind, I ran 2.5 miles, on the 4th.") == Details(
        frozenset(), frozenset(), False
    )
    assert read_details("I don't eat meat").negated and read_details("i don ' t eat meat").negated


@pytest.mark.parametrize("value", range(2, 100))
def test_numbers_in_words_are_read_back(value):
    assert read_details(f"I have {number_words(value)} hats.").numbers == {value}


@pytest.mark.parametrize(
    ("reply", "sentence", "kept"),
    [
        ("Yes, I have 5 dogs.", "I have five dogs.", True),
        ("Yes, I have three dogs.", "I have five dogs.", False),
        ("I have no dogs.", "I have five dogs.", False),
        ("My mom is a nurse.", "My mother is a nurse.", True),
        ("My sister is a nurse.", "My mother is a nurse.", False),
        ("I love meat!", "I do not eat meat.", False),
        ("I like tea.", "I have five dogs.", False),
    ],
)
def test_a_reply_keeps_the_details_or_not(reply, sentence, kept):
    assert keeps_details(reply, sentence) is kept
