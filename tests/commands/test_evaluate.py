"""The evaluation over a scripted engine: what the models see, and what is written."""

import json
import math
from contextlib import contextmanager

import numpy as np
import pytest

from pal.chat.responder import Responder
from pal.commands import evaluate
from pal.commands.main import main
from pal.engines.base import Decoding
from pal.errors import CheckpointError, DataError, EngineError
from pal.evaluation import run as stages
from pal.evaluation.perplexity import Likelihood
from pal.files import sha256
from tests.evaluation.fakes import ScriptedEngine, WordEncoder, renderer, text_of

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
    """Two tokens a reply; the gold sentence helps, without persona turns it is worst."""

    def score(self, dialogue, selections):
        def one(place, turn):
            if selections is None:
                return Likelihood(-6.0, 2)
            gold = turn.labels and selections[place] == turn.labels[0]
            return Likelihood(-2.0 if gold else -4.0, 2)

        return [one(place, turn) for place, turn in enumerate(dialogue.turns)]


class Consistency:
    """A reply that names a sentence's last word entails it; with "never" it contradicts it."""

    def __init__(self):
        self.pairs = []

    def probabilities(self, pairs):
        self.pairs += pairs

        def one(sentence, reply):
            named = sentence.rstrip(".").split()[-1] in reply
            return [0.1, 0.8, 0.1] if not named else [0.8, 0.1, 0.1] if "never" in reply else [0.1, 0.2, 0.7]

        return np.array([one(*pair) for pair in pairs], dtype=np.float32)


class Relevance:
    def __init__(self):
        self.pairs = []

    def scores(self, pairs):
        self.pairs += pairs
        return [0.5 if "sail" in user and "sail" in reply else 0.0 for user, reply in pairs]


@pytest.fixture
def models(monkeypatch, tmp_path):
    """Scripted models in place of the real ones; ``opened`` names what was loaded."""
    engine = ScriptedEngine(select)
    engine.consistency, engine.relevance, engine.opened = Consistency(), Relevance(), []

    @contextmanager
    def opened(settings, variants, prior):
        engine.opened.append((variants.adapters, prior))
        yield Responder(engine, renderer(), variants, encoder=WordEncoder() if prior else None)

    def load_consistency(folder):
        engine.opened.append("consistency")
        return engine.consistency

    monkeypatch.setattr("pal.evaluation.results.SAMPLES", 20)
    monkeypatch.setattr(stages, "opened", opened)
    monkeypatch.setattr(stages, "open_renderer", renderer)
    monkeypatch.setattr(stages, "open_encoder", WordEncoder)
    monkeypatch.setattr(stages, "EmbeddingRelevance", lambda encoder: engine.relevance)
    monkeypatch.setattr(stages.GoldReplyScorer, "from_adapter", lambda *args: Scorer())
    monkeypatch.setattr(stages.ConsistencyModel, "load", load_consistency)
    for name in ("baseline", "stage1", "aligned", "other"):
        write_adapter(tmp_path / "adapters" / name)
    checkpoint = tmp_path / "consistency"
    checkpoint.mkdir()
    for name in ("adapter_model.safetensors", "calibration.json"):
        (checkpoint / name).write_text("first")
    return engine


def write_adapter(folder, content=""):
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"task_type": folder.name}))
    (folder / "adapter_model.safetensors").write_text(content or folder.name)
    return folder


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "dialogues.jsonl"
    path.write_text("".join(json.dumps(dialogue) + "\n" for dialogue in DIALOGUES))
    return path


def run(data, out, *options):
    import argparse

    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    places = ["--adapters", str(data.parent / "adapters"), "--consistency", str(data.parent / "consistency")]
    args = parser.parse_args(
        ["--data", str(data), "--out", str(out), "--selection", "pure", *places, *options]
    )
    assert evaluate.run(args) == 0
    rows = [json.loads(line) for line in (out / "replies.jsonl").read_text().splitlines()]
    return json.loads((out / "results.json").read_text()), rows


def value(results, contender, group, name):
    return results["contenders"][contender][group][name]["value"]


