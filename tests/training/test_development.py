"""The learning curve's dialogues."""

import json

import pytest
import torch

from pal.errors import DataError
from pal.training.policy import Policy, new_adapter
from pal.training.sft import Development
from tests.support.tiny import tiny_model, tiny_renderer


def dialogues(path, count, persona):
    turns = [{"speaker": "A", "text": "job ?"}, {"speaker": "B", "text": "nurse .", "persona": [0]}]
    row = {"source": "t", "personas": {"A": [], "B": persona}, "turns": turns}
    path.write_text("".join(json.dumps({"id": str(number), **row}) + "\n" for number in range(count)))
    return path


def test_fewer_dialogues_than_asked_for_are_all_measured(tmp_path):
    path = dialogues(tmp_path / "dev.jsonl", 3, ["i am a nurse ."])
    renderer = tiny_renderer()
    development = Development(path, 40, renderer, selects=True)
    assert development.size == 3 and Development(path, 2, renderer, selects=True).size == 2
    policy = Policy(new_adapter(tiny_model(), 2, 4, 0.0, 1), renderer.option_ids(9))
    figures = development.measure(policy, torch.device("cpu"))
    assert figures["dev_perplexity"] > 1 and 0 <= figures["dev_accuracy"] <= 1


def test_a_file_without_any_persona_is_refused(tmp_path):
    path = dialogues(tmp_path / "dev.jsonl", 3, ["i am a nurse ."])
    path.write_text(path.read_text().replace('["i am a nurse ."]', "[]").replace('"persona": [0]', '"x": 0'))
    with pytest.raises(DataError, match="dev.jsonl: speaker B has no persona"):
        Development(path, 40, tiny_renderer(), selects=True)
