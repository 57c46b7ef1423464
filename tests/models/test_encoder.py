"""Sentence embeddings: those of transformers, without torch."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pal.errors import CheckpointError
from pal.models.bert import Bert, BertWeights
from pal.models.encoder import MiniLMEncoder, fetch_encoder

TEXTS = [
    "I am a nurse.",
    "What do you do for a living?",
    "hi",
    "My brother lives in Peru and keeps three dogs, two cats and a parrot that sings in the morning.",
    "",
    "日本語 😀 émigré",
    "word " * 300,
]


@pytest.fixture(scope="module")
def folder():
    return fetch_encoder()


@pytest.fixture(scope="module")
def encoder(folder):
    return MiniLMEncoder(folder)


def test_embeddings_equal_those_of_transformers(encoder, folder):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModel.from_pretrained(str(folder)).eval()
    expected = []
    for text in TEXTS:
        batch = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            pooled = model(**batch).last_hidden_state[0].mean(dim=0)
        expected.append((pooled / pooled.norm()).numpy())
    got = encoder.embed(TEXTS)
    assert got.shape == (7, 384) and got.dtype == np.float32
    assert np.abs(got - np.stack(expected)).max() < 1e-5


def test_embeddings_have_unit_length_and_keep_their_order(encoder):
    vectors = encoder.embed(TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(encoder.embed(TEXTS[::-1]), vectors[::-1], atol=1e-6)
    assert np.array_equal(encoder.embed([TEXTS[0], TEXTS[0]])[0], encoder.embed([TEXTS[0]])[0])
    assert encoder.embed([]).shape == (0, 384)


def test_the_sentence_that_answers_is_the_nearest(encoder):
    sentences = ["I have two cats.", "I am a nurse.", "I love hiking."]
    cosines = encoder.cosines("What do you do for a living?", sentences)
    assert len(cosines) == 3 and all(-1 <= value <= 1 for value in cosines)
    assert max(range(3), key=cosines.__getitem__) == 1
    assert encoder.cosines("I love hiking.", sentences)[2] == pytest.approx(1, abs=1e-5)


def test_sentences_seen_lately_are_not_computed_again(folder, monkeypatch):
    encoder = MiniLMEncoder(folder, cached=3)
    computed = []
    real = Bert.outputs
    monkeypatch.setattr(Bert, "outputs", lambda self, ids: computed.append(len(ids)) or real(self, ids))
    first = encoder.embed(["a", "b", "c"])
    assert sum(computed) == 3
    assert np.array_equal(encoder.embed(["c", "a"]), first[[2, 0]])
    assert sum(computed) == 3
    encoder.embed(["d"])  # "b" is the one not asked for the longest
    encoder.embed(["a", "c", "d"])
    assert sum(computed) == 4
    encoder.embed(["b"])
    assert sum(computed) == 5


def test_many_threads_get_the_same_embeddings(encoder, folder):
    fresh = MiniLMEncoder(folder, cached=4)
    expected = encoder.embed(TEXTS[:6])
    results = [None] * 6

    def work(index):
        results[index] = fresh.embed(TEXTS[:6])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.allclose(result, expected, atol=1e-6) for result in results)


def test_torch_is_not_loaded(folder):
    code = (
        "import sys; from pal.models.encoder import MiniLMEncoder; MiniLMEncoder().cosines('hi', ['hello']); "
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_folder_that_is_no_encoder_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama", "hidden_act": "silu"}')
    with pytest.raises(CheckpointError, match="llama"):
        BertWeights.read(tmp_path)
    with pytest.raises(CheckpointError, match=str(tmp_path / "nothing")):
        BertWeights.read(tmp_path / "nothing")
