"""One command from the data to three adapters."""

import json
import shutil

import pytest

from pal.chat.variants import shipped
from pal.commands.main import main
from pal.models.adapters import adapter_path
from pal.settings import REPOSITORY, Settings
from pal.training import pipeline
from pal.training.pairs import read_pairs
from pal.training.pipeline import plan

RECIPE = """
baseline:
  data:
    - {file: dialogues.jsonl, speakers: [A, B]}
  steps: 1
  batch: 2
  rank: 2
stage1:
  data:
    - {file: dialogues.jsonl, speakers: [A, B]}
  steps: 1
  batch: 2
  rank: 2
align:
  data:
    - {file: dialogues.jsonl, limit: 3}
  steps: 1
  batch: 1
"""


@pytest.fixture
def arguments(tmp_path):
    """Arguments of ``train all`` on the sample dialogues, one step each."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(REPOSITORY / "assets" / "sample_dialogues.jsonl", data / "dialogues.jsonl")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    return ["train", "all", "--data", str(data), "--recipe", str(recipe), "--out", str(tmp_path / "run")]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_command_makes_three_adapters_and_goes_on_where_it_stopped(arguments, tmp_path):
    assert main(arguments) == 0
    out = tmp_path / "run"
    for variant in shipped().names:
        assert adapter_path(variant, out / "adapters")
        assert json.loads((out / variant / "record.json").read_text())["finished_steps"] == 1
    assert read_pairs(out / "pairs.jsonl")
    labelled = [json.loads(line) for line in (out / "data" / "dialogues.jsonl").read_text().splitlines()]
    assert all(turn["persona"] is not None for row in labelled for turn in row["turns"])

    before = {path: path.stat().st_mtime_ns for path in (out / "data").iterdir()}
    shutil.rmtree(out / "aligned")
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "data").iterdir()} == before
    assert (out / "aligned" / "record.json").is_file()


def test_a_missing_file_is_named_before_anything_is_done(arguments, tmp_path, capsys):
    (tmp_path / "data" / "dialogues.jsonl").unlink()
    assert main(arguments) == 1
    assert "lacks dialogues.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_recipe_with_a_second_round_ends_with_it(tmp_path, monkeypatch):
    steps = plan("cpu", tmp_path, tmp_path / "run", Settings())
    assert [step.name for step in steps] == ["label", "baseline", "stage1", "pairs", "align", "realign"]
    calls = []
    monkeypatch.setattr(pipeline, "train_preferences", lambda *args, **kwargs: calls.append((args, kwargs)))
    steps[-1].run()
    [((recipe, _, start, out), kwargs)] = calls
    assert recipe.task == "realign" and kwargs == {"kinds": ("parroting",)}
    assert (start, out) == (tmp_path / "run" / "aligned" / "adapter", tmp_path / "run" / "realigned")
