"""PEFT adapters in llama.cpp's form: the same numbers, and the same model."""

import json

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from peft import PeftModel
from safetensors.torch import load_file, save_file

from pal.dialogue.turns import Exchange
from pal.engines.llamacpp_server import VariantServer
from pal.errors import CheckpointError
from pal.models import adapters, bases
from pal.models.adapters import adapter_hash, adapter_path, gguf_adapter, gguf_to_peft, peft_to_gguf
from tests.support.adapters import write_random_adapter

PERSONA = ["I am a nurse.", "I have two cats.", "I love hiking.", "My brother lives in Peru."]
QUERY = "base_model.model.model.layers.3.self_attn.q_proj.lora_B.weight"
MEAN_DIFFERENCE = 0.2  # nats; llama.cpp rounds activations to 8 bits, which alone gives about 0.1 here


@pytest.fixture(scope="module")
def base(base_gguf):
    return bases.load_base_model()


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    return write_random_adapter(base, tmp_path_factory.mktemp("adapter"), seed=5)


def tensors_of(folder):
    return load_file(folder / "adapter_model.safetensors")


def edited(adapter, folder, tensors=None, **config):
    """A copy of the adapter with other tensors or settings."""
    folder.mkdir()
    save_file(tensors or tensors_of(adapter), folder / "adapter_model.safetensors")
    settings = json.loads((adapter / "adapter_config.json").read_text()) | config
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def test_the_round_trip_is_exact(adapter, tmp_path):
    gguf = peft_to_gguf(adapter, tmp_path / "adapter.gguf")
    back = tensors_of(gguf_to_peft(gguf, tmp_path / "back"))
    original = tensors_of(adapter)
    assert back.keys() == original.keys()
    assert all(torch.equal(back[name], original[name]) for name in original)
    config = json.loads((tmp_path / "back" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (16, 32)
    assert len(config["target_modules"]) == 7


def test_a_returned_adapter_loads_with_peft(adapter, base, tmp_path):
    back = gguf_to_peft(peft_to_gguf(adapter, tmp_path / "adapter.gguf"), tmp_path / "back")
    model = PeftModel.from_pretrained(base, str(back))
    weight = model.get_submodule("base_model.model.model.layers.3.self_attn.q_proj").lora_B["default"].weight
    assert torch.equal(weight, tensors_of(adapter)[QUERY])
    model.unload()


@pytest.mark.parametrize(("module", "gguf_name", "heads"), [("q_proj", "attn_q", 9), ("k_proj", "attn_k", 3)])
def test_rows_of_queries_and_keys_are_paired(adapter, tmp_path, module, gguf_name, heads):
    reader = GGUFReader(peft_to_gguf(adapter, tmp_path / "adapter.gguf"))
    written = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    source = tensors_of(adapter)[QUERY.replace("q_proj", module)].numpy()
    got = written[f"blk.3.{gguf_name}.weight.lora_b"]
    for head in range(heads):
        for index in range(32):
            assert (got[head * 64 + 2 * index] == source[head * 64 + index]).all()
            assert (got[head * 64 + 2 * index + 1] == source[head * 64 + 32 + index]).all()
    value = tensors_of(adapter)[QUERY.replace("q_proj", "v_proj")].numpy()
    assert (written["blk.3.attn_v.weight.lora_b"] == value).all()
    assert len(written) == 2 * 7 * 30


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_adapters_keep_their_values(adapter, tmp_path, dtype):
    halves = {name: tensor.to(dtype) for name, tensor in tensors_of(adapter).items()}
    gguf = peft_to_gguf(edited(adapter, tmp_path / "half", halves), tmp_path / "half.gguf")
    back = tensors_of(gguf_to_peft(gguf, tmp_path / "back"))
    assert all(torch.equal(back[name], halves[name].float()) for name in halves)


def test_rank_stabilised_scaling_is_kept(adapter, tmp_path):
    gguf = peft_to_gguf(edited(adapter, tmp_path / "rs", use_rslora=True), tmp_path / "rs.gguf")
    assert GGUFReader(gguf).get_field("adapter.lora.alpha").contents() == 32 * 4  # alpha/r = 32/sqrt(16)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"alpha_pattern": {"q_proj": 8}}, "alpha_pattern"),
        ({"peft_type": "IA3"}, "IA3"),
    ],
)
def test_what_llama_cpp_cannot_apply_is_refused(adapter, tmp_path, config, named):
    with pytest.raises(CheckpointError, match=named):
        peft_to_gguf(edited(adapter, tmp_path / "odd", **config), tmp_path / "odd.gguf")


def test_an_unknown_tensor_is_refused_and_leaves_no_file(adapter, tmp_path):
    tensors = tensors_of(adapter) | {"base_model.model.lm_head.lora_A.weight": torch.zeros(16, 576)}
    odd = edited(adapter, tmp_path / "odd", tensors)
    out = tmp_path / "out"
    with pytest.raises(CheckpointError, match="lm_head"):
        peft_to_gguf(odd, out / "odd.gguf")
    assert not out.exists()


