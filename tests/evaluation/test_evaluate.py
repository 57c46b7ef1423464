"""The evaluation over a scripted engine: what the models see, and what is written."""

import json
import math
from contextlib import contextmanager

import pytest

from pal.errors import CheckpointError, DataError, EngineError
from pal.evaluation import evaluate
from pal.evaluation.perplexity import Likelihood
from pal.respond import Responder

from .fakes import ScriptedEngine, WordEncoder, renderer, text_of

PERSONA = ["i sail at weekends .", "i have a parrot .", "i cook ."]


def turns(*pairs):
    said = []
    for question, answer, labels in pairs:
        said += [
            {"speaker": "A", "text": question, "persona": None},
            {"speaker": "B", "text": answer, "persona": labels},
        ]
    return said


DIALOGUES = [
    {
        "id": "one", "source": "test", "personas": {"A": ["i read ."], "B": PERSONA},
        "turns": turns(
            ("hi !", "hello there .", []),
            ("any pets ?", "yes , a parrot .", [1]),
            ("nice .", "thanks .", None),
            ("do you sail ?", "i sail every weekend .", [0, 2]),
        ),
    },
    {
        "id": "two", "source": "test", "personas": {"A": ["i read ."], "B": PERSONA},
        "turns": turns(("what is for dinner ?", "i made soup .", [2]), ("bye !", "bye .", [])),
    },
]  # fmt: skip


def select(variant, prompt, options):
    """stage1 always picks the second sentence, aligned none."""
    best = 2 if variant == "stage1" else 0
    return tuple(0.7 if option == best else 0.3 / (options - 1) for option in range(options))


class Scorer:
    """Two tokens a reply; the gold sentence helps, the baseline is worst."""

    def score(self, variant, dialogue, selections):
        def one(place, turn):
            if selections is None:
                return Likelihood(-6.0, 2)
            gold = turn.labels and selections[place] == turn.labels[0]
            return Likelihood(-2.0 if gold else -4.0, 2)

        return [one(place, turn) for place, turn in enumerate(dialogue.turns)]


@pytest.fixture
def models(monkeypatch):
    """A scripted engine in place of the real one."""
    engine = ScriptedEngine(select)

    @contextmanager
    def opened(variants, adapters):
        yield Responder(engine, renderer(), encoder=WordEncoder())

    monkeypatch.setattr(evaluate, "opened", opened)
    monkeypatch.setattr(evaluate, "open_renderer", renderer)
    monkeypatch.setattr(evaluate.GoldReplyScorer, "from_adapters", lambda *args: Scorer())
    monkeypatch.setattr(
        evaluate, "adapter_hashes", lambda variants, adapters: dict.fromkeys(variants, "hash")
    )
    return engine


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "dialogues.jsonl"
    path.write_text("".join(json.dumps(dialogue) + "\n" for dialogue in DIALOGUES))
    return path


def run(data, out, *options):
    import argparse

    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    args = parser.parse_args(["--data", str(data), "--out", str(out), "--selection", "pure", *options])
    assert evaluate.run(args) == 0
    rows = [json.loads(line) for line in (out / "replies.jsonl").read_text().splitlines()]
    return json.loads((out / "results.json").read_text()), rows


def test_rows_have_the_promised_form(models, data, tmp_path):
    results, rows = run(data, tmp_path / "out")
    assert len(rows) == 5 * 3
    counts = {"dialogues": 2, "turns": 5, "labelled_turns": 5, "persona_turns": 3, "none_turns": 2}
    assert results["counts"] == counts | {"skipped_dialogues": 0}
    by_key = {(row["dialogue"], row["turn"], row["variant"]): row for row in rows}
    stage1 = by_key["one", 3, "stage1"]
    assert stage1["selected"] == 1
    assert stage1["probabilities"] == pytest.approx([0.1, 0.1, 0.7, 0.1])
    assert stage1["labels"] == [1]
    assert stage1["gold"] == "yes , a parrot ."
    assert stage1["reply"] == "stage1 says hello."
    aligned, baseline = by_key["one", 3, "aligned"], by_key["one", 3, "baseline"]
    assert (aligned["selected"], aligned["probabilities"][0]) == (None, pytest.approx(0.7))
    assert (baseline["selected"], baseline["probabilities"]) == (None, [])
    assert {turn for name, turn, _ in by_key if name == "one"} == {1, 3, 7}


