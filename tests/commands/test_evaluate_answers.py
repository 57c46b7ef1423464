"""``pal evaluate-answers``: checks given or sampled replies and says what the checker's word is worth."""

import contextlib
import json

import numpy as np
import pytest

from pal.__main__ import main
from pal.chat.responder import Responder
from pal.chat.variants import shipped
from pal.commands import evaluate_answers
from pal.dialogue.prompt import Renderer
from tests.evaluation.fakes import CharacterTokenizer, ScriptedEngine

ROW = {
    "persona": ["I drink five cups of coffee a day.", "I live in Leeds."],
    "question": "How much coffee do you drink?",
    "sentence": [0],
    "kind": "plain",
}
READ = {"split": "tune", "right": True, "contradicts": False, "reason": "right"}
REPLIES = [
    ROW | READ | {"variant": "stage1", "reply": "I drink five cups of coffee."},
    ROW
    | READ
    | {"variant": "aligned", "reply": "I drink three cups of coffee.", "right": False, "contradicts": True},
]


class Entailed:
    def probabilities(self, pairs):
        return np.array([[0.02, 0.05, 0.93]] * len(pairs))


@pytest.fixture(autouse=True)
def model(monkeypatch):
    monkeypatch.setattr(evaluate_answers.ConsistencyModel, "load", lambda folder: Entailed())


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_given_replies(tmp_path, capsys):
    replies, out = write(tmp_path / "replies.jsonl", REPLIES), tmp_path / "answers.json"
    command = ["evaluate-answers", "--replies", replies, "--labelled", replies, "--out", str(out)]
    assert main(command) == 0
    results = json.loads(out.read_text())
    assert results["variants"]["stage1"]["right"]["value"] == 1
    assert results["replies"][1]["findings"][0]["text"] == "says 3, the persona says 5"
    assert results["agreement"]["tune"]["wrong"]["f1"]["value"] == 1
    assert "Checker, tune" in capsys.readouterr().out


def test_sampled_replies(tmp_path, monkeypatch):
    labelled, out = write(tmp_path / "labelled.jsonl", REPLIES), tmp_path / "answers.json"
    unanswerable = ROW | {"labels": [], "kind": "small_talk", "question": "Hello!"}
    data = write(tmp_path / "questions.jsonl", [ROW | {"labels": [0]}, unanswerable])
    engine = ScriptedEngine(lambda variant, prompt, options: (1.0,) + (0.0,) * (options - 1))
    responder = Responder(engine, Renderer(CharacterTokenizer()), shipped())
    monkeypatch.setattr(evaluate_answers, "opened", lambda page, variants: contextlib.nullcontext(responder))
    command = ["evaluate-answers", "--data", data, "--labelled", labelled, "--out", str(out), "--seed", "3"]
    assert main([*command, "--temperature", "0", "--selection", "pure"]) == 0
    results = json.loads(out.read_text())
    assert len(results["replies"]) == 3 and results["settings"]["seed"] == 3
    assert results["settings"]["decoding"]["temperature"] == 0


def test_a_temperature_out_of_range_is_refused(tmp_path, capsys):
    assert main(["evaluate-answers", "--out", str(tmp_path / "a.json"), "--temperature", "3"]) == 1
    assert "--temperature is 3" in capsys.readouterr().err
