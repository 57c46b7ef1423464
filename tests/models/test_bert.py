"""The graph of a small BERT: written once, and again only when what it depends on changes."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from pal.errors import CheckpointError
from pal.models import bert
from pal.models.bert import Bert, BertWeights, cached_graph

HIDDEN, WORDS = 32, 50


def random_weights(seed: int = 0, labels: int = 3) -> BertWeights:
    """A BERT of two layers and two heads with a classifier."""
    rng = np.random.default_rng(seed)

    def linear(name: str, rows: int, columns: int) -> dict[str, np.ndarray]:
        return {
            f"{name}.weight": rng.normal(0, 0.3, (rows, columns)),
            f"{name}.bias": rng.normal(0, 0.3, rows),
        }

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}.weight": rng.normal(1, 0.1, HIDDEN), f"{name}.bias": rng.normal(0, 0.1, HIDDEN)}

    tensors = {
        "embeddings.word_embeddings.weight": rng.normal(size=(WORDS, HIDDEN)),
        "embeddings.position_embeddings.weight": rng.normal(size=(40, HIDDEN)),
        "embeddings.token_type_embeddings.weight": rng.normal(size=(2, HIDDEN)),
        **norm("embeddings.LayerNorm"),
        **linear("pooler.dense", HIDDEN, HIDDEN),
        **linear("classifier", labels, HIDDEN),
    }
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        for part in (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ):
            tensors |= linear(f"{layer}.{part}", HIDDEN, HIDDEN)
        tensors |= linear(f"{layer}.intermediate.dense", 4 * HIDDEN, HIDDEN)
        tensors |= linear(f"{layer}.output.dense", HIDDEN, 4 * HIDDEN)
        tensors |= norm(f"{layer}.attention.output.LayerNorm") | norm(f"{layer}.output.LayerNorm")
    return BertWeights({name: value.astype(np.float32) for name, value in tensors.items()}, 2, 2, 1e-12)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def sequences(count: int) -> list[tuple[list[int], list[int]]]:
    rng = np.random.default_rng(1)
    lengths = rng.integers(3, 40, count)
    return [
        (rng.integers(0, WORDS, length).tolist(), [0] * (length - 2) + [1, 1]) for length in lengths.tolist()
    ]


@pytest.fixture
def transformers_model():
    """The same weights in transformers."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=WORDS, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, num_labels=3,
        intermediate_size=4 * HIDDEN, max_position_embeddings=40, layer_norm_eps=1e-12,
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    state = {
        name if name.startswith("classifier") else f"bert.{name}": torch.from_numpy(value)
        for name, value in random_weights().tensors.items()
    }
    model.load_state_dict(state, strict=True)
    return model


def expected(model, head: str, items) -> np.ndarray:
    import torch

    rows = []
    for ids, types in items:
        batch = {"input_ids": torch.tensor([ids]), "token_type_ids": torch.tensor([types])}
        with torch.no_grad():
            value = (
                model(**batch).logits
                if head == "classifier"
                else model.bert(**batch).last_hidden_state.mean(1)
            )
        rows.append(value[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize(("head", "width"), [("embedding", HIDDEN), ("classifier", 3)])
@pytest.mark.parametrize(("quantised", "tolerance"), [(False, 1e-5), (True, 0.1)])
def test_outputs_equal_those_of_transformers(head, width, quantised, tolerance, transformers_model):
    graph = Bert(cached_graph("small", ["0"], random_weights, head, quantised=quantised))
    got, wanted = graph.outputs(sequences(20)), expected(transformers_model, head, sequences(20))
    assert got.shape == (20, width) and got.dtype == np.float32
    assert np.sqrt(np.square(got - wanted).mean()) < tolerance * wanted.std()


@pytest.mark.parametrize("head", ["embedding", "classifier"])
def test_a_result_never_depends_on_the_neighbours(head):
    graph = Bert(cached_graph("small", ["0"], random_weights, head, quantised=True))
    items = sequences(12)
    together = graph.outputs(items)
    assert all(
        np.array_equal(graph.outputs([item])[0], row) for item, row in zip(items, together, strict=True)
    )


def test_the_graph_is_written_once_for_what_it_depends_on(cache):
    written = []

    def weights() -> BertWeights:
        written.append(1)
        return random_weights(len(written))

    def path(identity: str = "one", head: str = "classifier", quantised: bool = True):
        return cached_graph("small", [identity], weights, head, quantised=quantised)

    first = path()
    assert path() == first and len(written) == 1
    others = {path("two"), path(head="embedding"), path(quantised=False)}
    assert first not in others and len(others) == 3 and len(written) == 4
    assert len([path for path in (cache / "graphs").iterdir() if path.name[0] != "."]) == 4


def test_a_graph_that_cannot_be_written_leaves_nothing_behind(cache, monkeypatch):
    def fail(weights, head, quantised, path):
        path.write_bytes(b"half")
        assert path.parent.parent == cache / "graphs"
        raise OSError("No space left on device")

    monkeypatch.setattr("pal.models.bert.write_graph", fail)
    with pytest.raises(CheckpointError, match="Free some space"):
        cached_graph("small", ["one"], random_weights, "classifier", quantised=True)
    assert [path.name for path in (cache / "graphs").iterdir()] == [".small.lock"]


def test_weights_are_read_from_safetensors_and_what_is_no_bert_is_named(tmp_path):
    weights = random_weights()
    config = {
        "model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": 2, "num_attention_heads": 2,
        "layer_norm_eps": 1e-12,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    positions = {"embeddings.position_ids": np.arange(40)[None]}
    save_file(weights.tensors | positions, tmp_path / "model.safetensors")
    read = BertWeights.read(tmp_path)
    assert read.tensors.keys() == weights.tensors.keys() and (read.layers, read.heads) == (2, 2)
    assert np.array_equal(read.tensors["classifier.weight"], weights.tensors["classifier.weight"])
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(CheckpointError, match="llama"):
        BertWeights.read(tmp_path)
    with pytest.raises(CheckpointError, match="nothing"):
        BertWeights.read(tmp_path / "nothing")


def test_one_thread_for_each_usable_cpu():
    assert 1 <= bert.usable_cpus() <= 1024
