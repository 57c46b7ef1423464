"""``python -m pal consistency``, with a stand-in for the model."""

import json

import numpy as np
import pytest

from pal.commands import consistency
from pal.commands.main import main
from pal.models.consistency import LABELS

ROWS = [
    {"premise": "I sing.", "hypothesis": "I do sing.", "label": "entailment", "kind": "a", "id": 7},
    {"premise": "I sing.", "hypothesis": "I never sing.", "label": "neutral", "kind": "b"},
    {"premise": "I sing.", "hypothesis": "It rains\u2028today.", "label": "neutral"},
]


class Model:
    """Says entailment, unless the reply has "never" in it or rain."""

    def probabilities(self, pairs):
        def row(reply):
            if "never" in reply:
                return [0.8, 0.15, 0.05]
            return [0.1, 0.7, 0.2] if "rain" in reply else [0.05, 0.05, 0.9]

        return np.array([row(reply) for _, reply in pairs], np.float32)


@pytest.fixture
def loaded(monkeypatch):
    """What was asked of the loader."""
    calls = []

    def load(folder, *, quantised):
        calls.append((folder, quantised))
        return Model()

    monkeypatch.setattr(consistency.ConsistencyModel, "load", load)

    class Encoder:
        def __init__(self, *args, **kwargs):
            pass

        def embed(self, texts):
            return np.array([[1.0, len(text)] for text in texts]) / 100

    monkeypatch.setattr("pal.evaluation.consistency.MiniLMEncoder", Encoder)
    monkeypatch.setattr("pal.evaluation.consistency.fetch_encoder", lambda: None)
    return calls


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_every_row_comes_back_with_its_fields_and_probabilities(tmp_path, loaded):
    rows = [{name: value for name, value in row.items() if name != "label"} for row in ROWS]
    out = tmp_path / "new" / "scored.jsonl"
    assert main(["consistency", "--data", write(tmp_path / "in.jsonl", rows), "--out", str(out)]) == 0
    scored = read(out)
    assert [{k: v for k, v in row.items() if k != "probabilities"} for row in scored] == rows
    assert scored[1]["probabilities"] == {"contradiction": 0.8, "neutral": 0.15, "entailment": 0.05}
    assert [path.name for path in out.parent.iterdir()] == ["scored.jsonl"]
    assert [quantised for _, quantised in loaded] == [True]


def test_a_file_can_be_scored_in_place(tmp_path, loaded):
    path = tmp_path / "in.jsonl"
    assert main(["consistency", "--data", write(path, ROWS), "--out", str(path), "--exact"]) == 0
    assert all(set(row["probabilities"]) == set(LABELS) for row in read(path))
    assert [quantised for _, quantised in loaded] == [False]


def test_labelled_rows_are_measured_and_mistakes_shown_only_when_asked(tmp_path, loaded, capsys):
    data, out, report = (
        write(tmp_path / "in.jsonl", ROWS),
        str(tmp_path / "out.jsonl"),
        tmp_path / "report.json",
    )
    assert main(["consistency", "--data", data, "--out", out, "--report", str(report)]) == 0
    written = json.loads(report.read_text())
    assert written["model"]["accuracy"] == pytest.approx(2 / 3)
    assert written["model"]["confusion"] == [[0, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert "threshold" in written["cosine"] and "same rows" in written["cosine"]["fitted"]
    assert "worst_mistakes" not in written and "never sing" not in capsys.readouterr().out
    assert (
        main(["consistency", "--data", data, "--out", out, "--report", str(report), "--show-mistakes"]) == 0
    )
    [mistake] = json.loads(report.read_text())["worst_mistakes"]
    assert mistake["hypothesis"] == "I never sing." and mistake["verdict"] == "contradiction"
    assert "I never sing." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"premise": "I sing."}', "line 2: “hypothesis” must be text, found nothing"),
        ('{"premise": 3, "hypothesis": "x"}', "line 2: “premise” must be text, found int"),
        ('{"premise": "x", "hypothesis": "\\ud800"}', "line 2: “hypothesis” holds half of a character"),
        ('{"premise": "x", "hypothesis": "y", "label": "maybe"}', "line 2: label 'maybe' is none of"),
        ('{"premise": "x", "hypothesis": "y", "label": ["neutral"]}', "line 2: label"),
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: expected a JSON object"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, loaded, capsys, line, words):
    data, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    data.write_text(json.dumps(ROWS[0]) + "\n" + line + "\n", encoding="utf-8")
    assert main(["consistency", "--data", str(data), "--out", str(out)]) == 1
    shown = capsys.readouterr().err
    assert words in shown and "in.jsonl" in shown and "Traceback" not in shown
    assert not out.exists() and not loaded


def test_what_cannot_be_done_is_one_line(tmp_path, loaded, capsys):
    out = str(tmp_path / "out.jsonl")
    unlabelled = write(tmp_path / "u.jsonl", [ROWS[0], {"premise": "x", "hypothesis": "y"}])
    empty = write(tmp_path / "empty.jsonl", [])
    (tmp_path / "file").write_text("")
    for arguments, words in [
        ([], "--data FILE and --out FILE"),
        (["--data", str(tmp_path / "none"), "--out", out], "cannot be read"),
        (["--data", empty, "--out", out], "has no rows"),
        (["--data", unlabelled, "--out", out, "--report", "r.json"], "row 2 has no label"),
        (["--data", unlabelled, "--out", str(tmp_path / "file" / "out")], "cannot be written"),
    ]:
        assert main(["consistency", *arguments]) == 1
        shown = capsys.readouterr().err.splitlines()[-1]
        assert shown.startswith("error: ") and words in shown


def test_a_missing_model_says_how_to_get_one(tmp_path, capsys):
    data = write(tmp_path / "in.jsonl", ROWS)
    arguments = ["--data", data, "--out", str(tmp_path / "o"), "--model", str(tmp_path / "none")]
    assert main(["consistency", *arguments]) == 1
    assert "train consistency" in capsys.readouterr().err
