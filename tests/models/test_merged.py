"""A base with an adapter added in: the same model as the two apart, in one file."""

import json
import math
import shutil

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize

from pal.dialogue.turns import Exchange
from pal.engines.llamacpp_server import Session, VariantServer
from pal.errors import CheckpointError
from pal.models import adapters
from pal.models.adapters import adapter_path, gguf_adapter, merged_gguf, read_peft
from pal.models.gguf_file import read_gguf

PERSONA = ["I am a nurse.", "I have two cats.", "I love hiking.", "My brother lives in Peru."]
MOST_NATS = 0.02  # KL divergence; measured: 0.004 on average, 0.007 at most
HISTORY = [Exchange("Hi!", "Hello, nice to meet you."), Exchange("Any pets?", "Yes, two cats.", 1)]
MESSAGES = [
    "What do you do for a living?",
    "Do you have any pets at home?",
    "Tell me about your family.",
    "What a lovely day.",
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory, base_gguf):
    """A cache of this file's own; the base was found before."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("PAL_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def merged(base_gguf):
    return merged_gguf(base_gguf, adapter_path("aligned"), progress=False)


class Probe(VariantServer):
    """A server that also gives the distribution over the likeliest tokens."""

    def probabilities(self, ids, count=1000):
        request = {"prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": count, "cache_prompt": False}
        answer = self._server.handle_completions(request)
        top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {entry["id"]: math.exp(entry["logprob"]) for entry in top}


def gguf_adapter_of(base_gguf):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapters, "fetch_base", lambda: base_gguf)
        return gguf_adapter(adapter_path("aligned"))


def distributions(renderer, gguf, lora):
    """Next-token probabilities at the start of some replies, and the probability of every option."""
    server = Probe(gguf, lora, slots=1, context=512, threads=1)
    replies, selections = [], []
    for number, message in enumerate(MESSAGES):
        history = HISTORY[: number % 3]
        replies.append(server.probabilities(renderer.reply_prompt(PERSONA, history, message, number % 4)))
        prompt = renderer.selection_prompt(PERSONA, history, message)
        options = renderer.option_ids(len(PERSONA))
        selections.append(server.distribution(prompt, options, Session(f"chat {number}"), lambda: False)[0])
    server.close()
    return replies, selections


def divergence(first, second):
    """Kullback–Leibler, in nats, over the tokens that both have."""
    return sum(p * math.log(p / second[token]) for token, p in first.items() if token in second)


def test_llama_cpp_with_the_merged_file_is_the_same_model(base_gguf, merged, renderer):
    apart, selected_apart = distributions(renderer, base_gguf, gguf_adapter_of(base_gguf))
    together, selected_together = distributions(renderer, merged, None)
    nats = [divergence(*pair) for pair in zip(apart, together, strict=True)]
    assert max(nats) < MOST_NATS, nats
    plain, _ = distributions(renderer, base_gguf, None)
    assert min(divergence(*pair) for pair in zip(apart, plain, strict=True)) > 5 * MOST_NATS
    assert np.argmax(selected_apart, 1).tolist() == np.argmax(selected_together, 1).tolist()
    assert np.abs(np.subtract(selected_apart, selected_together)).max() < 0.1


def test_every_weight_is_the_sum_and_everything_else_a_copy(base_gguf, merged):
    config, tensors = read_peft(adapter_path("aligned"), "the test")
    base, result = ({t.name: t for t in read_gguf(path).tensors} for path in (base_gguf, merged))
    assert base.keys() == result.keys()
    scale = config["lora_alpha"] / config["r"]
    for module, name in (("self_attn.v_proj", "attn_v"), ("mlp.down_proj", "ffn_down")):
        peft = f"base_model.model.model.layers.7.{module}.lora_"
        added = scale * tensors[f"{peft}B.weight"] @ tensors[f"{peft}A.weight"]
        old, new = (
            dequantize(np.asarray(t.data), t.tensor_type)
            for t in (base[f"blk.7.{name}.weight"], result[f"blk.7.{name}.weight"])
        )
        assert np.abs(old + added - new).max() <= np.abs(new).max() / 127
        assert result[f"blk.7.{name}.weight"].tensor_type.name == "Q8_0"
    assert np.array_equal(base["token_embd.weight"].data, result["token_embd.weight"].data)
    assert np.array_equal(base["blk.7.attn_norm.weight"].data, result["blk.7.attn_norm.weight"].data)


def test_metadata_is_kept_and_names_the_new_type(base_gguf, merged):
    base, result = read_gguf(base_gguf), read_gguf(merged)
    changed = [key for key, entry in base.fields.items() if entry.contents() != result.fields[key].contents()]
    assert base.fields.keys() == result.fields.keys() and changed == ["general.file_type"]
    assert result.get_field("general.file_type").contents() == 7  # mostly Q8_0


def test_reading_gives_what_the_library_reads(base_gguf):
    library, own = GGUFReader(base_gguf), read_gguf(base_gguf)
    assert {key: entry.contents() for key, entry in own.fields.items()} == {
        key: entry.contents() for key, entry in library.fields.items()
    }
    assert [(t.name, t.data_offset) for t in own.tensors] == [
        (t.name, t.data_offset) for t in library.tensors
    ]


def test_it_is_written_once_for_what_it_depends_on(base_gguf, merged, tmp_path, monkeypatch, cache):
    written = []
    monkeypatch.setattr(
        adapters, "_write_merged", lambda base, folder, kind, path, progress: written.append(kind)
    )
    assert merged_gguf(base_gguf, adapter_path("aligned"), progress=False) == merged
    assert merged.parent == cache / "merged" and written == []
    stronger = tmp_path / "stronger"
    shutil.copytree(adapter_path("aligned"), stronger)
    config = json.loads((stronger / "adapter_config.json").read_text())
    (stronger / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 64}))
    other_base = tmp_path / "other.gguf"
    other_base.write_bytes(b"another base")
    paths = {
        merged,
        merged_gguf(base_gguf, stronger, progress=False),
        merged_gguf(base_gguf, stronger, quantisation="F16", progress=False),
        merged_gguf(other_base, stronger, progress=False),
    }
    assert len(paths) == 4 and written == ["Q8_0", "F16", "Q8_0"]


def test_an_adapter_of_another_shape_is_refused_by_name_and_leaves_no_file(base_gguf, tmp_path, cache):
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "wide"
    shutil.copytree(adapter_path("aligned"), folder)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    name = "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight"
    save_file(tensors | {name: np.zeros((16, 2048), np.float32)}, path)
    before = sorted((cache / "merged").iterdir())
    with pytest.raises(CheckpointError, match="another base.*SmolLM2.*q_proj.*2048"):
        merged_gguf(base_gguf, folder, progress=False)
    save_file({key: value for key, value in tensors.items() if key != name}, path)
    with pytest.raises(CheckpointError, match="half of a pair"):
        merged_gguf(base_gguf, folder, progress=False)
    assert sorted((cache / "merged").iterdir()) == before


def test_a_base_that_is_no_gguf_and_a_cache_that_cannot_be_written_are_named(
    base_gguf, tmp_path, monkeypatch
):
    (tmp_path / "base.gguf").write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match="base.gguf cannot be read as GGUF"):
        merged_gguf(tmp_path / "base.gguf", adapter_path("aligned"), progress=False)
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "base.gguf"))
    with pytest.raises(CheckpointError, match="PAL_CACHE"):
        merged_gguf(base_gguf, adapter_path("aligned"), progress=False)
    with pytest.raises(CheckpointError, match="PAL_CACHE"):
        gguf_adapter_of(base_gguf)
