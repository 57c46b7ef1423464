"""What the app is wired from: the consistency model is never what stops it."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pal.chat import session
from pal.chat.session import build_responder, consistency_model
from pal.dialogue.prompt import Renderer, TurnMarkers
from pal.errors import CheckpointError
from pal.models.consistency import FOLDER, ConsistencyModel
from pal.settings import Settings
from tests.fakes import CharTokenizer, FakeEngine, read


def test_the_repositorys_model_is_taken_unless_the_setting_turns_it_off(monkeypatch):
    asked = []
    monkeypatch.setattr(ConsistencyModel, "load", lambda folder: asked.append(folder) or "model")
    assert consistency_model(Settings()) == "model" and asked == [FOLDER]
    assert consistency_model(Settings(consistency=False)) is None and len(asked) == 1


def test_a_missing_model_leaves_the_app_without_badges_and_says_so_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert consistency_model(Settings(), tmp_path / "none") is None
    [record] = caplog.records
    assert "without badges" in record.message and str(tmp_path / "none") in record.message


def test_a_damaged_model_leaves_the_app_without_badges(tmp_path, monkeypatch, caplog):
    def fail(folder):
        raise CheckpointError("calibration.json is no calibration")

    monkeypatch.setattr(ConsistencyModel, "load", fail)
    assert consistency_model(Settings(), tmp_path) is None
    assert "no calibration" in caplog.text


@pytest.mark.parametrize("module", ["pal.chat.responder", "pal.chat.session", "pal.models.consistency"])
def test_importing_what_serves_loads_no_model_library(module):
    heavy = ("torch", "transformers", "peft", "onnx", "onnxruntime", "gradio")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_chat_speaks_the_markers_of_its_engines_base(monkeypatch):
    monkeypatch.setattr(session, "selection_settings", lambda *_: {})
    engine = FakeEngine()
    engine.renderer = Renderer(CharTokenizer(), TurnMarkers("<turn>", "</turn>"), 100)
    responder = build_responder(Settings(consistency=False), engine)
    prompt = read(responder.renderer.selection_prompt(["I sail."], (), "Hi!"))
    assert prompt.startswith("<turn>system\n") and "Hi!</turn>" in prompt and "<|im_" not in prompt
    assert responder.renderer.context == 100