def test_selection_numbers_are_those_of_the_rows(models, data, tmp_path):
    results, _ = run(data, tmp_path / "out")
    stage1 = results["variants"]["stage1"]["selection"]
    assert stage1["accuracy"]["value"] == pytest.approx(1 / 5)
    assert stage1["precision"]["value"] == pytest.approx(1 / 5)
    assert stage1["recall"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert results["variants"]["aligned"]["selection"]["accuracy"]["value"] == pytest.approx(2 / 5)
    assert results["variants"]["aligned"]["selection_pure_pal"]["none_recall"]["value"] == 1
    assert results["selection_baselines"]["always_none"]["accuracy"]["value"] == pytest.approx(2 / 5)
    assert set(results["selection_baselines"]) == {"always_none", "idf_overlap", "minilm_cosine"}
    assert "selection" not in results["variants"]["baseline"]
    gain = results["differences"]["aligned - stage1"]["selection"]["accuracy"]
    assert gain["value"] == pytest.approx(1 / 5)


def test_perplexities_are_apart_by_source_and_by_kind_of_turn(models, data, tmp_path):
    results, _ = run(data, tmp_path / "out", "--no-generate")
    stage1 = results["variants"]["stage1"]["perplexity"]
    tokens = 2 * 5
    assert stage1["predicted"]["value"] == pytest.approx(math.exp((4 * 4 + 2) / tokens), rel=1e-5)
    assert stage1["gold_oracle"]["value"] == pytest.approx(math.exp((3 * 2 + 2 * 4) / tokens), rel=1e-5)
    assert stage1["gold_oracle_persona_turns"]["value"] == pytest.approx(math.exp(1), rel=1e-5)
    assert results["variants"]["baseline"]["perplexity"]["plain"]["value"] == pytest.approx(
        math.exp(3), rel=1e-5
    )
    against = results["differences"]["stage1 - baseline"]["perplexity"]["gold_oracle"]
    assert against["value"] == pytest.approx(math.exp(1.4) - math.exp(3), rel=1e-5)
    assert "replies" not in results["variants"]["stage1"]


def test_history_is_the_gold_text_with_the_predicted_selections(models, data, tmp_path):
    run(data, tmp_path / "out")
    last = {
        request.variant: text_of(request.tokens)
        for request in models.replies
        if "Do you sail?" in text_of(request.tokens)
    }
    assert "assistant\nYes, a parrot." in last["stage1"]
    assert last["stage1"].count("persona\n2: I have a parrot.") == 4
    assert last["aligned"].count("persona\n0<|im_end|>") == 4
    assert "<|im_start|>persona" not in last["baseline"]
    assert "says hello" not in last["stage1"]
    assert all(
        request.decoding.temperature == 0 and request.decoding.max_tokens == 40 for request in models.replies
    )
    assert {request.session for request in models.replies} == {"one", "two"}


def test_gold_sentences_are_used_only_when_asked_and_reported_apart(models, data, tmp_path):
    results, rows = run(data, tmp_path / "out")
    assert not any("oracle_reply" in row for row in rows)
    assert not any("persona\n1: I sail at weekends." in text_of(request.tokens) for request in models.replies)
    models._reply = lambda variant, prompt: "I sail!" if "persona\n1: I sail" in prompt else "Hm."
    results, rows = run(data, tmp_path / "oracle", "--oracle")
    sailing = [row for row in rows if row["labels"] == [0, 2] and row["variant"] == "stage1"]
    assert [(row["reply"], row["oracle_reply"]) for row in sailing] == [("Hm.", "I sail!")]
    assert "oracle_replies" in results["variants"]["stage1"]
    assert "oracle_replies" not in results["variants"]["baseline"]


def test_pure_pal_is_measured_in_its_own_history(models, data, tmp_path):
    settings = tmp_path / "selection.json"
    settings.write_text(json.dumps({"stage1": {"none_bias": 50.0}}))
    results, rows = run(data, tmp_path / "out", "--selection", str(settings))
    stage1 = results["variants"]["stage1"]
    assert stage1["selection"]["accuracy"]["value"] == pytest.approx(2 / 5)
    assert stage1["selection_pure_pal"]["accuracy"]["value"] == pytest.approx(1 / 5)
    assert {row["selected"] for row in rows if row["variant"] == "stage1"} == {None}
    assert {row["pure_selected"] for row in rows if row["variant"] == "stage1"} == {1}
    pure = [text_of(request.tokens) for request in models.selections if request.session == "one pure"]
    assert pure and all("persona\n0<" not in prompt for prompt in pure if "stage1" in prompt)
    assert any(prompt.count("persona\n2: I have a parrot.") == 3 for prompt in pure)


def test_pure_pal_can_be_left_out(models, data, tmp_path):
    settings = tmp_path / "selection.json"
    settings.write_text(json.dumps({"stage1": {"none_bias": 50.0}}))
    results, rows = run(data, tmp_path / "out", "--selection", str(settings), "--no-pure")
    assert "selection_pure_pal" not in results["variants"]["stage1"]
    assert not [request for request in models.selections if request.session.endswith(" pure")]
    assert all(row["pure_probabilities"] == [] for row in rows)


def test_a_killed_run_goes_on_where_it_stopped(models, data, tmp_path):
    whole, rows = run(data, tmp_path / "whole")
    asked = len(models.replies)
    out = tmp_path / "out"
    plain_reply, count = models._reply, [0]

    def die(variant, prompt):
        count[0] += 1
        if count[0] > 9:
            raise KeyboardInterrupt
        return plain_reply(variant, prompt)

    models._reply = die
    with pytest.raises(KeyboardInterrupt):
        run(data, out)
    assert not (out / "results.json").exists()
    models._reply, before = plain_reply, len(models.replies)
    resumed, again = run(data, out)
    assert len(models.replies) - before < asked
    assert again == rows
    assert resumed["variants"] == whole["variants"]
    assert not (out / "progress.jsonl").exists()


def test_a_failing_variant_names_the_turn(models, data, tmp_path):
    models._fails = "aligned"
    with pytest.raises(EngineError, match=r"aligned failed on dialogue \w+, turn 1: no memory"):
        run(data, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variants", "stage3"], "stage3"),
        (["--limit", "-1"], "-1"),
        (["--selection", "nowhere.json"], "nowhere"),
    ],
)
def test_bad_arguments_are_named(models, data, tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        run(data, tmp_path / "out", *options)


def test_missing_adapter_is_said_before_any_work(data, tmp_path):
    with pytest.raises(CheckpointError, match="adapter"):
        run(data, tmp_path / "out", "--adapters", str(tmp_path))
    assert not (tmp_path / "out").exists()
