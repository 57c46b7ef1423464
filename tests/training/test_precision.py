"""bf16 where it is fast, and the record says which."""

import dataclasses

import pytest
import torch

from pal.training.recipe import Recipe, build_recipe, fast_bf16, settled


def test_auto_is_settled_by_the_machine_and_named_in_the_recipe(monkeypatch):
    auto = build_recipe({"task": "stage1", "precision": "auto"}, "here")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for has, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: {"avx512_bf16": has})
        result = settled(auto)
        assert result == dataclasses.replace(auto, precision=expected)
        assert f"precision: {expected}" in result.resolved()


@pytest.mark.parametrize("chosen", ["fp32", "bf16"])
def test_a_chosen_precision_stays(chosen):
    recipe = Recipe(task="stage1", precision=chosen)
    assert settled(recipe) is recipe


def test_gpus_are_fast():
    assert fast_bf16(torch.device("cuda"))
