"""Recipes: both load, unknown keys and impossible values are refused by name."""

import itertools

import pytest
import yaml

from pal.errors import RecipeError
from pal.training.loop import learning_rate
from pal.training.recipe import TASKS, build_recipe, load_recipe


@pytest.mark.parametrize("name", ["cpu", "gpu"])
@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_recipes_load_and_resolve(name, task):
    recipe = load_recipe(name, task)
    again = build_recipe(yaml.safe_load(recipe.resolved()), "resolved")
    assert again == recipe and recipe.task == task


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"learning_rat": 1}, "unknown setting “learning_rat”"),
        ({"data": [{"file": "x", "speaker": "B"}]}, "unknown setting “speaker”"),
        ({"data": ["x"]}, "each entry of data"),
        ({"data": 5}, "each entry of data"),
        ({"data": [{}]}, "file is missing"),
        ({"data": [{"file": 3}]}, "file is 3; it must be text"),
        ({"skip_parroting": "perhaps"}, "skip_parroting is 'perhaps'"),
        ({"batch": 0}, "batch is 0"),
        ({"batch": "many"}, "batch is 'many'"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"learning_rate": -1}, "learning_rate is -1"),
        ({"precision": "int4"}, "precision “int4”"),
        ({"restarts": [20, 10]}, "restarts is \\[20, 10\\]; it must be a rising list of steps"),
        ({"restarts": "never"}, "restarts is 'never'"),
        ({"task": "stage3"}, "unknown task “stage3”"),
    ],
)
def test_what_is_refused(content, says):
    with pytest.raises(RecipeError, match=says):
        build_recipe({"task": "stage1", **content}, "here.yaml")


def test_the_learning_rate_warms_up_falls_and_begins_anew_at_a_restart():
    recipe = build_recipe(
        {"task": "stage1", "steps": 30, "restarts": [20], "warmup_steps": 2, "learning_rate": 1.0}, "here"
    )
    rates = [learning_rate(recipe, step, 30) for step in range(30)]
    assert rates[0] == rates[20] == 0.5 and rates[1] == rates[21] == 1
    assert all(first > second for first, second in itertools.pairwise(rates[2:20]))
    assert all(first > second for first, second in itertools.pairwise(rates[22:]))
    once = build_recipe({"task": "stage1", "warmup_steps": 2, "learning_rate": 1.0}, "here")
    assert rates[:20] == [learning_rate(once, step, 20) for step in range(20)]


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(RecipeError, match="cpu, gpu"):
        load_recipe("tpu", "stage1")