def test_rows_have_the_promised_form(models, data, tmp_path):
    results, rows = run(data, tmp_path / "out")
    assert len(rows) == 5 * 4
    counts = {"dialogues": 2, "turns": 5, "labelled_turns": 5, "persona_turns": 3, "none_turns": 2}
    assert results["counts"] == counts | {"skipped_dialogues": 0}
    by_key = {(row["dialogue"], row["turn"], row["contender"]): row for row in rows}
    stage1 = by_key["one", 3, "stage1"]
    assert stage1["selected"] == 1
    assert stage1["probabilities"] == pytest.approx([0.1, 0.1, 0.7, 0.1])
    assert stage1["labels"] == [1]
    assert stage1["gold"] == "yes , a parrot ."
    assert stage1["reply"] == "stage1 says hello."
    assert (stage1["verdicts"], stage1["relevance"]) == ([0, 0, 0], 0.0)
    aligned, baseline = by_key["one", 3, "aligned"], by_key["one", 3, "baseline"]
    assert (aligned["selected"], aligned["probabilities"][0]) == (None, pytest.approx(0.7))
    assert (baseline["selected"], baseline["probabilities"]) == (None, [])
    gold = by_key["one", 3, "gold"]
    assert (gold["reply"], gold["selected"], gold["verdicts"]) == ("Yes, a parrot.", 1, [0, 1, 0])
    assert {turn for name, turn, _ in by_key if name == "one"} == {1, 3, 7}


def test_selection_numbers_are_those_of_the_rows(models, data, tmp_path):
    results, _ = run(data, tmp_path / "out")
    assert value(results, "stage1", "selection", "accuracy") == pytest.approx(1 / 5)
    assert value(results, "stage1", "selection", "precision") == pytest.approx(1 / 5)
    assert value(results, "stage1", "selection", "recall") == pytest.approx(1 / 3, abs=1e-6)
    assert value(results, "aligned", "selection", "accuracy") == pytest.approx(2 / 5)
    assert value(results, "aligned", "selection_pure_pal", "none_recall") == 1
    assert results["selection_baselines"]["always_none"]["accuracy"]["value"] == pytest.approx(2 / 5)
    assert set(results["selection_baselines"]) == {"always_none", "idf_overlap", "minilm_cosine"}
    assert "selection" not in results["contenders"]["baseline"]
    gain = results["differences"]["aligned - stage1"]["selection"]["accuracy"]
    assert gain["value"] == pytest.approx(1 / 5)


def test_perplexities_are_apart_by_selection_and_by_kind_of_turn(models, data, tmp_path):
    results, _ = run(data, tmp_path / "out", "--no-generate", "--oracle")
    tokens = 2 * 5
    stage1 = value(results, "stage1", "perplexity", "all_turns")
    assert stage1 == pytest.approx(math.exp((4 * 4 + 2) / tokens), rel=1e-5)
    oracle = math.exp((3 * 2 + 2 * 4) / tokens)
    assert value(results, "stage1-oracle", "perplexity", "all_turns") == pytest.approx(oracle, rel=1e-5)
    persona = value(results, "stage1-oracle", "perplexity", "persona_turns")
    assert persona == pytest.approx(math.exp(1), rel=1e-5)
    assert value(results, "baseline", "perplexity", "all_turns") == pytest.approx(math.exp(3), rel=1e-5)
    against = results["differences"]["stage1-oracle - baseline"]["perplexity"]["all_turns"]
    assert against["value"] == pytest.approx(math.exp(1.4) - math.exp(3), rel=1e-5)
    assert "replies" not in results["contenders"]["stage1"] and "gold" not in results["contenders"]


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


def test_replies_are_written_as_the_page_does_when_asked_and_never_mixed_with_others(models, data, tmp_path):
    results, _ = run(data, tmp_path / "out", "--decoding", "page")
    assert {request.decoding for request in models.replies} == {Decoding()}
    assert results["settings"]["decoding"]["temperature"] == Decoding().temperature
    with pytest.raises(DataError):
        run(data, tmp_path / "out")


