"""Readers: three formats in, a named line on error."""

import json

import pytest

from pal.dialogue.readers import read_dialogues
from pal.dialogue.turns import Utterance
from pal.errors import DataError

ROW = {
    "id": "d1",
    "source": "test",
    "personas": {"A": ["i ski ."], "B": ["i am a nurse .", "i have a cat ."]},
    "turns": [
        {"speaker": "A", "text": "hi , what do you do ?", "persona": None},
        {"speaker": "B", "text": "i am a nurse .", "persona": [0]},
        {"speaker": "A", "text": "cool .", "persona": None},
        {"speaker": "B", "text": "yes , it is .", "persona": []},
    ],
}

PARLAI_SELF = """1 your persona: i am a nurse .
2 your persona: i have a cat .
3 hi , what do you do ?\ti am a nurse .\t\ta|b|i am a nurse .
4 cool .\tyes , it is .\t\tc|d|yes , it is .
1 your persona: i sail .
2 __SILENCE__\tahoy !
"""

PARLAI_BOTH = """1 your persona: i am a nurse .
2 partner's persona: i ski .
3 hi !\thello .
"""


def write(tmp_path, text, name="data.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_jsonl(tmp_path):
    [dialogue] = read_dialogues(write(tmp_path, json.dumps(ROW) + "\n\n"))
    assert dialogue.personas["B"] == ("i am a nurse .", "i have a cat .")
    assert dialogue.turns[1] == Utterance("B", "i am a nurse .", (0,))
    assert dialogue.turns[3].persona == () and dialogue.turns[0].persona is None


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path):
    row = ROW | {"turns": [{"speaker": "A", "text": "one\u2028two\x85three", "persona": None}]}
    [dialogue] = read_dialogues(write(tmp_path, json.dumps(row, ensure_ascii=False) + "\n"))
    assert dialogue.turns[0].text == "one\u2028two\x85three"


def test_parlai_with_candidates_and_opening_silence(tmp_path):
    first, second = read_dialogues(write(tmp_path, PARLAI_SELF))
    assert first.personas == {"A": (), "B": ("i am a nurse .", "i have a cat .")}
    assert [turn.text for turn in first.turns] == [
        "hi , what do you do ?",
        "i am a nurse .",
        "cool .",
        "yes , it is .",
    ]
    assert second.turns == (Utterance("B", "ahoy !"),)


def test_parlai_both_personas_without_candidates(tmp_path):
    [dialogue] = read_dialogues(write(tmp_path, PARLAI_BOTH))
    assert dialogue.personas == {"A": ("i ski .",), "B": ("i am a nurse .",)}


def test_hub_json(tmp_path):
    entry = {
        "personality": ["i sail ."],
        "utterances": [
            {"history": ["hi"], "candidates": ["x", "hello"]},
            {"history": ["hi", "hello", "who are you ?"], "candidates": ["y", "a sailor ."]},
        ],
    }
    [dialogue] = read_dialogues(write(tmp_path, json.dumps({"train": [entry], "valid": []}), "hub.json"))
    assert [(turn.speaker, turn.text) for turn in dialogue.turns] == [
        ("A", "hi"), ("B", "hello"), ("A", "who are you ?"), ("B", "a sailor ."),
    ]  # fmt: skip
    assert dialogue.personas["B"] == ("i sail .",)


def changed(**changes):
    return json.dumps({**ROW, **changes})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (json.dumps(ROW) + "\n{broken", r"line 2: not JSON"),
        (json.dumps(ROW) + "\n[1]", r"line 2: expected a JSON object"),
        ('{"id": "x", "personas": {}}', r"line 1: missing 'turns'"),
        (changed(turns=[{"speaker": "C", "text": "x"}]), r"line 1: turn 0: speaker must be A or B"),
        (changed(turns=[{"speaker": "B", "text": "x", "persona": [2]}]), r"line 1: turn 0: persona \[2\]"),
        (changed(turns=[{"speaker": "B", "text": "x", "persona": [-1]}]), r"line 1: turn 0: persona \[-1\]"),
        (
            changed(turns=[{"speaker": "B", "text": "x", "persona": [True]}]),
            r"line 1: turn 0: persona \[True\]",
        ),
        (changed(turns=[{"speaker": "B", "text": 3}]), r"line 1: turn 0: text must be a string"),
        ("1 your persona: x\n2 only a message\n", r"line 2: expected “message<TAB>reply”"),
        ("1 your persona: x\n3 a\tb\n", r"line 2: line 3 follows line 1"),
        ("1 your persona: x\nno number\n", r"line 2: a ParlAI line starts"),
        ('{"train": [{"personality": ["x"]}]}', r"train entry 0: missing 'utterances'"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, text, says):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=says) as error:
        read_dialogues(path)
    assert str(path) in str(error.value)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_dialogues(tmp_path / "none.jsonl")
