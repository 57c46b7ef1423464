"""Rating items: PAL's own file, a host's, and clear errors by line."""

import json

import pytest

from pal.dialogue.turns import Exchange
from pal.errors import DataError
from pal.ratings.items import read_items
from pal.settings import Settings

GOOD = {
    "id": "one",
    "kind": "question",
    "persona": ["I am a nurse."],
    "history": [
        {"speaker": "user", "text": "Hi!"},
        {"speaker": "persona", "text": "Hello!"},
        {"speaker": "user", "text": " What do you do? "},
    ],
}
GOLD = {**GOOD, "id": "two", "replies": [{"text": "I nurse.", "quality": 2}, {"text": "No.", "quality": 1}]}


def written(tmp_path, *rows):
    path = tmp_path / "items.jsonl"
    path.write_text(
        "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8"
    )
    return path


def test_an_item_is_a_persona_exchanges_and_a_message(tmp_path):
    plain, gold = read_items(written(tmp_path, GOOD, "", GOLD))
    assert plain.history == (Exchange("Hi!", "Hello!"),) and plain.user == "What do you do?"
    assert not plain.gold and gold.gold
    assert [(reply.text, reply.quality) for reply in gold.replies] == [("I nurse.", 2), ("No.", 1)]


def test_the_persona_may_speak_first(tmp_path):
    [item] = read_items(written(tmp_path, {**GOOD, "history": GOOD["history"][1:]}))
    assert item.history == (Exchange(None, "Hello!"),)


def test_pals_own_items_are_enough_and_some_are_gold():
    items = read_items(Settings().rating_items)
    assert sum(not item.gold for item in items) >= 60
    assert sum(item.gold for item in items) >= 3 and {len(item.replies) for item in items} == {0, 3}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"persona": []}, "persona is empty"),
        ({"persona": ["x" * 201]}, "201 characters"),
        ({"persona": [7]}, "persona sentence is 7"),
        ({"history": []}, "must end with the user"),
        ({"history": GOOD["history"][:2]}, "must end with the user"),
        ({"history": [GOOD["history"][0]] * 2}, "user speaks twice"),
        ({"history": [GOOD["history"][1]] * 2 + GOOD["history"][2:]}, "persona speaks twice"),
        ({"history": [{"speaker": "bot", "text": "x"}]}, "speaker is “bot”"),
        ({"history": [{"speaker": "user"}]}, "“text” is missing"),
        ({"history": [{"speaker": "user", "text": "x" * 1001}]}, "1,001 characters"),
        ({"id": ""}, "id is ''"),
        ({"kind": None}, "kind is None"),
        ({"extra": 1}, "unknown field “extra”"),
        ({"replies": [{"text": "a", "quality": 1}, {"text": "b", "quality": 1}]}, "two different qualities"),
        ({"replies": [{"text": "a", "quality": 1}, {"text": "a", "quality": 2}]}, "are the same"),
        ({"replies": [{"text": "a", "quality": "good"}]}, "could not convert"),
    ],
)
def test_a_malformed_item_is_named_by_line(tmp_path, changes, words):
    with pytest.raises(DataError, match="line 2: not a rating item: .*" + words):
        read_items(written(tmp_path, GOLD, {**GOOD, **changes}))


def test_an_id_that_stands_twice_and_a_missing_or_empty_file_are_named(tmp_path):
    with pytest.raises(DataError, match="line 3: id “one” stands already on line 1"):
        read_items(written(tmp_path, GOOD, GOLD, GOOD))
    with pytest.raises(DataError, match="line 1: not JSON"):
        read_items(written(tmp_path, "{"))
    with pytest.raises(DataError, match="no rating items"):
        read_items(written(tmp_path, ""))
    with pytest.raises(DataError, match="cannot be read"):
        read_items(tmp_path / "missing.jsonl")
