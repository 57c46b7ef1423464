"""Resuming: what is finished survives a kill."""

import json

import pytest

from pal.errors import DataError
from pal.evaluation.journal import Journal


def test_finished_pieces_survive_and_a_cut_line_is_dropped(tmp_path):
    path = tmp_path / "progress.jsonl"
    Journal(path, {"seed": 1}).add("a", [1, "ü"])
    with path.open("a") as file:
        file.write('{"key": "b", "val')
    again = Journal(path, {"seed": 1})
    assert "a" in again and "b" not in again
    again.add("b", 2)
    last = Journal(path, {"seed": 1})
    assert (last["a"], last["b"]) == ([1, "ü"], 2)
    last.close()
    assert not path.exists()


def test_other_settings_are_refused_by_name(tmp_path):
    path = tmp_path / "progress.jsonl"
    Journal(path, {"seed": 1, "limit": 5}).add("a", 1)
    with pytest.raises(DataError, match=r"other settings \(seed\)"):
        Journal(path, {"seed": 2, "limit": 5})
    assert Journal(path, {"seed": 1, "limit": 5})["a"] == 1


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text(json.dumps({"seed": 1}) + "\nnot json\n")
    with pytest.raises(DataError, match="damaged"):
        Journal(path, {"seed": 1})
