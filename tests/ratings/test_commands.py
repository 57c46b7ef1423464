"""``python -m pal ratings``: what a host types."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pal.commands.main import main
from pal.ratings.queue import Queue, QueueSettings
from pal.ratings.store import open_store
from pal.settings import Settings
from tests.ratings import scene
from tests.support import hub

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder with four votes of one annotator, named in the environment."""
    folder = tmp_path / "data"
    items = tmp_path / "items.jsonl"
    lines = []
    for number in range(3):
        item = scene.item(number)
        history = [
            {"speaker": "user", "text": "Hi!"},
            {"speaker": "persona", "text": "Hello, nice to meet you."},
        ]
        history.append({"speaker": "user", "text": item.user})
        row = {"id": item.id, "kind": "question", "persona": list(item.persona.sentences), "history": history}
        lines.append(json.dumps(row))
    items.write_text("\n".join(lines), encoding="utf-8")
    for name, value in {
        "DATA": folder,
        "RATING_ITEMS": items,
        "RATING_THRESHOLD": 3,
        "SALT": "s" * 16,
    }.items():
        monkeypatch.setenv(f"PAL_{name}", str(value))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return folder


@pytest.fixture
def code(data):
    """The id of the annotator whose votes they are."""
    store = open_store(Settings.from_env(os.environ))
    queue = Queue([scene.item(number) for number in range(3)], scene.CAMPAIGN, QueueSettings())
    desk = scene.RatingDesk(store, queue, clock=scene.Clock())
    code = desk.new_annotator()
    who = desk.enrol(code, "1")
    while (shown := scene.shown(desk, who)) is not None:
        desk.submit(who, scene.vote(shown.turn_id))
    desk.close()
    return code


def test_progress_and_statistics_are_printed(code, capsys, tmp_path, monkeypatch):
    assert main(["ratings", "progress"]) == 0
    assert "4 votes; 0 of 3 items" in capsys.readouterr().out
    assert main(["ratings", "statistics", "--json", str(tmp_path / "found.json")]) == 0
    printed = capsys.readouterr().out
    assert "3 votes on 3 turns by 1 annotators" in printed and "Bradley-Terry" in printed
    assert json.loads((tmp_path / "found.json").read_text())["votes"] == 3
    monkeypatch.setenv("PAL_RATING_THRESHOLD", "100")
    assert main(["ratings", "statistics"]) == 0
    printed = capsys.readouterr().out
    assert "from 100 votes on" in printed and "win rate" not in printed


def test_an_empty_store_has_progress_and_statistics_too(data, capsys):
    assert main(["ratings", "progress"]) == 0 and main(["ratings", "statistics"]) == 0
    assert "No ratings yet" in capsys.readouterr().out


def test_exported_records_are_restored_into_another_store(code, capsys, tmp_path, monkeypatch):
    assert main(["ratings", "export", "--out", str(tmp_path / "out"), "--format", "jsonl,csv"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["records.jsonl", "votes.csv"]
    monkeypatch.setenv("PAL_DATA", str(tmp_path / "other"))
    assert main(["ratings", "restore", "--file", str(tmp_path / "out" / "records.jsonl")]) == 0
    assert (
        "9 records restored; 0 were there already" in capsys.readouterr().out
    )  # consent, 4 turns, 4 ratings


def test_a_store_that_keeps_its_own_salt_can_be_given_it(data, capsys, monkeypatch):
    monkeypatch.delenv("PAL_SALT")
    assert main(["ratings", "salt"]) == 0
    salt = capsys.readouterr().out.strip()
    monkeypatch.setenv("PAL_SALT", "another salt of mine")
    assert main(["ratings", "progress"]) == 1
    assert "ratings salt" in capsys.readouterr().err
    monkeypatch.setenv("PAL_SALT", salt)
    assert main(["ratings", "progress"]) == 0


def test_an_annotator_is_deleted_by_id(code, capsys):
    assert main(["ratings", "delete", code]) == 0
    assert "5 records deleted" in capsys.readouterr().out
    assert main(["ratings", "delete", code]) == 1
    assert "error: Nobody has started" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["export", "--out", "x", "--format", "xlsx"], "no format “xlsx”"),
        (["export", "--out", "x", "--public"], "--push"),
        (["export", "--out", "x", "--format", "csv", "--push", "me/x"], "add dataset"),
        (["restore"], "PAL_BACKUP_REPO"),
        (["restore", "--file", "missing.jsonl"], "missing.jsonl cannot be read"),
        (["delete", "abc"], "four groups"),
    ],
)
def test_a_hosts_mistake_is_one_line(data, command, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["ratings", *command]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error


def test_export_and_restore_reach_the_hub_of_the_environment(code, tmp_path):
    """In a process of its own: the Hub's address is read when its client is imported."""
    with hub.running() as standin:
        environment = {**os.environ, "HF_ENDPOINT": standin.url, "HF_TOKEN": hub.TOKEN}

        def ratings(*command):
            return subprocess.run(
                [sys.executable, "-m", "pal", "ratings", *command],
                cwd=REPOSITORY,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
            )

        pushed = ratings("export", "--out", str(tmp_path / "out"), "--push", "me/votes")
        assert pushed.returncode == 0, pushed.stderr
        assert standin.private["me/votes"] and "README.md" in standin.files["me/votes"]
        records = (tmp_path / "out" / "records.jsonl").read_bytes()
        standin.files["me/mirror"] = {"records/one.jsonl": records}
        environment["PAL_DATA"] = str(tmp_path / "other")
        restored = ratings("restore", "--repo", "me/mirror")
        assert "9 records restored" in restored.stdout, restored.stderr


def test_the_serving_side_of_ratings_imports_no_torch():
    code = (
        "import sys, pal.ratings.desk, pal.ratings.generate, pal.ratings.statistics, pal.ratings.export\n"
        "print(sorted({'torch', 'transformers', 'gradio'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert result.stdout.strip() == "[]"
