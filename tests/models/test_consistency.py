"""The consistency model: PEFT's probabilities, without torch."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pal.errors import CheckpointError
from pal.models import encoder as minilm
from pal.models.consistency import ConsistencyModel
from tests.support.consistency_adapter import CALIBRATION, write_random_checkpoint

PAIRS = [
    ("I am a nurse.", "I work at a hospital."),
    ("I have two cats.", "no pets for me, i am allergic ."),
    ("I love hiking in the mountains with my two brothers.", "Hi!"),
    ("I am a nurse.", "?"),
    ("I sing.", "日本語 😀 émigré"),
    ("I keep bees.", "and then " * 200),
    ("I have been to " + "Peru and Chile, " * 10, "I travel a lot, and " * 40),
]


@pytest.fixture(scope="module")
def encoder():
    return minilm.fetch_encoder()


@pytest.fixture(scope="module")
def trained(encoder, tmp_path_factory):
    """A random checkpoint and PEFT's model of it."""
    folder = tmp_path_factory.mktemp("consistency")
    return folder, write_random_checkpoint(encoder, folder)


@pytest.fixture(scope="module")
def model(trained, encoder):
    return ConsistencyModel.load(trained[0], encoder)


def peft_probabilities(module, encoder, pairs) -> np.ndarray:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(encoder))
    rows = []
    for premise, hypothesis in pairs:
        batch = tokenizer(premise, hypothesis, truncation="only_second", max_length=128, return_tensors="pt")
        with torch.no_grad():
            logits = module(**batch).logits[0]
        bias = torch.tensor(CALIBRATION["bias"])
        rows.append((logits / CALIBRATION["temperature"] + bias).softmax(0).numpy())
    return np.stack(rows)


def test_probabilities_equal_those_of_peft_and_transformers(model, trained, encoder):
    expected = peft_probabilities(trained[1], encoder, PAIRS)
    exact = ConsistencyModel.load(trained[0], encoder, quantised=False).probabilities(PAIRS)
    assert exact.shape == (len(PAIRS), 3) and exact.dtype == np.float32
    assert np.abs(exact - expected).max() < 1e-3
    assert expected.std(axis=0).min() > 0.02  # the random adapter tells the pairs apart
    assert np.abs(model.probabilities(PAIRS) - expected).max() < 0.05
    assert np.allclose(model.probabilities(PAIRS).sum(axis=1), 1, atol=1e-5)


def test_a_pair_is_the_same_alone_and_among_others_and_keeps_its_place(trained, encoder, model):
    alone = np.concatenate(
        [ConsistencyModel.load(trained[0], encoder).probabilities([one]) for one in PAIRS[:4]]
    )
    assert np.array_equal(model.probabilities(PAIRS)[:4], alone)
    assert np.array_equal(model.probabilities(PAIRS[::-1]), model.probabilities(PAIRS)[::-1])
    assert model.probabilities([]).shape == (0, 3)


def test_a_long_reply_loses_its_end_and_a_long_sentence_still_leaves_room_for_the_reply(model):
    sentence = "I keep bees."
    first, longer = model.probabilities([(sentence, "and " * 200), (sentence, "and " * 200 + "I hate them")])
    assert np.allclose(first, longer, atol=1e-6)
    endless = "I keep bees. " * 300
    yes, no = model.probabilities([(endless, "I have many hives."), (endless, "No.")])
    assert not np.allclose(yes, no, atol=1e-3)
    assert model.probabilities([("", ""), (sentence, "")]).shape == (2, 3)


def test_pairs_seen_lately_are_not_computed_again(trained, encoder, monkeypatch):
    model = ConsistencyModel.load(trained[0], encoder, cached=3)
    computed = []
    real = ConsistencyModel._compute
    monkeypatch.setattr(
        ConsistencyModel, "_compute", lambda self, pairs: computed.extend(pairs) or real(self, pairs)
    )
    first = model.probabilities(PAIRS[:3])
    assert np.array_equal(model.probabilities([PAIRS[2], PAIRS[0], PAIRS[2]]), first[[2, 0, 2]])
    assert computed == PAIRS[:3]
    model.probabilities([PAIRS[3]])  # the second pair is the one not asked for the longest
    model.probabilities([PAIRS[0], PAIRS[2], PAIRS[3]])
    assert computed == PAIRS[:4]
    model.probabilities([PAIRS[1]])
    assert computed == [*PAIRS[:4], PAIRS[1]]


def test_many_threads_get_the_same_probabilities(trained, encoder, model):
    fresh = ConsistencyModel.load(trained[0], encoder, cached=4)
    expected = model.probabilities(PAIRS)
    results = [None] * 6

    def work(index):
        results[index] = fresh.probabilities(PAIRS)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(result, expected) for result in results)


def test_torch_is_not_loaded(trained, encoder):
    code = (
        "import sys; from pathlib import Path; from pal.models.consistency import ConsistencyModel; "
        "ConsistencyModel.load(Path(sys.argv[1])).probabilities([('I sing.', 'I do.')]); "
        "print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code, str(trained[0])], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("calibration.json", lambda text: '{"temperature": 0, "bias": [0, 0, 0]}', "calibration"),
        ("calibration.json", lambda text: "{", "calibration"),
        (
            "adapter_config.json",
            lambda text: text.replace('"use_dora": false', '"use_dora": true'),
            "use_dora",
        ),
        ("adapter_config.json", None, "adapter_config.json"),
    ],
)
def test_a_damaged_checkpoint_is_named(trained, encoder, tmp_path, file, change, words):
    folder = tmp_path / "broken"
    shutil.copytree(trained[0], folder)
    if change is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(change((folder / file).read_text()))
    with pytest.raises(CheckpointError, match=words):
        ConsistencyModel.load(folder, encoder)


def test_a_checkpoint_that_is_not_there_says_how_to_get_one(tmp_path):
    with pytest.raises(CheckpointError, match="train consistency"):
        ConsistencyModel.load(tmp_path / "none")