def test_ablations_are_told_nothing_or_the_gold_sentence_throughout(models, data, tmp_path):
    results, rows = run(data, tmp_path / "out", "--variants", "stage1")
    assert not any("persona\n1: I sail at weekends." in text_of(request.tokens) for request in models.replies)
    models._reply = lambda variant, prompt: f"{prompt.count('I sail at weekends.')} {prompt.count('parrot.')}"
    models.replies.clear()
    results, rows = run(data, tmp_path / "told", "--variants", "stage1", "--oracle", "--without-selection")
    said = {row["contender"]: row["reply"] for row in rows if row["labels"] == [0, 2]}
    # each sentence stands once in the system turn; gold text says "a parrot." once
    assert said == {
        "stage1": "1 6",
        "stage1-none": "1 2",
        "stage1-oracle": "2 3",
        "gold": "I sail every weekend.",
    }
    assert len(models.replies) == 3 * 5
    assert "selection" not in results["contenders"]["stage1-oracle"]


def test_the_untuned_base_and_further_adapters_are_prompted_like_a_variant(models, data, tmp_path):
    other = tmp_path / "adapters" / "other"
    results, rows = run(
        data, tmp_path / "out", "--variants", "baseline", "--untuned", "--extra", f"dpo={other}:aligned"
    )
    assert models.opened[:3] == [
        ({"baseline": tmp_path / "adapters" / "baseline"}, False),
        ({"baseline": None}, False),
        ({"aligned": other}, True),
    ]
    assert list(results["contenders"]) == ["baseline", "untuned", "dpo", "gold"]
    assert results["settings"]["contenders"]["untuned"]["adapter"] is None
    assert "selection" in results["contenders"]["dpo"]


def test_persona_metrics_come_from_the_models_verdicts(models, data, tmp_path):
    said = {"stage1": "I never had a parrot, I sail at weekends.", "aligned": "My parrot can cook."}
    models._reply = lambda variant, prompt: said.get(variant, "Hello.")
    results, _ = run(data, tmp_path / "out")
    found = {
        name: [value(results, name, "replies", metric) for metric in ("c_score", "entails", "contradicts")]
        for name in results["contenders"]
    }
    assert found["baseline"] == [0, 0, 0]
    assert found["stage1"] == [-2, 0, 1]  # it names weekends and parrot, both with "never"
    assert found["aligned"] == [2, 1, 0]
    assert found["gold"] == [0.2, 0.2, 0]  # one of five gold replies names the parrot
    gain = results["differences"]["aligned - stage1"]["replies"]
    assert gain["c_score"] == {"value": 4.0, "low": 4.0, "high": 4.0}
    assert results["win_rates"]["aligned - baseline"]["win_rate"]["value"] == 1
    assert results["win_rates"]["aligned - stage1"]["win"]["value"] == 1
    assert value(results, "stage1", "replies", "parrots_selected") == 1  # the second sentence, always
    assert value(results, "baseline", "replies", "parrots_any") == 0
    assert "parrots_selected" not in results["contenders"]["baseline"]["replies"]


def test_relevance_breaks_ties_and_needs_somebody_to_have_spoken(models, data, tmp_path):
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    del rows[1]["turns"][0]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    models._reply = lambda variant, prompt: "I sail." if variant == "stage1" else "Hm."
    results, rows = run(data, tmp_path / "out")
    assert [row["relevance"] for row in rows if row["user"] is None] == [None] * 4
    assert value(results, "stage1", "replies", "relevance") == pytest.approx(0.5 / 4)
    shares = results["win_rates"]["stage1 - baseline"]
    assert (shares["win"]["value"], shares["tie"]["value"]) == (0.2, 0.8)


def test_metrics_can_be_left_out_and_their_models_are_not_loaded(models, data, tmp_path):
    (tmp_path / "consistency" / "calibration.json").unlink()
    results, rows = run(data, tmp_path / "out", "--no-consistency", "--no-relevance", "--no-perplexity")
    assert {row["consistency"] for row in rows} == {None} and "consistency" not in models.opened
    assert not {"c_score", "relevance"} & set(results["contenders"]["stage1"]["replies"])
    assert results["win_rates"] == {} and "perplexity" not in results["contenders"]["stage1"]
    assert results["settings"]["left_out"] == ["--no-perplexity", "--no-consistency", "--no-relevance"]


