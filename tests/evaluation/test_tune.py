"""Choosing selection settings."""

import json

import numpy as np
import pytest

from pal.chat.selection import (
    SelectionSettings,
    TunedSelection,
    combine,
    read_selection,
    report_path,
    write_selection,
)
from pal.chat.variants import shipped
from pal.errors import DataError
from pal.evaluation.selection_metrics import SelectionMetrics, outcome
from pal.evaluation.tune import Distributions, judge, tune
from pal.evaluation.walk import Answer, WalkedTurn


def turn(probabilities, cosines, aligned=()) -> WalkedTurn:
    answers = {"stage1": Answer(model=tuple(probabilities)), "aligned": Answer(model=tuple(aligned))}
    return WalkedTurn(0, True, tuple(cosines), answers)


def material(seed: int, count: int, model_skill: float, prior_skill: float):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        sentences = int(rng.integers(2, 6))
        right = int(rng.integers(0, sentences + 1))
        logits = rng.normal(0, 1, sentences + 1)
        logits[right] += model_skill
        cosines = rng.uniform(0, 0.3, sentences)
        if right:
            cosines[right - 1] += prior_skill
        p = np.exp(logits) / np.exp(logits).sum()
        made.append(((right - 1,) if right else (), turn(p, cosines)))
    return made


def distributions(made) -> Distributions:
    return Distributions.of(
        [(labels, found.answers["stage1"].model, found.cosines) for labels, found in made]
    )


@pytest.mark.parametrize(
    "settings", [SelectionSettings(), SelectionSettings(8, 0.3), SelectionSettings(none_bias=-1)]
)
def test_arrays_choose_as_serving_does(settings):
    made = material(1, 60, 1.0, 0.2)
    right, outcomes = 0, []
    for labels, found in made:
        chosen = combine(found.answers["stage1"].model, found.cosines, settings)
        right += chosen.selected in labels if labels else chosen.selected is None
        outcomes.append(outcome(labels, chosen.selected, chosen.probabilities))
    judged = judge(settings, distributions(made), distributions(made))
    assert judged.dialogue_accuracy == pytest.approx(right / 60)
    assert judged.dialogue_f1 == pytest.approx(SelectionMetrics(outcomes).f1(np.ones(60)))


def test_a_useful_prior_is_taken_and_helps_where_it_was_not_tuned():
    tuned, found = tune(["stage1"], material(2, 150, 0.5, 0.2), material(3, 60, 0.2, 0.4))
    assert tuned.used["stage1"].prior_weight > 0
    assert tuned.pure["stage1"].prior_weight == 0
    fresh = distributions(material(4, 300, 0.2, 0.4))
    pure, used = (judge(group["stage1"], fresh, fresh) for group in (tuned.pure, tuned.used))
    assert used.question_accuracy > pure.question_accuracy + 0.1
    assert found["stage1"]["combined"]["objective"] >= found["stage1"]["pure PAL"]["objective"]


def test_variants_share_the_prior_that_is_best_on_average():
    def both(first, second):
        return [
            (labels, turn(found.answers["stage1"].model, found.cosines, other.answers["stage1"].model))
            for (labels, found), (_, other) in zip(first, second, strict=True)
        ]

    dialogues = both(material(2, 150, 0.5, 0.2), material(2, 150, 2.0, 0.2))
    questions = both(material(3, 60, 0.2, 0.4), material(3, 60, 2.0, 0.4))
    tuned, found = tune(["stage1", "aligned"], dialogues, questions)
    assert tuned.used["stage1"] == tuned.used["aligned"] and tuned.used["stage1"].prior_weight > 0
    alone = {name: tune([name], dialogues, questions)[1][name] for name in ("stage1", "aligned")}
    assert alone["stage1"]["combined"]["settings"] != alone["aligned"]["combined"]["settings"]
    for name, own in alone.items():
        assert found[name]["pure PAL"] == own["pure PAL"]
        assert found[name]["combined"]["objective"] <= own["combined"]["objective"]


def test_a_prior_that_harms_the_ranking_in_dialogues_is_refused():
    dialogues = [(labels, turn(found.answers["stage1"].model, [-c for c in found.cosines]))
                 for labels, found in material(5, 200, 3.0, 0.8)]  # fmt: skip
    tuned, found = tune(["stage1"], dialogues, material(6, 200, 0.0, 0.8))
    pure, combined = found["stage1"]["pure PAL"], found["stage1"]["combined"]
    assert combined["hit_at_1"] >= pure["hit_at_1"] - 0.01
    assert combined["auc"] >= pure["auc"] - 0.01


def test_settings_survive_the_files(tmp_path):
    tuned = TunedSelection(
        {"stage1": SelectionSettings(6, 0.3), "aligned": SelectionSettings(none_bias=0.5)},
        {"stage1": SelectionSettings(none_bias=-1.5)},
        0.42,
    )
    path = tmp_path / "deep" / "selection.json"
    write_selection(path, tuned, {"chosen": {}})
    assert read_selection(path, shipped().selecting) == tuned
    assert set(json.loads(path.read_text())) == {"stage1", "aligned"}
    report_path(path).unlink()
    assert read_selection(path, shipped().selecting).used == tuned.used
    assert read_selection("pure", shipped().selecting) == TunedSelection()


@pytest.mark.parametrize(
    "content",
    ["not json", "[1]", '{"stage9": {}}', '{"stage1": {"weight": 1}}', '{"stage1": {"prior_weight": "x"}}'],
)
def test_unusable_selection_files_are_refused(tmp_path, content):
    path = tmp_path / "selection.json"
    path.write_text(content)
    with pytest.raises(DataError, match="selection.json"):
        read_selection(path, shipped().selecting)
