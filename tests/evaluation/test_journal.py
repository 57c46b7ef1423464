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
    assert again.get("a") and not again.get("b")
    again.add("b", 2)
    last = Journal(path, {"seed": 1})
    assert (last.get("a"), last.get("b"), last.get("c")) == ([1, "ü"], 2, None)


def test_a_piece_that_is_done_again_replaces_the_first(tmp_path):
    path = tmp_path / "progress.jsonl"
    journal = Journal(path, {})
    journal.add("a", 1)
    journal.add("a", 2)
    assert Journal(path, {}).get("a") == 2


def test_other_settings_are_refused_by_name(tmp_path):
    path = tmp_path / "progress.jsonl"
    Journal(path, {"seed": 1, "limit": 5}).add("a", 1)
    with pytest.raises(DataError, match=r"other settings \(seed\)"):
        Journal(path, {"seed": 2, "limit": 5})
    assert Journal(path, {"seed": 1, "limit": 5}).get("a") == 1


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text(json.dumps({"seed": 1}) + "\nnot json\n")
    with pytest.raises(DataError, match="damaged"):
        Journal(path, {"seed": 1})
