"""Training that goes on from an adapter."""

import json
import shutil

import pytest

from pal.errors import DataError, RecipeError
from pal.settings import REPOSITORY
from pal.training import sft
from pal.training.recipe import DataSource, Recipe
from pal.training.sft import train_sft
from tests.support.tiny import tiny_model, tiny_renderer

RECIPE = Recipe(
    task="stage1", data=(DataSource("sample_dialogues.jsonl"),), batch=4, steps=3, rank=4, alpha=8,
    warmup_steps=1, learning_rate=5e-2, max_tokens=2048,
)  # fmt: skip


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(sft.bases, "load_base_model", lambda: tiny_model())
    monkeypatch.setattr(sft.bases, "open_renderer", tiny_renderer)
    shutil.copy(REPOSITORY / "assets" / "sample_dialogues.jsonl", tmp_path)
    return tmp_path


def record(out):
    return json.loads((out / "record.json").read_text())


def test_a_run_goes_on_from_an_adapter_whose_rank_holds(data):
    train_sft(RECIPE, data, data / "first")
    start = data / "first" / "adapter"
    further = Recipe(**{**RECIPE.__dict__, "rank": 16, "alpha": 32, "learning_rate": 1e-9})
    train_sft(further, data, data / "second", start=start)
    train_sft(further, data, data / "anew")
    first, second, anew = (record(data / name) for name in ("first", "second", "anew"))
    assert "rank: 4\nalpha: 8" in second["recipe"] and "start" in second["data_sha256"]
    losses = [sum(step["reply"] for step in run["curve"]) for run in (first, second, anew)]
    assert losses[1] < losses[0] and losses[1] < losses[2]
    with pytest.raises(RecipeError, match="another recipe or other data"):
        train_sft(further, data, data / "second", start=data / "anew" / "adapter")


def test_a_folder_without_an_adapter_is_named(data):
    with pytest.raises(DataError, match="nowhere: no adapter in it"):
        train_sft(RECIPE, data, data / "out", start=data / "nowhere")