def test_files_that_are_not_adapters_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="adapter_config.json"):
        gguf_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(CheckpointError, match="adapter_model.safetensors"):
        peft_to_gguf(tmp_path, tmp_path / "out.gguf")
    with pytest.raises(CheckpointError, match="adapter_model.safetensors"):
        gguf_to_peft(tmp_path / "adapter_model.safetensors", tmp_path / "back")


def test_a_base_model_is_not_an_adapter(base_gguf, tmp_path):
    with pytest.raises(CheckpointError, match="adapter.lora.alpha"):
        gguf_to_peft(base_gguf, tmp_path / "back")


def test_conversion_happens_once_per_content(adapter, base_gguf, tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(adapters, "fetch_base", lambda: base_gguf)
    path = gguf_adapter(adapter)
    assert path.is_relative_to(tmp_path / "cache")
    written = path.stat().st_mtime_ns
    assert gguf_adapter(adapter) == path
    assert path.stat().st_mtime_ns == written
    other = edited(adapter, tmp_path / "other", lora_alpha=64)
    assert adapter_hash(other) != adapter_hash(adapter)
    assert gguf_adapter(other) != path


def prompts(renderer):
    history = [Exchange("Hi!", "Hello, nice to meet you."), Exchange("Any pets?", "Yes, two cats.", 1)]
    return [
        renderer.reply_prompt(PERSONA, [], "What do you do for a living?", 0),
        renderer.selection_prompt(PERSONA, [], "Do you have any pets at home?"),
        renderer.reply_prompt(PERSONA, history, "Tell me about your family.", 3),
        renderer.reply_prompt(PERSONA, [], "What is your favourite food?", selects=False),
    ]


def differences(server, model, renderer):
    """Mean absolute difference of log-probabilities over llama.cpp's top 20,
    and how many prompts agree on the top token."""
    gaps, same = [], 0
    for ids in prompts(renderer):
        with torch.no_grad():
            expected = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        got = server.top_logprobs(ids, 20)
        gaps += [abs(value - expected[token].item()) for token, value in got.items()]
        same += max(got, key=got.get) == expected.argmax().item()
    return float(np.mean(gaps)), same


class Probe(VariantServer):
    """A server that also tells log-probabilities over the whole vocabulary."""

    def top_logprobs(self, ids, count):
        request = {"prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": count, "cache_prompt": False}
        answer = self._server.handle_completions(request)
        top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return {entry["id"]: entry["logprob"] for entry in top}


def probe(base_gguf, lora):
    return Probe(base_gguf, lora, slots=1, context=512, threads=1)


def test_llama_cpp_with_the_converted_adapter_is_the_same_model(
    adapter, base, base_gguf, renderer, tmp_path, monkeypatch
):
    model = PeftModel.from_pretrained(base, str(adapter)).eval()
    server = probe(base_gguf, peft_to_gguf(adapter, tmp_path / "right.gguf"))
    mean, same = differences(server, model, renderer)
    server.close()
    assert mean < MEAN_DIFFERENCE
    assert same == 4

    monkeypatch.setattr("pal.models.gguf_file.interleave", lambda rows, heads: rows)
    server = probe(base_gguf, peft_to_gguf(adapter, tmp_path / "wrong.gguf"))
    mean, same = differences(server, model, renderer)
    server.close()
    model.unload()
    assert mean > 1.5 * MEAN_DIFFERENCE, "the tolerance must notice rows in the wrong order"
    assert same < 4


def test_adapters_are_found_in_the_given_folder_then_in_the_environment(tmp_path, monkeypatch):
    for root in ("given", "environment"):
        (tmp_path / root / "stage1").mkdir(parents=True)
        (tmp_path / root / "stage1" / "adapter_config.json").write_text("{}")
        (tmp_path / root / "stage1" / "adapter_model.safetensors").touch()
    monkeypatch.setenv("PAL_ADAPTERS", str(tmp_path / "environment"))
    assert adapter_path("stage1") == tmp_path / "environment" / "stage1"
    assert adapter_path("stage1", tmp_path / "given") == tmp_path / "given" / "stage1"


def test_a_missing_adapter_is_named_with_what_to_do(tmp_path):
    (tmp_path / "aligned").mkdir()
    (tmp_path / "aligned" / "adapter_config.json").touch()
    with pytest.raises(CheckpointError) as error:
        adapter_path("aligned", tmp_path)
    message = str(error.value)
    assert "“aligned”" in message and str(tmp_path / "aligned") in message
    assert "adapter_model.safetensors" in message and "adapter_config.json" not in message
    assert "pal train" in message
