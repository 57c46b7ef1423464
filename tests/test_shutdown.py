"""SIGTERM to the real app while votes come in: nothing that was acknowledged is lost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pal.ratings.records import Rating, Record, loads
from pal.ratings.store import RatingStore, all_records
from tests.support import hub
from tests.ui.rating import Annotator

REPOSITORY = Path(__file__).parents[1]
REPO = "me/pal-ratings"
SALT = "a salt of this test"
ITEM = {
    "id": "gold",
    "kind": "question",
    "persona": ["I am a nurse."],
    "history": [{"speaker": "user", "text": "What do you do?"}],
    "replies": [  # fixed, so no vote waits for the models
        {"text": "I am a nurse.", "quality": 3},
        {"text": "I work.", "quality": 2},
        {"text": "Cheese.", "quality": 1},
    ],
}


@contextlib.contextmanager
def running_app(folder: Path, standin: hub.Hub) -> Iterator[tuple[subprocess.Popen, str]]:
    """``python app.py`` with its ratings in ``folder`` and its backup at the stand-in; gives its address."""
    items = folder / "items.jsonl"
    items.write_text(json.dumps(ITEM), encoding="utf-8")
    settings = {
        "PAL_DATA": str(folder / "data"),
        "PAL_PORT": "0",
        "PAL_RATING_ITEMS": str(items),
        "PAL_BACKUP_REPO": REPO,
        "PAL_BACKUP_MINUTES": "1440",  # no push but the first and the last
        "PAL_SALT": SALT,
        "HF_ENDPOINT": standin.url,
        "HF_TOKEN": hub.TOKEN,
        "PYTHONUNBUFFERED": "1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAL_RATING")}
    with subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=REPOSITORY,
        env={**kept, **settings},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            found = (re.search(r"(http://127\.0\.0\.1:\d+)", line) for line in process.stdout)
            yield process, next(match[1] for match in found if match)
        finally:
            process.kill()


def correct_without_end(annotator: Annotator, acknowledged: list[str]) -> None:
    """Send corrections of the first vote until one is refused or the app is gone."""
    turn = annotator.start().data("turn")
    for number in range(10_000):
        submission = secrets.token_hex(8)
        ranks = [1 + (number + column) % 3 for column in range(3)]
        body = {"turn": turn, "submission": submission, "ranks": ranks, "correction": number > 0}
        try:
            annotator.do("vote", **body)
        except httpx.HTTPError:
            return
        if annotator.notice:
            assert "send it again" in annotator.notice.lower()
            return
        acknowledged.append(submission)


def chat_without_end(annotator: Annotator) -> None:
    """Keep the models at work with own chats until the app is gone."""
    annotator.start()
    with contextlib.suppress(httpx.HTTPError, AssertionError):
        while "being stopped" not in annotator.notice:
            annotator.do("say", persona="I am a nurse.", message="Tell me everything about your work.")


def records(store: RatingStore) -> dict[str, Record]:
    with store.read() as connection:
        found = {record.id: record for _, record in all_records(connection)}
    store.close()
    return found


def mirrored(standin: hub.Hub) -> dict[str, Record]:
    lines = [line for data in standin.files[REPO].values() for line in data.decode().splitlines()]
    return {record.id: record for record in map(loads, lines)}


@pytest.fixture
def standin():
    with hub.running() as running:
        yield running


def test_sigterm_loses_no_acknowledged_vote_and_no_unpushed_record(tmp_path, standin):
    acknowledged: list[str] = []
    with running_app(tmp_path, standin) as (process, address):
        voters = [Annotator(address, f"voter-{number}") for number in range(3)]
        threads = [
            threading.Thread(target=correct_without_end, args=(voter, acknowledged), daemon=True)
            for voter in voters
        ]
        threads.append(threading.Thread(target=chat_without_end, args=(Annotator(address, "chat"),)))
        for thread in threads:
            thread.start()
        while len(acknowledged) < 60:
            assert any(thread.is_alive() for thread in threads[:-1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        for thread in threads:
            thread.join(60)
    stored = records(RatingStore(f"sqlite:///{tmp_path / 'data' / 'ratings.sqlite3'}", SALT))
    submissions = {record.submission for record in stored.values() if isinstance(record, Rating)}
    assert len(acknowledged) >= 60 and set(acknowledged) <= submissions
    assert mirrored(standin) == stored
