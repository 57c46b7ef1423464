"""The benchmark's files and its numbers."""

import argparse
import json
from contextlib import contextmanager

import pytest

from pal.chat.responder import Responder
from pal.chat.selection import read_selection
from pal.chat.variants import shipped
from pal.commands import evaluate_questions
from pal.dialogue.persona import Persona
from pal.dialogue.text_metrics import normalise
from pal.errors import DataError
from pal.evaluation.questions import BENCHMARK, KINDS, TUNING, PlainQuestion, measure, read_questions
from pal.evaluation.selection_metrics import SelectionOutcome
from pal.training.questions import question_bank
from tests.evaluation.fakes import ScriptedEngine, WordEncoder, renderer


def asked(path) -> set[str]:
    return {normalise(item.question) for item in read_questions(path)}


def test_benchmark_is_large_varied_and_has_enough_unanswerable_items():
    items = read_questions(BENCHMARK)
    assert len(items) >= 260
    assert len({item.persona for item in items}) >= 40
    assert sum(not item.labels for item in items) >= 60
    assert len(asked(BENCHMARK)) == len(items)
    positions = {label for item in items for label in item.labels}
    assert positions >= {0, 1, 2, 3, 4, 5}


def test_tuning_items_are_enough_and_share_nothing_with_the_benchmark():
    assert len(read_questions(TUNING)) >= 120
    assert len(asked(TUNING)) == len(read_questions(TUNING))
    assert not asked(TUNING) & asked(BENCHMARK)
    tuning, benchmark = (
        {normalise(sentence) for item in read_questions(path) for sentence in item.persona.sentences}
        for path in (TUNING, BENCHMARK)
    )
    assert not tuning & benchmark


@pytest.mark.parametrize(("path", "least"), [(BENCHMARK, 15), (TUNING, 7)])
def test_every_kind_is_there_and_only_three_kinds_have_answers(path, least):
    items = read_questions(path)
    assert all(sum(item.kind == kind for item in items) >= least for kind in KINDS)
    assert {item.kind for item in items if item.labels} == {"plain", "distractor", "statement"}
    assert {item.kind for item in items if not item.labels} == {"small_talk", "unanswerable"}


def test_no_item_was_trained_on():
    bank = question_bank()
    trained = {normalise(question) for _, questions in bank.topics for question in questions}
    trained |= {normalise(message) for message, _ in bank.small_talk}
    assert len(trained) > 100
    assert not trained & (asked(BENCHMARK) | asked(TUNING))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"persona": ["I sail."], "question": "Hi?", "labels": [1]}', "line 1"),
        ('{"persona": [], "question": "Hi?", "labels": []}', "line 1"),
        ('{"persona": ["I sail."], "labels": []}', "question"),
        ('{"persona": ["I sail."], "question": "Hi?", "labels": [], "kind": "hello"}', "line 1.*small_talk"),
        ('{"persona": ["I sail."], "question": "Hi?", "labels": [], "kind": ["plain"]}', "line 1.*kind"),
        ("", "no question"),
    ],
)
def test_malformed_items_are_named(tmp_path, line, message):
    path = tmp_path / "questions.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        read_questions(path)


def test_items_of_one_persona_do_not_shrink_the_interval():
    """All right with one persona, all wrong with the other: two observations, not forty."""
    sailor, cook = Persona(("I sail.",)), Persona(("I cook.",))
    questions = [PlainQuestion(persona, "Hi?", (0,)) for persona in (sailor, cook) for _ in range(20)]
    outcomes = [
        SelectionOutcome((0,), 0 if item.persona == sailor else None, (1.0,), 0.5) for item in questions
    ]
    found = measure(questions, outcomes)
    for share in (found["accuracy"], found["accuracy_by_kind"]["plain"]):
        assert share == {"value": 0.5, "low": 0.0, "high": 1.0}


def test_every_selector_is_reported_with_every_pick_and_kind(tmp_path, monkeypatch, capsys):
    data = tmp_path / "questions.jsonl"
    items = [
        {
            "persona": ["I sail boats.", "I have a parrot."],
            "question": "Do you have a parrot?",
            "labels": [1],
        },
        {"persona": ["I sail boats.", "I have a parrot."], "question": "Who sails boats?", "labels": [0]},
        {
            "persona": ["I sail boats.", "I have a parrot."],
            "question": "Hello!",
            "labels": [],
            "kind": "small_talk",
        },
    ]
    data.write_text("".join(json.dumps(item) + "\n" for item in items))
    selection = tmp_path / "selection.json"
    selection.write_text(json.dumps({"stage1": {"prior_weight": 20.0, "prior_threshold": 0.2}}))

    @contextmanager
    def opened(settings, variants):
        engine = ScriptedEngine(lambda variant, prompt, options: (0.3, 0.4, 0.3))
        yield Responder(engine, renderer(), variants, encoder=WordEncoder())

    monkeypatch.setattr(evaluate_questions, "opened", opened)
    parser = argparse.ArgumentParser()
    evaluate_questions.add_arguments(parser)
    out = tmp_path / "deep" / "out.json"
    args = ["--out", str(out), "--data", str(data), "--variants", "stage1", "--selection", str(selection)]
    assert evaluate_questions.run(parser.parse_args(args)) == 0
    results = json.loads(out.read_text())
    selectors = results["selectors"]
    assert set(selectors) == {"prior alone", "stage1 pure PAL", "stage1 combined"}
    assert selectors["stage1 combined"]["accuracy"]["value"] == 1
    assert selectors["stage1 pure PAL"]["accuracy"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert selectors["stage1 pure PAL"]["hit_at_1"]["value"] == 0.5
    assert selectors["prior alone"]["auc"] == 1
    assert [item["selected"]["stage1 combined"] for item in results["items"]] == [1, 0, None]
    assert [item["kind"] for item in results["items"]] == ["plain", "plain", "small_talk"]
    kinds = selectors["stage1 pure PAL"]["accuracy_by_kind"]
    assert {kind: share["value"] for kind, share in kinds.items()} == {"plain": 0.5, "small_talk": 0}
    assert results["counts"]["kinds"]["plain"] == 2
    assert capsys.readouterr().out.split("accuracy by kind")[1].split()[:2] == ["plain", "small_talk"]
    assert results["settings"]["selection"]["stage1"] == {
        "prior_weight": 20.0, "prior_threshold": 0.2, "none_bias": 0.0,
    }  # fmt: skip
    assert read_selection(selection, shipped().selecting).used["stage1"].prior_weight == 20