def test_a_missing_consistency_model_is_said_before_any_reply(models, data, tmp_path):
    (tmp_path / "consistency" / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="python -m pal train consistency.*--no-consistency"):
        run(data, tmp_path / "out")
    assert not models.replies and not (tmp_path / "out").exists()


def test_added_metrics_use_the_replies_that_are_there(models, data, tmp_path):
    out = tmp_path / "out"
    run(data, out, "--no-consistency", "--no-relevance", "--no-perplexity")
    asked, opened = len(models.replies), len(models.opened)
    results, _ = run(data, out)
    assert len(models.replies) == asked and models.opened[opened:] == ["consistency"]
    assert "c_score" in results["contenders"]["stage1"]["replies"]
    whole, _ = run(data, tmp_path / "whole")
    assert whole == results


def test_another_consistency_model_scores_anew_and_the_same_one_does_not(models, data, tmp_path):
    run(data, tmp_path / "out")
    models.consistency.pairs.clear()
    run(data, tmp_path / "out")
    assert not models.consistency.pairs
    (tmp_path / "consistency" / "calibration.json").write_text("second")
    run(data, tmp_path / "out")
    assert len(models.consistency.pairs) == 4 * 5 * 3


def test_further_turns_and_contenders_cost_only_what_is_new(models, data, tmp_path):
    out = tmp_path / "out"
    run(data, out, "--variants", "stage1", "--limit", "3")
    models.replies.clear()
    results, _ = run(data, out, "--variants", "stage1,baseline")
    by_variant = [request.variant for request in models.replies]
    assert by_variant.count("stage1") < 5 and by_variant.count("baseline") == 5
    fresh, _ = run(data, tmp_path / "fresh", "--variants", "stage1,baseline")
    assert results["contenders"] == fresh["contenders"]


def test_other_replies_are_refused_by_what_differs(models, data, tmp_path):
    run(data, tmp_path / "out")
    (tmp_path / "adapters" / "aligned" / "adapter_model.safetensors").write_text("retrained")
    with pytest.raises(DataError, match=r"aligned.jsonl .*other settings \(adapter\)"):
        run(data, tmp_path / "out")


def rewrite_engine(progress, **fields):
    """The engine that a journal notes, with other fields; None leaves one out."""
    lines = [json.loads(line) for line in progress.read_text().splitlines()]
    [noted] = [line["value"] for line in lines if line.get("key") == "engine"]
    noted.update(fields)
    for name in [name for name, value in noted.items() if value is None]:
        del noted[name]
    progress.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_replies_of_another_engine_are_refused_and_those_of_earlier_versions_stay(models, data, tmp_path):
    out = tmp_path / "out"
    options = ["--variants", "stage1", "--no-consistency", "--no-relevance", "--no-perplexity"]
    results, _ = run(data, out, *options, "--limit", "3")
    identity = models.identity
    assert results["settings"]["contenders"]["stage1"]["engine"] == {
        "name": "scripted", "quantisation": "none", "version": "0", "fingerprint": identity.fingerprint,
    }  # fmt: skip
    journal = out / "progress" / "stage1.jsonl"
    whole = journal.read_text()
    rewrite_engine(journal, version=None, fingerprint=None)  # as earlier versions noted it
    results, _ = run(data, out, *options)
    assert results["settings"]["contenders"]["stage1"]["engine"]["fingerprint"] == identity.fingerprint
    journal.write_text(whole)
    rewrite_engine(journal, fingerprint="another", quantisation="Q8_0")
    with pytest.raises(
        DataError, match=r"stage1.jsonl holds .* another engine \(quantisation, fingerprint\)"
    ):
        run(data, out, *options)


