"""Answers with one detail made wrong."""

import random

import pytest

from pal.training.corruptions import corruptions
from pal.training.detail_words import read_details


def corrupted(answer, sentence, seed=1):
    return {item.detail: item.text for item in corruptions(answer, sentence, random.Random(seed))}


def test_each_shared_detail_is_made_wrong_alone():
    answer, sentence = "Yes, my mom has two cats in Oslo.", "My mother has 2 cats in Oslo."
    result = corrupted(answer, sentence)
    assert set(result) == {"number", "relative", "name", "word"}
    right = read_details(sentence)
    for seed in range(50):
        result = corrupted(answer, sentence, seed)
        number, relative = read_details(result["number"]), read_details(result["relative"])
        assert number.numbers.isdisjoint(right.numbers) and number.relatives == right.relatives
        assert relative.relatives.isdisjoint(right.relatives) and relative.numbers == right.numbers
        assert result["name"].startswith("Yes, my mom has two cats in ") and "Oslo" not in result["name"]
        assert "cat" not in result["word"] and result["word"].endswith("s in Oslo.")


@pytest.mark.parametrize(
    ("answer", "sentence", "opposite"),
    [
        ("Yes, I have two dogs.", "I have two dogs.", "No, I don't have two dogs."),
        ("No, I do not smoke.", "I don't smoke.", "Yes, I smoke."),
        ("I love jazz. And you?", "I love jazz.", "I don't like jazz. And you?"),
        ("I hate snow.", "I can't stand snow.", "I love snow."),
        ("I'm a nurse.", "I am a nurse.", "I'm not a nurse."),
        ("I can't swim.", "I can't swim.", "I can swim."),
        ("I do, I play chess.", "I play chess.", "No, I never play chess."),
        ("Hello! My dog is old.", "My dog is old.", "Hello! My dog is not old."),
        ("It's red.", "My hair is red.", "It's not red."),
    ],
)
def test_the_opposite(answer, sentence, opposite):
    assert corrupted(answer, sentence)["negation"] == opposite


def test_only_what_answer_and_sentence_share_is_changed():
    assert corrupted("My 3 sons love Rome.", "I have a sister in Oslo.") == {} or set(
        corrupted("My 3 sons love Rome.", "I have a sister in Oslo.")
    ) <= {"negation"}
    assert "number" not in corrupted("I have cats.", "I have two cats.")


def test_an_article_fits_its_new_word():
    texts = {corrupted("I'm a nurse.", "I am a nurse.", seed)["word"] for seed in range(200)}
    assert "I'm an optician." in texts and not any(" a o" in text or " an b" in text for text in texts)


def test_he_and_she_stay_right():
    for seed in range(50):
        text = corrupted("My wife is a vet, she loves it.", "My wife is a vet.", seed)["relative"]
        assert not read_details(text).relatives & {"husband", "brother", "father", "son", "wife"}


def test_corruptions_are_seeded():
    answer, sentence = "I have two cats in Oslo.", "I have two cats in Oslo."
    assert corrupted(answer, sentence, 3) == corrupted(answer, sentence, 3)
    assert len({corrupted(answer, sentence, seed)["number"] for seed in range(20)}) > 2
