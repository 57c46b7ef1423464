"""The persona editor's rows and the example personas."""

import random

import pytest

from pal.dialogue.persona import MAX_SENTENCES, another, load_examples
from pal.errors import DataError, PersonaError
from pal.ui import explore_persona, explore_views


def test_rows_are_added_moved_and_removed():
    rows = ["a", "b", "c"]
    assert explore_persona.add(rows) == ["a", "b", "c", ""]
    assert explore_persona.move_up(rows, 2) == ["a", "c", "b"]
    assert explore_persona.move_up(rows, 0) == rows
    assert explore_persona.remove(rows, 1) == ["a", "c"]
    assert explore_persona.remove(["a"], 0) == [""]


def test_no_row_past_the_limit():
    with pytest.raises(PersonaError, match="at most 9"):
        explore_persona.add(["x"] * MAX_SENTENCES)


def test_the_status_counts_or_says_what_is_wrong():
    assert explore_views.row_status(["I am a nurse.", "", " "]) == (
        "1 of 9 sentences, each up to 200 characters",
        True,
    )
    for rows, words in [
        ([""], "empty"),
        (["x" * 201], "sentence 1 has 201"),
        (["Twice.", "twice."], "there twice"),
    ]:
        text, fine = explore_views.row_status(rows)
        assert words in text and not fine


def test_text_becomes_rows_unless_it_breaks_a_limit():
    assert explore_persona.from_text("I am a nurse.\n\n  I have  a cat. ") == [
        "I am a nurse.",
        "I have a cat.",
    ]
    marked = "- I sail.\n* I am 5 feet tall.\n3. I have 2 cats.\n• I cook.\n1980 was my year."
    assert explore_persona.from_text(marked) == [
        "I sail.", "I am 5 feet tall.", "I have 2 cats.", "I cook.", "1980 was my year."
    ]  # fmt: skip
    with pytest.raises(PersonaError, match="has 50 sentences"):
        explore_persona.from_text("\n".join(f"I am number {n}." for n in range(50)))
    with pytest.raises(PersonaError, match="empty"):
        explore_persona.from_text(None)


def test_there_are_at_least_twelve_different_examples_within_the_limits():
    examples = load_examples()
    assert len({example.title for example in examples}) == len(examples) >= 12
    sentences = [sentence for example in examples for sentence in example.persona.sentences]
    assert len(set(sentences)) == len(sentences)
    for example in examples:
        assert 4 <= len(example.persona) <= 6
        assert all(sentence.startswith(("I ", "My ")) for sentence in example.persona.sentences)
        assert 1 <= len(example.suggestions) <= 4


def test_a_random_example_is_another_one():
    examples = load_examples()
    drawn = {another(examples, examples[0].title, random.Random(seed)).title for seed in range(200)}
    assert drawn == {example.title for example in examples[1:]}


def test_a_broken_example_file_is_named(tmp_path):
    path = tmp_path / "personas.json"
    path.write_text('{"personas": [{"name": "A", "tagline": "b", "sentences": [], "suggestions": []}]}')
    with pytest.raises(DataError, match="personas.json"):
        load_examples(path)