def test_pure_pal_is_measured_in_its_own_history(models, data, tmp_path):
    settings = tmp_path / "selection.json"
    settings.write_text(json.dumps({"stage1": {"none_bias": 50.0}}))
    results, rows = run(data, tmp_path / "out", "--selection", str(settings))
    assert value(results, "stage1", "selection", "accuracy") == pytest.approx(2 / 5)
    assert value(results, "stage1", "selection_pure_pal", "accuracy") == pytest.approx(1 / 5)
    assert {row["selected"] for row in rows if row["contender"] == "stage1"} == {None}
    assert {row["pure_selected"] for row in rows if row["contender"] == "stage1"} == {1}
    pure = [text_of(request.tokens) for request in models.selections if request.session == "one pure"]
    assert pure and all("persona\n0<" not in prompt for prompt in pure if "stage1" in prompt)
    assert any(prompt.count("persona\n2: I have a parrot.") == 3 for prompt in pure)


def test_pure_pal_can_be_left_out(models, data, tmp_path):
    settings = tmp_path / "selection.json"
    settings.write_text(json.dumps({"stage1": {"none_bias": 50.0}}))
    results, rows = run(data, tmp_path / "out", "--selection", str(settings), "--no-pure")
    assert "selection_pure_pal" not in results["contenders"]["stage1"]
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
    assert resumed == whole


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
        (["--extra", "dpo"], "NAME=FOLDER:VARIANT"),
        (["--extra", "dpo=somewhere:stage9"], "stage9"),
        (["--extra", "Gold!=somewhere:stage1"], "Gold!"),
    ],
)
def test_bad_arguments_are_named(models, data, tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        run(data, tmp_path / "out", *options)


def test_what_is_served_is_measured_unless_a_flag_says_otherwise(models, data, tmp_path, monkeypatch):
    served = tmp_path / "served.json"
    served.write_text(json.dumps({"stage1": {"none_bias": 50.0}}))
    monkeypatch.setenv("PAL_ADAPTERS", str(tmp_path / "adapters"))
    monkeypatch.setenv("PAL_SELECTION", str(served))
    options = ["--data", str(data), "--variants", "stage1", "--consistency", str(tmp_path / "consistency")]

    def measured(out, *further):
        assert main(["evaluate", *options, "--out", str(out), *further]) == 0
        return json.loads((out / "results.json").read_text())["settings"]["contenders"]["stage1"]

    found = measured(tmp_path / "served")
    assert found["adapter"] == sha256(tmp_path / "adapters" / "stage1" / "adapter_model.safetensors")
    assert found["selection"]["none_bias"] == 50.0
    other = write_adapter(tmp_path / "elsewhere" / "stage1", "elsewhere").parent
    found = measured(tmp_path / "flags", "--adapters", str(other), "--selection", "pure")
    assert found["adapter"] == sha256(other / "stage1" / "adapter_model.safetensors")
    assert "selection" not in found


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--data", "d.jsonl", "--out", "out"),
        ("tune", "--data", "d.jsonl"),
        ("evaluate-questions", "--out", "out.json"),
        ("evaluate-conversations", "--out", "out.json"),
        ("evaluate-answers", "--out", "out.json"),
    ],
)
def test_settings_that_would_stop_the_page_stop_what_measures_it(command, monkeypatch, capsys):
    monkeypatch.setattr("pal.models.consistency.ConsistencyModel.load", lambda *_: None)
    monkeypatch.setenv("PAL_ADAPTER", "somewhere")
    assert main(list(command)) == 1
    assert "Unknown setting PAL_ADAPTER." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["baseline", "gold"])
def test_a_name_that_is_taken_is_refused(models, data, tmp_path, name):
    with pytest.raises(DataError, match=f"“{name}” is taken"):
        run(data, tmp_path / "out", "--extra", f"{name}={tmp_path / 'adapters' / 'other'}:baseline")


def test_missing_adapter_is_said_before_any_work(models, data, tmp_path):
    with pytest.raises(CheckpointError, match="adapter"):
        run(data, tmp_path / "out", "--adapters", str(tmp_path))
    assert not (tmp_path / "out").exists()
