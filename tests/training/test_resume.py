"""A run that is killed goes on from its last saved step, wherever the kill fell."""

import dataclasses
import json
import os
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file

from pal.errors import RecipeError
from pal.training import loop
from tests.support import train_tiny

RECIPE = dataclasses.replace(train_tiny.RECIPE, steps=4, save_steps=2)


class Killed(BaseException):
    """Nothing that ordinary code handles."""


@pytest.fixture
def steps(monkeypatch):
    """Numbers of the steps that are made, from 0."""
    made = []
    step = loop._step

    def counted(task, policy, optimizer, recipe, number, *rest):
        made.append(number)
        return step(task, policy, optimizer, recipe, number, *rest)

    monkeypatch.setattr(loop, "_step", counted)
    return made


def killed_after(changes, patch):
    """Kill the process at the next change of a file after so many."""
    left = [changes]

    def watched(change):
        def call(*args, **kwargs):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return change(*args, **kwargs)

        return call

    for place, name in (
        (os, "rename"), (os, "replace"), (shutil, "rmtree"), (loop, "save_file"), (torch, "save"),
    ):  # fmt: skip
        patch.setattr(place, name, watched(getattr(place, name)))
    return left


def state(out):
    saved = json.loads((out / "state" / "state.json").read_text())
    return load_file(out / "state" / saved["folder"] / "weights.safetensors")


@pytest.mark.slow
def test_a_run_killed_at_any_change_of_a_file_goes_on_from_its_last_state(tmp_path, monkeypatch, steps):
    whole = train_tiny.main(tmp_path / "whole", RECIPE)
    with monkeypatch.context() as patch:
        left = killed_after(1000, patch)
        train_tiny.main(tmp_path / "half", dataclasses.replace(RECIPE, steps=2))
        first_save = 1000 - left[0]
    starts = set()
    for changes in range(first_save, 2 * first_save + 5):
        out = tmp_path / f"killed-{changes}"
        with monkeypatch.context() as patch:
            left = killed_after(changes, patch)
            try:
                train_tiny.main(out, RECIPE)
                break
            except Killed:
                pass
        steps.clear()
        assert train_tiny.main(out, RECIPE) == whole
        assert steps in ([2, 3], [])
        starts.add(len(steps))
        assert json.loads((out / "record.json").read_text())["finished_steps"] == 4
        adapters = [load_file(run / "adapter/adapter_model.safetensors") for run in (out, tmp_path / "whole")]
        torch.testing.assert_close(*adapters)
        torch.testing.assert_close(state(out), state(tmp_path / "whole"))
    else:
        pytest.fail("the run was killed at its last change too")
    assert starts == {2, 0}


def test_a_run_saved_before_a_setting_existed_goes_on(tmp_path, steps):
    out = tmp_path / "run"
    train_tiny.main(out, RECIPE)
    [folder] = [path for path in (out / "state").iterdir() if path.is_dir()]
    for path in folder.iterdir():
        path.rename(out / "state" / path.name)
    folder.rmdir()
    saved = json.loads((out / "state" / "state.json").read_text())
    settings = yaml.safe_load(saved["recipe"])
    del settings["mined"], saved["folder"]
    (out / "state" / "state.json").write_text(json.dumps({**saved, "recipe": yaml.safe_dump(settings)}))
    steps.clear()
    assert len(train_tiny.main(out, RECIPE)) == 4 and not steps
    with pytest.raises(RecipeError, match="another recipe"):
        train_tiny.main(out, dataclasses.replace(RECIPE, mined=1))
