"""The consistency model's training: targets, held-out rows, a few real steps, calibration."""

import json

import pytest
import torch

from pal.errors import DataError
from pal.models import encoder
from pal.models.consistency import ConsistencyModel
from pal.training import consistency, nli
from pal.training.loop import accelerator_for, train
from pal.training.recipe import DataSource, Recipe

THINGS = ("tea", "rain", "jazz", "chess", "cats", "snow", "bread", "maps")
RECIPE = Recipe(
    task="consistency", data=(DataSource("nli.jsonl"), DataSource("pairs.jsonl")), batch=8, steps=25,
    warmup_steps=1, learning_rate=5e-3, rank=4, alpha=8, save_steps=25, mined=10, contradiction_repeat=3,
    micro_batch_tokens=512,
)  # fmt: skip


@pytest.fixture
def data(tmp_path):
    rows = []
    for thing in THINGS:
        for verb, logits in (("love", [-4, -1, 5]), ("hate", [5, -1, -4]), ("sell", [-3, 5, -3])):
            rows.append({"premise": f"i love {thing}.", "hypothesis": f"i {verb} {thing}", "logits": logits})
    (tmp_path / "nli.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [
        {"persona": [f"i love {thing}.", "i sail."], "response": f"{thing} is what i love", "entailed": [0]}
        for thing in THINGS
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    return tmp_path


def test_examples_hold_out_premises_and_repeat_contradictions(data):
    training, held_out, hashes = nli.load_examples(RECIPE, data)
    assert set(hashes) == {"nli.jsonl", "pairs.jsonl"}
    teacher = [example for example in training if example.hypothesis.startswith("i ")]
    assert held_out and not {e.premise for e in held_out} & {
        e.premise for e in teacher if "love" in e.premise[:6]
    }
    contradicted = [example for example in teacher if example.hypothesis.startswith("i hate")]
    assert len(contradicted) == 3 * len({example.premise for example in contradicted})
    assert all(sum(example.target) == pytest.approx(1) for example in training)
    mined = [example for example in training if example.target == nli.SOFT["negation"]]
    assert len(mined) == len(THINGS)


def test_a_row_without_logits_is_named(data):
    (data / "nli.jsonl").write_text('{"premise": "a", "hypothesis": "b", "label": "neutral"}\n')
    with pytest.raises(DataError, match="line 1: needs premise"):
        nli.load_examples(RECIPE, data)


def test_a_few_steps_learn_and_leave_a_checkpoint(data, tmp_path):
    training, held_out, hashes = nli.load_examples(RECIPE, data)
    folder = encoder.fetch_encoder()
    tokenizer = consistency.pair_tokenizer(folder)
    accelerator = accelerator_for(RECIPE)
    policy = consistency.ConsistencyPolicy(consistency.load_classifier(folder), RECIPE)
    task = consistency.ConsistencyTask(training, tokenizer, RECIPE, accelerator.device)
    curve = train(task, policy, RECIPE, tmp_path / "run", accelerator, hashes)
    assert curve[-1]["consistency"] < 0.8 * curve[0]["consistency"]
    kept = consistency.ConsistencyTask(held_out, tokenizer, RECIPE, accelerator.device)
    assert kept.logits(policy).shape == (len(held_out), 3)
    config = json.loads((tmp_path / "run" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == consistency.BASE_NAME
    assert "classifier" in config["modules_to_save"]
    consistency.calibrate(kept.logits(policy), torch.tensor([example.target for example in held_out])).write(
        tmp_path / "run" / "adapter" / "calibration.json"
    )
    pairs = [(example.premise, example.hypothesis) for example in training[:40]]
    fast = consistency.TrainedScorer(tmp_path / "run" / "adapter", folder, accelerator.device).probabilities(
        pairs
    )
    exact = ConsistencyModel.load(tmp_path / "run" / "adapter", folder, quantised=False).probabilities(pairs)
    assert (fast.argmax(1) == exact.argmax(1)).mean() > 0.9  # bf16 against fp32
    assert abs(fast - exact).max() < 0.1


def test_calibration_recovers_a_known_distortion():
    torch.manual_seed(1)
    true = torch.randn(4000, 3) * 2
    targets = true.softmax(-1)
    found = consistency.calibrate((true + torch.tensor([1.0, 0.0, -0.5])) * 3, targets)
    assert found.temperature == pytest.approx(3, rel=0.02)
    assert found.bias == pytest.approx((-1.0, 0.0, 0.5), abs=0.02)


def test_the_learning_curve_figures_match_scikit_learn():
    from sklearn.metrics import f1_score

    torch.manual_seed(2)
    predicted, right = torch.randint(3, (300,)), torch.randint(3, (300,))
    found = consistency.macro_f1(predicted, right)
    scores = f1_score(right, predicted, average=None)
    assert found["dev_contradiction_f1"] == pytest.approx(scores[0])
    assert found["dev_entailment_f1"] == pytest.approx(scores[2])
    assert found["dev_macro_f1"] == pytest.approx(scores.mean())
